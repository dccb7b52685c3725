#!/bin/bash

# Fuzzes the pure layer with libFuzzer, one target after the other.
#
#     fuzz.sh SECONDS [TARGET...]     each target (or these) for so long
#     fuzz.sh keep TARGET...          adds what these have found since to
#                                     t/corpus/fuzz/TARGET, if it covers more
#
# The seeds are t/corpus/fuzz/TARGET, which t/fuzz.t replays in every test;
# what libFuzzer adds goes to build/fuzz/corpus/TARGET.  An input that breaks
# something is left in build/fuzz/TARGET-crash-...: put it into the corpus,
# under a name that says what it is, together with the mending.

set -eu
. "$(dirname "$0")/steps.sh"

seconds=${1:-60}
shift || true

dir=$BUILD/fuzz
seeds=$TOP/t/corpus/fuzz


build() {
    # clang, also where the environment has another compiler for the module
    env -u CFLAGS make -s -j2 -C "$TOP/t/fuzz" libfuzzer CC=clang \
        BUILD="$dir" SANITIZE="-fsanitize=address,undefined,fuzzer-no-link \
            -fno-sanitize-recover=all"
}

run() {
    "$dir/fuzz_$1-libfuzzer" -timeout=10 -rss_limit_mb=2048 -max_len=8192 \
        -dict="$TOP/t/fuzz/words.dict" -artifact_prefix="$dir/$1-" \
        "${@:2}"
}

keep() {
    local file

    rm -rf "$dir/merged"
    mkdir "$dir/merged"
    cp "$seeds/$1"/* "$dir/merged"
    run "$1" -set_cover_merge=1 "$dir/merged" "$dir/corpus/$1"

    for file in "$dir/merged"/*; do
        [ -e "$seeds/$1/${file##*/}" ] \
            || cp "$file" "$seeds/$1/found-$(sha1sum "$file" | cut -c 1-12)"
    done
}


step fuzz-build "building the fuzz targets" build

# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $(make -s --no-print-directory -C "$TOP/t/fuzz" targets)

found=0
runs=0

for target; do
    [ -x "$dir/fuzz_$target-libfuzzer" ] || fail "no target \"$target\""

    mkdir -p "$dir/corpus/$target"

    if [ "$seconds" = keep ]; then
        step "fuzz-keep-$target" "keeping what covers more: $target" \
            keep "$target"
        continue
    fi

    printf '%s ... ' "$target"
    log=$dir/$target.log

    if run "$target" -max_total_time="$seconds" -print_final_stats=1 \
        "$dir/corpus/$target" "$seeds/$target" > "$log" 2>&1
    then
        count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        runs=$((runs + count))
        echo "$count inputs in $seconds s"
    else
        found=$((found + 1))
        echo "FOUND"
        grep -E 'ERROR|SUMMARY|does not hold|runtime error|Test unit' "$log" \
            | sed 's/^/    /' || tail -n 20 "$log"
    fi
done

[ "$seconds" = keep ] || echo "fuzzed: $# targets, $runs inputs, $found found"
exit $((found > 0))
