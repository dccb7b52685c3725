#!/bin/bash

# Runs the tests on a module that counts its lines and branches, and prints
# how many were run: for each file, and for all (build/coverage.txt); and into
# build/coverage.missed the lines that were not, with what is in them.
#
#     coverage.sh       TESTS=t/one.t: with these tests only
#                       TEST_ALL=1: with what takes longer
#                       ADD=1: to the counts that there are, if the module is
#                       the same
#
# The counts of the tests that start nginx and of the unit tests are added.

set -eu
. "$(dirname "$0")/steps.sh"

dir=$BUILD/coverage
TESTS=${TESTS:-t}
JOBS=${JOBS:-2}

cd "$TOP"

"$(dirname "$0")/build-module.sh" coverage

[ -n "${ADD:-}" ] || find "$dir" "$BUILD/coverage-unit" -name '*.gcda' -delete \
    2> /dev/null || true

# workers count when they end in good order, also as another user
chmod -R a+rwX "$dir/nginx/objs"

echo "running the tests (they are here for their counts: build/coverage.log)"

# those that start nginx; they need not last
# shellcheck disable=SC2046,SC2086
TEST_VARIANT=coverage TEST_SOAK=${TEST_SOAK:-20} prove -j "$JOBS" -I t/lib \
    $(find $TESTS -path '*/node_modules' -prune -o -name '*.t' -exec \
        grep -l '^use Test::Intuit;' {} + | LC_ALL=C sort) \
    > "$BUILD/coverage.log" 2>&1 || true
tail -n 1 "$BUILD/coverage.log"

if [ "$TESTS" = t ]; then
    step coverage-unit "running the unit tests" \
        env -u CFLAGS -u TESTS make -s -j2 -C t/unit run BUILD="$BUILD/coverage-unit" \
            SANITIZE="--coverage -O0"
fi

{
    echo "# $(date -u +%Y-%m-%d) $(git rev-parse --short HEAD || echo unknown)"
    perl "$(dirname "$0")/coverage.pl" "$BUILD/coverage.missed" "$dir" \
        "$BUILD/coverage-unit"
} > "$BUILD/coverage.txt"
cat "$BUILD/coverage.txt"
