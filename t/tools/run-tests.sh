#!/bin/bash

# Runs the tests and ends with one line of counts.
#
#     run-tests.sh some    what "make test" runs: all but the slow ones, and
#                          a part of it under AddressSanitizer
#     run-tests.sh all     what "make test-all" runs: everything, both ways
#     run-tests.sh asan    everything that starts nginx, under AddressSanitizer
#     run-tests.sh valgrind  a small part, under valgrind
#     run-tests.sh soak    the one that lasts, for TEST_SOAK seconds, in words
#
# From the environment: TESTS (files or directories, with "some" and "asan"),
# JOBS.

set -eu
. "$(dirname "$0")/steps.sh"

PATH=$PATH:/usr/sbin:/sbin

mode=${1:-some}
TESTS=${TESTS:-t}
JOBS=${JOBS:-2}

# The part that "make test" runs under AddressSanitizer, too: by file name.
ASAN_PART=(
    'login*' 'callback-*' 'token-*' 'id-token*' 'headers*' 'api-*' 'logout*'
    'session-*' 'reload-provider*' 'error-page-*' raw-http
)

# What runs under valgrind, which is slow: each way through the module once.
VALGRIND_PART=(
    login.t callback-once.t callback-error.t token-answers.t headers.t logout.t
)

# What lasts as long as it is told to.
SOAK_PART=(
    soak.t
)

result=PASS
counts=()
failed=()


# The tests below $TESTS that start an nginx.
with_nginx() {
    # shellcheck disable=SC2038,SC2086
    find $TESTS -path '*/node_modules' -prune -o -name '*.t' -print \
        | xargs -r grep -l '^use Test::Intuit;' | LC_ALL=C sort
}

asan_part() {
    local pattern args=()

    for pattern in "${ASAN_PART[@]}"; do
        args+=(-o -name "$pattern.t")
    done

    # shellcheck disable=SC2046
    find $(with_nginx) "${args[@]:1}"
}

# What has failed, once more: who reads only the end sees it.
report() {
    local log=$1

    echo "-- failed, from $log"
    sed -n '/^#   Failed test/,/^# Looks like/p' "$log" | cut -c 1-200 | head -n 60
    sed -n '/^Test Summary Report/,/^Files=/p' "$log"
}

# run LOG WHERE FILE...
run() {
    local log=$BUILD/tests-$1.log where=$2 counted skipped
    shift 2

    # figures.pl reads it, where it is of all tests
    [ "$TESTS" = t ] || log=$BUILD/tests.log

    echo "-- $where"
    printf '# commit %s\n# on: %s\n' "$(git rev-parse --short HEAD \
        2> /dev/null || echo unknown)" "$where" > "$log"

    prove -j "$JOBS" -I t/lib -r "$@" 2>&1 | tee -a "$log"
    [ "${PIPESTATUS[0]}" = 0 ] || { result=FAIL; failed+=("$log"); }

    counted=$(sed -n 's/^Files=\([0-9]*\), Tests=\([0-9]*\),.*/\2 tests in \1 files/p' \
        "$log")
    skipped=$(grep -c ' \.* skipped: ' "$log" || true)
    [ "$skipped" = 0 ] || counted+=" ($skipped skipped)"

    counts+=("${counted:-nothing} on $where")
}

run_stock() {
    # shellcheck disable=SC2086
    run stock "$(nginx -v 2>&1 | sed 's/.*: //')" $TESTS
}

run_asan() {
    local where
    where=$("$(dirname "$0")/asan-nginx.sh" which)

    TEST_VARIANT=asan run asan "$where" "$@"
}


cd "$TOP"
mkdir -p "$BUILD"

case $mode in
    some)
        run_stock
        # a test that was asked for by name is wanted in one way only
        # shellcheck disable=SC2046
        [ "$TESTS" != t ] || run_asan $(asan_part)
        ;;
    all)
        export TEST_ALL=1
        run_stock
        # shellcheck disable=SC2046
        run_asan $(with_nginx)
        ;;
    asan)
        # shellcheck disable=SC2046
        run_asan $(with_nginx)
        ;;
    valgrind)
        TEST_VALGRIND=1 run valgrind "$(nginx -v 2>&1 | sed 's/.*: //') under valgrind" \
            "${VALGRIND_PART[@]/#/t/}"
        ;;
    soak)
        run soak "$(nginx -v 2>&1 | sed 's/.*: //')" -v "${SOAK_PART[@]/#/t/}"
        ;;
    *)
        fail "what is \"$mode\"? Say some, all, asan, valgrind or soak"
        ;;
esac

for log in "${failed[@]}"; do
    report "$log"
done

line=$(printf '; %s' "${counts[@]}")
echo "Result: $result${line}; $SECONDS s"
[ $result = PASS ]
