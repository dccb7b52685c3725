#!/bin/bash

# Gets the source of Debian's nginx, with Debian's patches, of the version
# that is installed here, and says what it is:
#
#     nginx-source.sh DIRECTORY      DIRECTORY/src, DIRECTORY/version
#
# The archive that this machine uses keeps the sources of some versions only,
# so these are tried in turn: the one that is installed, any other of the same
# upstream version, and the upstream tarball alone, which apt has checked.
# Fails when all are missing.

set -eu
. "$(dirname "$0")/steps.sh"

PATH=$PATH:/usr/sbin:/sbin

[ $# = 1 ] || fail "where to? Say nginx-source.sh DIRECTORY"

mkdir -p "$1"
dir=$(cd "$1" && pwd)
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

    rm -rf "$dir"/nginx_* "$dir/version"
    list_sources
    cd "$dir"

    for candidate in $(candidates); do
        if own_apt apt-get source --download-only "nginx=$candidate"; then
            echo "nginx/$version ($candidate)" > "$dir/version"
            return
        fi
        rm -f "$dir"/nginx_*.debian.tar.*
    done

    ls "$dir/nginx_$version".orig.tar.*
    echo "nginx/$version (without Debian's patches)" > "$dir/version"
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


step nginx-source "getting the source of nginx $version" download
step nginx-unpack "unpacking it" unpack
cat "$dir/version"
