#!/bin/bash

# Builds build/asan-nginx/nginx: Debian's nginx, with its patches, under
# AddressSanitizer and with every pool allocation a malloc() of its own, so
# that one byte beyond any of them is seen.
#
#     asan-nginx.sh          builds it, if its source can be had
#     asan-nginx.sh which    says in one line what the tests will run on
#
# The source comes from the package archive that this machine uses.  It keeps
# the sources of some versions only, so these are tried in turn: the one that
# is installed, any other of the same upstream version, and the upstream
# tarball alone.  When all are missing, the tests run on the installed nginx
# with libasan preloaded: then overruns of small pool allocations stay unseen.

set -eu
. "$(dirname "$0")/steps.sh"

PATH=$PATH:/usr/sbin:/sbin

dir=$BUILD/asan-nginx
version=$(nginx -v 2>&1 | sed -n 's/^nginx version: nginx\/\([^ ]*\).*/\1/p')
installed=$(dpkg-query -W -f '${source:Version}' nginx 2> /dev/null || true)


# apt with sources and lists of our own: the machine's stay as they are
own_apt() {
    local command=$1
    shift

    "$command" -q -o Dir::State::lists="$dir/lists" \
        -o Dir::Etc::sourcelist="$dir/sources.list" \
        -o Dir::Etc::sourceparts=/dev/null -o Dir::Cache::pkgcache= \
        -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User= "$@"
}

# The sources that belong to the packages this machine gets from Debian.
list_sources() {
    local keyring
    keyring=$(ls /usr/share/keyrings/debian-archive-keyring.[gp]* | head -n 1)

    mkdir -p "$dir/lists/partial"
    apt-get indextargets 'Created-By: Packages' 'Origin: Debian' --format \
        "deb-src [signed-by=$keyring] \$(REPO_URI) \$(RELEASE) \$(COMPONENT)" \
        | sort -u > "$dir/sources.list"

    own_apt apt-get update
}

candidates() {
    {
        echo "$installed"
        own_apt apt-cache showsrc nginx | sed -n 's/^Version: //p' | sort -rV
    } | awk -v upstream="$version-" 'index($0, upstream) == 1 && !seen[$0]++'
}

download() {
    local candidate

    rm -f "$dir"/nginx_* "$dir/source"
    list_sources
    cd "$dir"

    for candidate in $(candidates); do
        if own_apt apt-get source --download-only "nginx=$candidate"; then
            echo "$candidate" > "$dir/source"
            return
        fi
    done

    # apt has checked what it leaves behind
    ls "$dir/nginx_$version".orig.tar.*
    rm -f "$dir"/nginx_*.debian.tar.*
    echo "$version, without Debian's patches" > "$dir/source"
}

unpack() {
    local patch

    rm -rf "$dir/src"
    mkdir "$dir/src"
    cd "$dir/src"
    tar --strip-components=1 -xf "$dir/nginx_$version".orig.tar.*

    ls "$dir"/nginx_*.debian.tar.* || return 0
    tar -xf "$dir"/nginx_*.debian.tar.*

    while read -r patch; do
        patch -p1 < "debian/patches/$patch"
    done < <(grep -v -e '^ *#' -e '^ *$' debian/patches/series)
}

# Debian's options, less its compiler flags and what is loaded as a module
options() {
    nginx -V 2>&1 | sed -n 's/^configure arguments: //p' \
        | sed "s/--[a-z-]*='[^']*'//g" | tr ' ' '\n' \
        | grep -v -e '=dynamic$' -e '^--with-\(mail\|stream\)' -e '^$'
}

compile() {
    local options
    mapfile -t options < <(options)

    cd "$dir/src"
    ./configure "${options[@]}" --with-ld-opt=-fsanitize=address \
        --with-cc-opt="-g -O1 -fno-omit-frame-pointer -fsanitize=address \
            -DNGX_DEBUG_PALLOC=1"
    make -j"$(nproc)" -f objs/Makefile binary
    mv objs/nginx "$dir/nginx"
}

which_one() {
    if [ -x "$dir/nginx" ]; then
        echo "under AddressSanitizer: nginx $(cat "$dir/source"), from source"
    else
        echo "under AddressSanitizer: the installed nginx $version with" \
            "libasan preloaded (FALLBACK: overruns in pools stay unseen)"
    fi
}


case ${1:-build} in
    which)    which_one; exit ;;
    download) download; exit ;;
esac

mkdir -p "$dir"
what="$installed $version $(cksum < "$0")"

if [ ! -x "$dir/nginx" ] || [ "$(cat "$dir/built" 2> /dev/null)" != "$what" ]
then
    rm -f "$dir/nginx" "$dir/built"

    # a process of its own: set -e does not hold in a condition
    if "$0" download < /dev/null > "$BUILD/asan-nginx-source.log" 2>&1; then
        step asan-nginx-unpack "unpacking nginx's source" unpack
        step asan-nginx "building nginx with AddressSanitizer" compile

        printf '%s\n' "$what" > "$dir/built"
        # the objects are not needed again
        rm -rf "$dir/src/objs"
    else
        grep '^E: ' "$BUILD/asan-nginx-source.log" || true
    fi
fi

which_one
