#!/bin/bash

# Draws the pages that the documents show, into docs/screenshots/, by the test
# that looks at them: each in light and dark, narrow and wide.  Few colours
# and no notes inside, so that a picture has some ten kilobytes.

set -eu
. "$(dirname "$0")/steps.sh"

for tool in pngquant optipng; do
    command -v $tool > /dev/null || fail "there is no $tool: apt-get install" \
        "pngquant optipng"
done

drawn=$(mktemp -d)
trap 'rm -rf "$drawn"' EXIT

cd "$TOP"
TEST_SHOTS=$drawn prove -I t/lib t/pages-axe*

mkdir -p docs/screenshots
rm -f docs/screenshots/*.png

for page in demo status error connected sign-out; do
    for picture in "$drawn/$page"-{light,dark}-{narrow,wide}.png; do
        pngquant --strip --speed 1 --output \
            "docs/screenshots/$(basename "$picture")" 64 "$picture"
    done
done

optipng -quiet -o5 -strip all docs/screenshots/*.png
du -b docs/screenshots/*.png
