#!/bin/bash

# Builds the Debian package of this tree, for the nginx that is installed:
# build/deb/*.deb

set -eu
. "$(dirname "$0")/steps.sh"

dir=$BUILD/deb

package() {
    local archive

    rm -rf "$dir"
    mkdir -p "$dir"

    # in a copy: nothing of it gets into the tree
    archive=$("$TOP/t/tools/dist.sh")
    tar -C "$dir" -xf "$TOP/$archive"
    cd "$dir"/ngx_http_intuit_auth_module-*

    dpkg-buildpackage --build=binary --no-sign
}

step deb "building the package" package

cd "$TOP"
ls build/deb/*.deb
