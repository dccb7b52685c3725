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
# under a name that says what it is, together with the mending.  Each run adds
# a line to build/fuzz/runs: when, of which commit, target, inputs, seconds,
# found (figures.pl).
#
# From the environment: MAX_LEN, of an input (8192).

set -eu
. "$(dirname "$0")/steps.sh"

seconds=${1:-60}
shift || true

dir=$BUILD/fuzz
seeds=$TOP/t/corpus/fuzz


build() {
    # clang, also where the environment has another compiler for the module
    make -s -j2 -C "$TOP/t/fuzz" libfuzzer CC=clang \
        BUILD="$dir" CFLAGS="-g -O2" SANITIZE="-fsanitize=address,undefined,fuzzer-no-link \
            -fno-sanitize-recover=all"
}

run() {
    "$dir/fuzz_$1-libfuzzer" -timeout=10 -rss_limit_mb=2048 -max_len="${MAX_LEN:-8192}" \
        -dict="$TOP/t/fuzz/words.dict" -artifact_prefix="$dir/$1-" \
        "${@:2}"
}

# How many inputs a run has tried, also where it ended by finding something.
executed() {
    sed -n 's/^stat::number_of_executed_units: *//p' "$1"
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
commit=$(git -C "$TOP" rev-parse --short HEAD 2> /dev/null || echo unknown)

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
    before=$found

    if run "$target" -max_total_time="$seconds" -print_final_stats=1 \
        "$dir/corpus/$target" "$seeds/$target" > "$log" 2>&1
    then
        count=$(executed "$log")
        echo "$count inputs in $seconds s"
    else
        count=$(executed "$log")
        found=$((found + 1))
        echo "FOUND"
        grep -E 'ERROR|SUMMARY|does not hold|runtime error|Test unit' "$log" \
            | sed 's/^/    /' || tail -n 20 "$log"
    fi

    runs=$((runs + ${count:-0}))
    echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $commit $target ${count:-0}" \
        "$seconds $((found - before))" >> "$dir/runs"
done

[ "$seconds" = keep ] || echo "fuzzed: $# targets, $runs inputs, $found found"
exit $((found > 0))
