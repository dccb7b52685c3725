#!/bin/bash

# Installs, tries, upgrades and purges build/deb/*.deb, as an administrator
# would.  Changes the system that it runs on: for chroot.sh only, as root.
#
#     chroot.sh trixie 'apt-get install -y make' 'make deb' \
#         t/tools/package-check.sh
#
# nginx itself is started by the tests only: nothing is asked outside.

set -eu
. "$(dirname "$0")/steps.sh"

PATH=$PATH:/usr/sbin:/sbin
package=libnginx-mod-http-intuit-auth
state=/var/lib/nginx/intuit

[ -e /etc/intuit-chroot ] || fail "not in a chroot of chroot.sh: this would" \
    "change your system"

deb=$(ls "$BUILD"/deb/${package}_*.deb)

say() { printf 'package: %s\n' "$*"; }

apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 "$@"
}

the_same() {
    [ "$1" = "$2" ] || fail "$3: \"$1\" instead of \"$2\""
    say "$3"
}

# A package like this one of another version.
of_version() {
    rm -rf /tmp/repack
    dpkg-deb -R "$deb" /tmp/repack
    sed -i "s/^Version: .*/Version: $1/" /tmp/repack/DEBIAN/control
    dpkg-deb -b /tmp/repack "/tmp/$package.deb" > /dev/null
    echo "/tmp/$package.deb"
}


lintian --fail-on error "$BUILD"/deb/*.changes
say "lintian finds no error"

apt_get install "$deb"
nginx -t
say "installed; nginx loads it"

the_same "$(stat -c '%U %a' $state)" 'www-data 700' "$state is the workers'"
the_same "$(dpkg -S "$(readlink -f /etc/nginx/modules-enabled/*intuit*)" \
    | cut -d: -f1)" $package "load_module is the package's"
man -w 5 ngx_http_intuit_auth_module > /dev/null 2>&1 \
    || ls /usr/share/man/man5/ngx_http_intuit_auth_module.5* > /dev/null
say "there is a man page"

# README's smallest configuration, without its load_module
sed -n '/^load_module/,/^```$/p' "$TOP/README.md" | sed '/^```$/,$d' \
    | sed "s|^load_module.*|include /etc/nginx/modules-enabled/*.conf;|" \
    > /etc/nginx/nginx.conf
printf 'a-secret\n' > /etc/nginx/intuit.secret
chmod 0600 /etc/nginx/intuit.secret
nginx -t
say "README's smallest configuration is taken"

"$TOP/t/tools/setup.sh" test
TEST_MODULE=/usr/lib/nginx/modules/ngx_http_intuit_auth_module.so \
    prove -I t/lib t/*browser*.t t/login*.t t/unattended*.t
say "people and programs are served by the module that was installed"

touch $state/kept
apt_get install "$(of_version 9.0)"
the_same "$(dpkg-query -W -f '${Version}' $package)" 9.0 'upgraded'
apt_get install --allow-downgrades "$deb"
nginx -t
the_same "$(ls $state)" kept 'up and down again, the state is kept'

apt_get remove $package
the_same "$(ls $state)" kept 'removed, the state is kept'
the_same "$(find /etc/nginx/modules-enabled -name '*intuit*' ! -name '*.removed')" \
    '' 'no load_module is left'

apt_get purge $package
[ ! -e $state ] || fail "$state is left"
say "purged: nothing is left"
