#!/bin/bash

# Puts this tree, without what was built in it, into an archive that is the
# same whoever makes it: build/ngx_http_intuit_auth_module-VERSION.tar.gz, and
# prints its name.

set -eu
. "$(dirname "$0")/steps.sh"

version=$(sed -n 's/^#define NGX_HTTP_INTUIT_VERSION *"\(.*\)"$/\1/p' \
    "$TOP/src/ngx_http_intuit_auth_module.h")
name=ngx_http_intuit_auth_module-$version

# the day of the version
changed=$(sed -n 's/^ -- .*>  //p' "$TOP/debian/changelog" | head -n 1)

mkdir -p "$BUILD"

# what is not the tree's: what .gitignore names, and git's own
tar -C "$TOP" --sort=name --mtime="$changed" --format=gnu \
    --owner=0 --group=0 --numeric-owner --mode=u+w,go=u-w \
    --exclude=./build --exclude=node_modules --exclude=./.git \
    --exclude='*.o' --exclude='*.so' --exclude=__pycache__ \
    --transform "s|^\\.|$name|" -cf - . | gzip -9n > "$BUILD/$name.tar.gz"

echo "build/$name.tar.gz"
