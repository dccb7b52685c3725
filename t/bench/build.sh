#!/bin/bash

# Builds what the bench needs beside the release build of the module: the load
# generator, and the module that measures the store.

set -eu
. "$(dirname "$0")/../tools/steps.sh"

dir=$BUILD/bench
nginx=$BUILD/release/nginx

incs=()
for part in src/core src/event src/event/modules src/event/quic src/os/unix \
            src/http src/http/modules objs
do
    incs+=(-isystem "$nginx/$part")
done

newer() { [ ! -e "$1" ] || [ -n "$(find "${@:2}" -newer "$1")" ]; }

load() {
    "${CC:-gcc}" -O2 -g -Wall -Wextra -Werror -o "$dir/load" \
        "$TOP/t/bench/load.c"
}

# its structures are those of the module beside it
store() {
    "${CC:-gcc}" -O2 -g -fPIC -shared -Wall -Wextra -Wno-unused-parameter \
        -Werror -I"$TOP/src" "${incs[@]}" -o "$dir/store.so" \
        "$TOP/t/bench/store.c"
}

mkdir -p "$dir"

if newer "$dir/load" "$TOP/t/bench/load.c"; then
    step bench-load "building the load generator" load
fi

if newer "$dir/store.so" "$TOP/t/bench/store.c" "$TOP"/src/*store*.h \
         "$TOP/src/ngx_intuit_record.h" "$BUILD/release/configured"
then
    step bench-store "building the store's measures" store
fi
