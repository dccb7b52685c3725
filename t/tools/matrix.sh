#!/bin/bash

# Builds this tree and runs all its tests on other Debians, each a bare one
# made with debootstrap, and as a part of an nginx binary (--add-module):
#
#     matrix.sh                       bookworm trixie sid static
#     matrix.sh trixie static         these only
#
# One line for each, and the whole of it in build/matrix-NAME.log.  TESTS=
# and JOBS= are those of "make test"; sanitizers are not for here.  Needs
# root.  An archive that does not answer is called that; of sid, whose packages
# may also not fit together for a day, it is forgiven.  Anything else that fails
# is a failure.

set -eu
. "$(dirname "$0")/steps.sh"

[ $# -gt 0 ] || set -- bookworm trixie sid static

test_command="prove -j ${JOBS:-2} -I t/lib -r ${TESTS:-t}"
failed=0


# What the line of a cell begins with; run inside.
# shellcheck disable=SC2016
versions='echo "cell: $(nginx -v 2>&1 | sed "s/.*: //"), gcc $(gcc -dumpfullversion)"'

run_suite() {
    "$TOP/t/tools/chroot.sh" "$1" 'apt-get install -y make' \
        't/tools/setup.sh test' "$versions" 't/tools/build-module.sh release' \
        't/tools/build-module.sh debug' "$test_command"
}

run_static() {
    "$TOP/t/tools/setup.sh" test
    "$TOP/t/tools/static-nginx.sh"

    echo "cell: static $(sed -n 1p "$BUILD/static/version")," \
        "gcc $(gcc -dumpfullversion)"
    cd "$TOP"
    export TEST_VARIANT=static TEST_NGINX="$BUILD/static/nginx"
    $test_command
}

# The last line of its kind in a log, without its name.
said() {
    sed -n "s/^$1//p" "$2" | tail -n 1
}

# What debootstrap and apt-get say of an archive that cannot be reached or read.
no_archive() {
    grep -m 1 -oE "($unreachable).*" "$1" || {
        [ "$2" = sid ] && grep -m 1 -oE "($unfit).*" "$1"
    }
}

unreachable='(E|W): (Failed (getting|to fetch)|Couldn.t download|Invalid Release)'
unreachable+='|(Could not|Unable to) (resolve|connect to) |Temporary failure res'
unfit='The following packages have unmet dependencies|E: .*held broken packages'

report() {
    local name=$1 status=$2 seconds=$3 log=$4 cell counts result skipped why

    cell=$(said 'cell: ' "$log")
    counts=$(said 'Files=' "$log" | sed 's/\([0-9]*\), \(Tests=[0-9]*\).*/\1 \2/')
    result=$(said 'Result: ' "$log")
    skipped=$(grep -c ' skipped: ' "$log" || true)

    # once there is an nginx, it is about us
    if [ "$status" != 0 ] && [ -z "$cell" ] \
       && why=$(no_archive "$log" "$name")
    then
        printf '%-9s the archive does not answer: %s (%s)\n' "$name" "$why" \
            "$log"
        [ "$name" = sid ] || failed=$((failed + 1))
        return 0
    fi

    if [ "$status" = 0 ] && [ "$result" != PASS ]; then
        status=1
        result="no result"
    fi

    printf '%-9s %-35s %s, Files=%s, %s skipped, %d s\n' "$name" \
        "${cell:-does not get as far as nginx}" "${result:-FAIL}" \
        "${counts:-0 Tests=0}" "$skipped" "$seconds"

    if [ "$status" != 0 ]; then
        failed=$((failed + 1))
        grep -E '^t/.*(Failed|Wstat|Dubious)|^E: |: error: |^[a-z-]*\.sh: ' "$log" \
            | tail -n 20 | sed 's/^/    /'
        echo "    $log"
    fi
}


mkdir -p "$BUILD"

for name; do
    log=$BUILD/matrix-$name.log
    start=$SECONDS
    status=0

    case $name in
        static) what=run_static ;;
        *)      what=run_suite ;;
    esac

    # a process of its own, because set -e does not hold in a condition
    ( set -e; "$what" "$name" ) < /dev/null > "$log" 2>&1 &
    wait $! || status=$?

    report "$name" "$status" $((SECONDS - start)) "$log"
done

echo "matrix: $# cells, $failed failed"
[ "$failed" = 0 ]
