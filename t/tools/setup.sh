#!/bin/bash

# Installs what is missing, and nothing else.
#
#     setup.sh build | demo | test | all | fuzz | analyse | valgrind | matrix
#              | bench | deb
#
# Works on a bare Debian 12 or 13 as root or with sudo.  Where everything is
# there already it changes nothing and needs no root.

set -eu
. "$(dirname "$0")/steps.sh"

PATH=$PATH:/usr/sbin:/sbin

level=${1:-build}
missing=()
optional=()


command_missing() { ! command -v "$1" > /dev/null; }
file_missing()    { [ ! -e "$1" ]; }
fuzzer_missing()  {
    ! ls "$(clang -print-resource-dir 2> /dev/null)"/lib/*/*"$1"* \
        > /dev/null 2>&1
}
pattern_missing() { ! compgen -G "$1" > /dev/null; }

# need PACKAGE PROBE ARGUMENT
need() {
    if "$2" "$3"; then
        missing+=("$1")
    fi
}


need_for_build() {
    need nginx           command_missing nginx
    need nginx-dev       file_missing    /usr/share/nginx/src/conf_flags
    need libjansson-dev  file_missing    /usr/include/jansson.h
    need libssl-dev      file_missing    /usr/include/openssl/evp.h
    need libc6-dev       file_missing    /usr/include/stdio.h
    need "${CC:-gcc}"    command_missing "${CC:-gcc}"
    need make            command_missing make
    need perl            command_missing prove

    # without it nginx cannot verify Intuit's certificates
    need ca-certificates file_missing /etc/ssl/certs/ca-certificates.crt
}

need_for_demo() {
    need_for_build
    need nodejs          command_missing node
    need openssl         command_missing openssl
}

# What t/package.json names.
node_modules_missing() {
    local name

    for name in playwright-core oidc-provider axe-core; do
        if file_missing "$TOP/t/node_modules/$name/package.json"; then
            return 0
        fi
    done

    return 1
}

need_for_test() {
    need_for_demo
    need chromium        command_missing chromium
    need procps          command_missing ps
    need redis-server    command_missing redis-server

    # nginx from source, for AddressSanitizer
    need libpcre2-dev    file_missing    /usr/include/pcre2.h
    need zlib1g-dev      file_missing    /usr/include/zlib.h
    need patch           command_missing patch
    need xz-utils        command_missing xz
    # the clock of some tests
    need libfaketime     pattern_missing \
        '/usr/lib/*/faketime/libfaketime.so.1'

    if node_modules_missing; then
        need npm             command_missing npm
    fi
}

need_for_fuzz() {
    need_for_build
    need clang           command_missing clang
    need libclang-rt-dev fuzzer_missing  fuzzer
}

need_for_analyse() {
    need_for_test
    need clang           command_missing clang
    need clang-tidy      command_missing clang-tidy
    need cppcheck        command_missing cppcheck
}

need_for_deb() {
    need_for_build
    need build-essential  file_missing   /usr/share/doc/build-essential
    need debhelper       command_missing dh
    need fakeroot        command_missing fakeroot
    need lowdown         command_missing lowdown
    need lintian         command_missing lintian
}

# For "make test-all".
need_for_all() {
    need_for_analyse
    need_for_deb
}

need_for_valgrind() {
    need_for_test
    need valgrind        command_missing valgrind
}

need_for_matrix() {
    need_for_test
    need debootstrap     command_missing debootstrap
}

# What is compared with: where Debian has it.  apache2 is not started: nothing
# that is installed here is.
need_for_bench() {
    need_for_demo
    need valgrind        command_missing valgrind
    need wrk             command_missing wrk
    need util-linux      command_missing taskset

    # the bench goes on without what it only compares with
    if command_missing apache2 || file_missing \
        /usr/lib/apache2/modules/mod_auth_openidc.so
    then
        optional+=(apache2 libapache2-mod-auth-openidc)
    fi
}


apt_get() {
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C \
        apt-get -q -y -o Dpkg::Use-Pty=0 "$@"
}

# nginx is wanted as a program: Debian's package would also start it as a
# service, on port 80.
install_quietly() {
    local policy=/usr/sbin/policy-rc.d

    if [ -e "$policy" ]; then
        apt_get install --no-install-recommends "$@"
        return
    fi

    # in a shell of its own, so that Ctrl-C leaves no such file behind
    (
        trap '"${sudo[@]}" rm -f "$policy"' EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM

        printf '#!/bin/sh\nexit 101\n' \
            | "${sudo[@]}" tee "$policy" > /dev/null
        "${sudo[@]}" chmod 755 "$policy"

        apt_get install --no-install-recommends "$@"
    )
}

install_packages() {
    if ls /var/lib/apt/lists/*_Packages* > /dev/null 2>&1 \
       && install_quietly "$@"
    then
        return 0
    fi

    # no package lists, or old ones
    apt_get update
    install_quietly "$@"
}

node_modules() {
    # the versions of package-lock.json; it names no registry, npm's own
    # settings do.  --ignore-scripts: a test needs no browser but Debian's
    cd "$TOP/t"
    npm install --include=dev --ignore-scripts --no-audit --no-fund --no-save
}


case $level in
    build | demo | test | all | fuzz | analyse | valgrind | matrix | bench \
        | deb) \
        "need_for_$level" ;;
    *) fail "what is \"$level\"? See the beginning of this script" ;;
esac

if [ $((${#missing[@]} + ${#optional[@]})) -gt 0 ]; then

    sudo=()

    if [ "$(id -u)" != 0 ]; then
        command -v sudo > /dev/null || fail "not root, and there is no sudo;" \
            "please install: ${missing[*]} ${optional[*]}"
        sudo=(sudo)
        sudo -v
    fi

    command -v apt-get > /dev/null || fail "this is not a Debian;" \
        "please install what Debian calls: ${missing[*]} ${optional[*]}"

    if [ ${#missing[@]} -gt 0 ]; then
        step apt "installing ${missing[*]}" install_packages "${missing[@]}"
    fi

    if [ ${#optional[@]} -gt 0 ]; then
        step apt "installing ${optional[*]}" \
            install_packages "${optional[@]}" \
            || echo "going on without ${optional[*]}"
    fi
fi

case $level in
    build | demo | fuzz | bench | deb) ;;
    *)
        if node_modules_missing; then
            step npm "installing the test's Node modules" node_modules
        fi
        ;;
esac
