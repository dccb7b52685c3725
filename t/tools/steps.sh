# shellcheck shell=bash
#
# Sourced by the other scripts: one line of progress for each step; what the
# commands print goes to build/NAME.log, and is shown when a step fails.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD="$TOP/build"


# step LOGNAME TEXT COMMAND...
step() {
    local log="$BUILD/$1.log" text=$2 start=$SECONDS status
    shift 2

    mkdir -p "$BUILD"
    printf '%s ... ' "$text"

    # not "|| status=$?": that would switch off set -e inside
    set +e
    ( set -e; "$@" ) < /dev/null > "$log" 2>&1
    status=$?
    set -e

    if [ "$status" = 0 ]; then
        printf 'done (%d s)\n' $((SECONDS - start))
        return 0
    fi

    printf 'FAILED\n\n'
    tail -n 40 "$log" | sed 's/^/    /'
    printf '\n%s: %s failed; the whole log is %s\n' "${0##*/}" "$text" \
        "$log" >&2
    return "$status"
}


# fail TEXT...
fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}
