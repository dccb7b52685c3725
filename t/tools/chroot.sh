#!/bin/bash

# Tries this tree on a bare Debian: makes one with debootstrap, copies the
# tree in, and runs there, as root,
#
#     apt-get install -y make
#     make demo-check
#     make test
#
# or the commands that are given:
#
#     chroot.sh bookworm
#     chroot.sh trixie 'make demo-check' 'make test TESTS=t/harness.t'
#
# Packages come from where this machine gets its own.  The bare system is
# kept in build/ for the next time; KEEP=1 keeps the used one, too.  Needs
# root; what is mounted is seen by nobody else and goes with the last process.

set -eu
. "$(dirname "$0")/steps.sh"

suite=${1:-}
shift || true

[ $# -gt 0 ] || set -- 'apt-get install -y make' 'make demo-check' 'make test'

[ "$(id -u)" = 0 ] || fail "this needs root"
[[ $suite =~ ^[a-z]+$ ]] || fail "which Debian? Say bookworm, trixie or sid"
command -v debootstrap > /dev/null || fail "please install debootstrap"

codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
base=$BUILD/chroot-$suite.tar
root=


# This machine's package sources that know its own release, and so Debian.
own_sources() {
    grep -ls -E "(^|[[:space:]])$codename([[:space:]]|\$)" \
        /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
        /etc/apt/sources.list.d/*.sources || true
}

mirror() {
    own_sources | xargs -r cat | sed -n \
        -e "s/^URIs: *\([^ ]*\).*/\1/p" \
        -e "s/^deb \(\[[^]]*\] \)\?\([^ ]*\) $codename .*/\2/p" | head -n 1
}

bootstrap() {
    local dir
    dir=$(mktemp -d "${TMPDIR:-/tmp}/intuit-chroot-XXXXXX")

    debootstrap --variant=minbase "$suite" "$dir" "$(mirror)"

    rm -f "$dir"/var/cache/apt/archives/*.deb "$dir"/var/lib/apt/lists/*_*
    tar --one-file-system -C "$dir" -cf "$base.tmp" .
    mv "$base.tmp" "$base"
    rm -rf --one-file-system "$dir"
}

configure_apt() {
    local file

    rm -f "$root"/etc/apt/sources.list

    if [ "$suite" = sid ]; then
        # it has no updates, and no security archive of its own
        echo "deb $(mirror) sid main" > "$root/etc/apt/sources.list"
    else
        for file in $(own_sources); do
            sed "s/\b$codename\b/$suite/g" "$file" > "$root$file"
        done
    fi

    # how packages are fetched here: proxies, the age of a mirror
    while read -r file; do
        grep -q Invoke "$file" || cp "$file" "$root$file"
    done < <(grep -ls '^ *Acquire::' /etc/apt/apt.conf.d/*)

    # it need not survive a loss of power
    echo force-unsafe-io > "$root/etc/dpkg/dpkg.cfg.d/throwaway"

    cp /etc/resolv.conf /etc/hosts "$root/etc/"
}

unpack() {
    tar -C "$root" -xf "$base"
    chmod 755 "$root"
    configure_apt

    # what may change the system looks for it
    touch "$root/etc/intuit-chroot"

    mkdir "$root/tree"
    tar -C "$TOP" --exclude=./build --exclude=./.git --exclude=node_modules \
        -cf - . | tar -C "$root/tree" -xf -
}

# Where npm finds its packages here, and whom it trusts.
npm_settings() {
    command -v npm > /dev/null || return 0

    echo "npm_config_registry=$(npm config get registry 2> /dev/null)"
    cp /etc/ssl/certs/ca-certificates.crt "$root/tmp/ca.crt"
    echo "NODE_EXTRA_CA_CERTS=/tmp/ca.crt"
}

run_inside() {
    local settings=()

    mapfile -t settings < <(npm_settings)

    # shellcheck disable=SC2016
    unshare --mount --pid --fork --kill-child --propagation private \
        /bin/bash -c '
            set -eu
            root=$1
            shift
            mount -t proc proc "$root/proc"
            mount --rbind /dev "$root/dev"
            exec chroot "$root" /usr/bin/env -i HOME=/root TERM=dumb \
                LC_ALL=C.UTF-8 \
                PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
        ' bash "$root" "${settings[@]}" \
        /bin/bash -c '
            cd /tree
            apt-get -q update > /dev/null || exit 1
            for command; do
                echo "$ $command"
                eval "$command" || exit $?
            done
        ' bash "$@"
}

cleanup() {
    if [ -n "$root" ] && [ -n "${KEEP:-}" ]; then
        echo "kept: $root"
    elif [ -n "$root" ]; then
        rm -rf --one-file-system "$root"
    fi
}


mirror | grep -q . || fail "no package source for $codename below /etc/apt"

[ -e "$base" ] || step "chroot-$suite" "making a bare Debian $suite" bootstrap

trap cleanup EXIT
trap 'exit 130' INT TERM
root=$(mktemp -d "${TMPDIR:-/tmp}/intuit-chroot-XXXXXX")

step chroot-unpack "unpacking it, and this tree" unpack
run_inside "$@"
