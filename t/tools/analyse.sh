#!/bin/bash

# Reads the sources with gcc -fanalyzer, clang-tidy and cppcheck.  A finding
# has to be mended, or explained in t/tools/analyse.explained; it ends with
# one line of counts.
#
#     analyse.sh [FILE...]     all sources, or these

set -eu
. "$(dirname "$0")/steps.sh"

dir=$BUILD/analyse
tree=$BUILD/debug/nginx
explained=$TOP/t/tools/analyse.explained

[ -e "$tree/objs/Makefile" ] || fail "please make build first"

[ $# -gt 0 ] || set -- "$TOP"/ngx_http_intuit_auth_module.c "$TOP"/src/*.c

# as the module is compiled
mapfile -t includes < <(sed -n '/^ALL_INCS/,/^$/p' "$tree/objs/Makefile" \
    | grep -o -e '-I [^ ]*' | sed 's/-I /-I/')
flags=(-g -O1 -DNGX_INTUIT_SHM_DEBUG "${includes[@]}")


# Each prints "FILE:LINE: ... [NAME]" lines to the log.

analyse_gcc() {
    # shellcheck disable=SC2016
    printf '%s\0' "$@" | xargs -0 -P "$(nproc)" -n 1 bash -c '
        gcc -fanalyzer -Wall -Wextra -Wno-unused-parameter -c -o /dev/null \
            "${@:1:$#-1}" "${@: -1}"' gcc "${flags[@]}"
}

analyse_tidy() {
    # shellcheck disable=SC2016
    printf '%s\0' "$@" | xargs -0 -P "$(nproc)" -n 6 bash -c '
        config=$1 n=$2
        clang-tidy --quiet --config-file="$config" "${@:3+n}" \
            -- "${@:3:n}"' tidy "$TOP/t/tools/clang-tidy.yml" \
        "${#flags[@]}" "${flags[@]}"
}

analyse_cppcheck() {
    cppcheck -q -j "$(nproc)" --std=c11 --error-exitcode=0 \
        --enable=warning,performance,portability \
        --template='{file}:{line}: warning: {message} [{id}]' \
        --suppress='*:src/*' -DNGX_INTUIT_SHM_DEBUG=1 "${includes[@]}" "$@"
}

# The findings in a log: those in our own files, each once.
findings() {
    sed -n -E "s#^(\.\./)*($TOP/)?([^ ]*:[0-9]+:.*(warning|error): .*\[[^]]+\])\$#\3#p" \
        "$1" | grep -E '^(src/)?ngx_http_intuit|^src/ngx_intuit' | sort -u
}

total=0
kept=()

cd "$tree"
mkdir -p "$dir"

for tool in gcc tidy cppcheck; do
    log=$dir/$tool.log
    "analyse_$tool" "$@" > "$log" 2>&1 || true

    # a tool that could not read a file has found nothing in it
    if grep -qE '(fatal error|unknown argument|No such file)' "$log"; then
        tail -n 20 "$log"
        fail "$tool did not work"
    fi

    findings "$log" > "$dir/$tool.all" || true
    grep -v -E -f <(grep -v -e '^#' -e '^$' "$explained") "$dir/$tool.all" \
        > "$dir/$tool.open" || true

    all=$(wc -l < "$dir/$tool.all")
    open=$(wc -l < "$dir/$tool.open")
    total=$((total + open))
    kept+=("$tool $open open, $((all - open)) explained")

    cat "$dir/$tool.open"
done

line=$(printf '; %s' "${kept[@]}")
echo "analysed $# files${line}"
[ "$total" = 0 ]
