#!/bin/bash

# Builds build/static/nginx: Debian's nginx with the module linked in
# (--add-module), to run tests with TEST_VARIANT=static on.  Always built
# anew.  What it is stands in build/static/version.

set -eu
. "$(dirname "$0")/steps.sh"

PATH=$PATH:/usr/sbin:/sbin

dir=$BUILD/static


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

    # the module's checks, and -Werror: nginx gives it to all its own files
    ./configure "${options[@]}" --add-module="$TOP" \
        --with-cc-opt="-g -O2 -Wextra -Wno-unused-parameter \
            -DNGX_INTUIT_SHM_DEBUG"

    grep -q ngx_http_intuit_auth_module objs/ngx_modules.c

    make -j"$(nproc)" -f objs/Makefile binary
    mv objs/nginx "$dir/nginx"
    rm -rf objs
}


rm -f "$dir/nginx"
"$TOP/t/tools/nginx-source.sh" "$dir"
step static-nginx "building nginx with the module linked in" compile
