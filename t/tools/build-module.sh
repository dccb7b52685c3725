#!/bin/bash

# Builds the module against Debian's nginx.
#
#     build-module.sh release   build/release/ngx_http_intuit_auth_module.so
#     build-module.sh debug     the same with checks of the shared memory
#     build-module.sh asan      the same with AddressSanitizer and UBSan
#     build-module.sh coverage  counts what is run (coverage.sh)
#
# From the environment: CC (gcc, clang), EXTRA_CFLAGS (added at the end),
# NGINX_SRC (a directory like Debian's /usr/share/nginx/src), MODULE_SRC (a
# copy of this tree).  Only what has changed is built again.

set -eu
. "$(dirname "$0")/steps.sh"

PATH=$PATH:/usr/sbin:/sbin

variant=${1:-release}
module=ngx_http_intuit_auth_module

NGINX_SRC=${NGINX_SRC:-/usr/share/nginx/src}
MODULE_SRC=${MODULE_SRC:-$TOP}
CC=${CC:-gcc}

dir=$BUILD/$variant
tree=$dir/nginx
stamp=$dir/configured

cflags=
ldflags=

case $variant in
    release) ;;
    debug)   cflags="-DNGX_INTUIT_SHM_DEBUG" ;;
    asan)    cflags="-DNGX_INTUIT_SHM_DEBUG -fno-omit-frame-pointer"
             cflags+=" -fsanitize=address,undefined -U_FORTIFY_SOURCE"
             ldflags="-fsanitize=address,undefined" ;;
    coverage)
             cflags="-DNGX_INTUIT_SHM_DEBUG --coverage -O0 -U_FORTIFY_SOURCE"
             cflags+=" -fprofile-update=atomic"
             ldflags="--coverage" ;;
    *)       fail "what is \"$variant\"? See the beginning of this script" ;;
esac

# Our sources are held to -Wall -Wextra -Werror.  Parameters may stay unused:
# the type of a callback is nginx's choice, and nginx says the same for its
# own code.  The flags are given to make, not to configure, whose probes
# would otherwise fail for a warning and find another nginx than the one
# that is to load the module.
warnings="-Wall -Wextra -Wno-unused-parameter -Werror"

case ${CC##*/} in
    # Debian's flags are chosen for gcc
    clang*) warnings+=" -Wno-unused-command-line-argument" ;;
esac


# Prints the value of an option that Debian gave to configure.
debian_option() {
    nginx -V 2>&1 | sed -n "s/.*--$1='\([^']*\)'.*/\1/p" \
        | sed 's/-ffile-prefix-map=[^ ]*//'
}

# What the result of configure depends on.
fingerprint() {
    nginx -V 2>&1
    printf '%s\n' "$CC" "$NGINX_SRC" "$MODULE_SRC"
    cat "$MODULE_SRC/config" "$NGINX_SRC/conf_flags"
    ls "$MODULE_SRC"/src/*.[ch]
}

configure() {
    rm -rf "$tree" "$stamp"
    mkdir -p "$dir"
    cp -a "$NGINX_SRC" "$tree"
    cd "$tree"

    # NGX_CONF_FLAGS: what a module has to agree about with Debian's nginx
    . ./conf_flags

    ./configure "${NGX_CONF_FLAGS[@]}" --with-cc="$CC" \
        --with-cc-opt="$(debian_option with-cc-opt)" \
        --with-ld-opt="$(debian_option with-ld-opt)" \
        --add-dynamic-module="$MODULE_SRC"

    fingerprint > "$stamp"
}

compile() {
    cd "$tree"

    make -f objs/Makefile modules \
        CFLAGS="$(sed -n 's/^CFLAGS = *//p' objs/Makefile) $all_cflags" \
        LINK="$CC $ldflags"

    cmp -s "objs/$module.so" "$dir/$module.so" \
        || install -m 644 "objs/$module.so" "$dir/$module.so"
    printf '%s\n' "$all_cflags" > "$dir/cflags"
}

# Is there nothing to do?
up_to_date() {
    [ -e "$dir/$module.so" ] \
        && [ "$(cat "$dir/cflags" 2> /dev/null)" = "$all_cflags" ] \
        && make -q -C "$tree" -f objs/Makefile modules 2> /dev/null
}


all_cflags="$warnings $cflags ${EXTRA_CFLAGS:-}"

if ! cmp -s "$stamp" <(fingerprint); then
    step "configure-$variant" "configuring the $variant build" configure
fi

if ! up_to_date; then

    if [ "$(cat "$dir/cflags" 2> /dev/null)" != "$all_cflags" ]; then
        rm -rf "$tree/objs/addon"/*/*.o
    fi

    step "build-$variant" "building the module ($variant)" compile
fi
