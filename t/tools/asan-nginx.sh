#!/bin/bash

# Builds build/asan-nginx/nginx: Debian's nginx, with its patches, under
# AddressSanitizer and with every pool allocation a malloc() of its own, so
# that one byte beyond any of them is seen.
#
#     asan-nginx.sh          builds it, if its source can be had
#     asan-nginx.sh which    says in one line what the tests will run on
#
# When the archive has no source, the tests run on the installed nginx with
# libasan preloaded: then overruns of small pool allocations stay unseen.

set -eu
. "$(dirname "$0")/steps.sh"

PATH=$PATH:/usr/sbin:/sbin

dir=$BUILD/asan-nginx
log=$BUILD/asan-nginx-source.log


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
        echo "AddressSanitizer: $(cat "$dir/version"), built from source"
    else
        echo "AddressSanitizer: FALLBACK to the installed nginx with libasan" \
            "preloaded, which sees no overrun of a small pool allocation"
    fi
}


if [ "${1:-}" = which ]; then
    which_one
    exit
fi

mkdir -p "$dir"
what="$(nginx -V 2>&1) $(cksum < "$0")"

if [ ! -x "$dir/nginx" ] || [ "$(cat "$dir/built" 2> /dev/null)" != "$what" ]
then
    rm -f "$dir/nginx" "$dir/built"

    if "$(dirname "$0")/nginx-source.sh" "$dir" < /dev/null > "$log" 2>&1; then
        step asan-nginx "building nginx with AddressSanitizer" compile

        printf '%s\n' "$what" > "$dir/built"
        # the objects are not needed again
        rm -rf "$dir/src/objs"
    else
        grep '^ *E: ' "$log" "$BUILD/nginx-source.log" || tail -n 3 "$log"
    fi
fi

which_one
