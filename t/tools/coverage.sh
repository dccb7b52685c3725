#!/bin/bash

# Runs all tests on a module that counts its lines and branches, and prints
# how many were run: for each file, and for all.
#
#     coverage.sh       TESTS=t/one.t: with these tests only
#
# The counts of the tests that start nginx and of the unit tests are added.

set -eu
. "$(dirname "$0")/steps.sh"

dir=$BUILD/coverage
TESTS=${TESTS:-t}
JOBS=${JOBS:-2}

cd "$TOP"

"$(dirname "$0")/build-module.sh" coverage

find "$dir" "$BUILD/coverage-unit" -name '*.gcda' -delete 2> /dev/null || true

# workers count when they end in good order, also as another user
chmod -R a+rwX "$dir/nginx/objs"

echo "running the tests (they are here for their counts: build/coverage.log)"

# shellcheck disable=SC2086
TEST_VARIANT=coverage TEST_ALL=1 prove -j "$JOBS" -I t/lib -r $TESTS \
    > "$BUILD/coverage.log" 2>&1 || true
tail -n 1 "$BUILD/coverage.log"

if [ "$TESTS" = t ]; then
    step coverage-unit "running the unit tests" \
        env -u CFLAGS -u TESTS make -s -j2 -C t/unit run BUILD="$BUILD/coverage-unit" \
            SANITIZE="--coverage -O0"
fi

perl "$(dirname "$0")/coverage.pl" "$dir" "$BUILD/coverage-unit"
