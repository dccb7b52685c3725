# shellcheck shell=bash
#
# Sourced by the other scripts: one line of progress for each step; what the
# commands print goes to build/NAME.log, and is shown when a step fails.  On a
# terminal the line tells meanwhile how long it has taken, and what is going on.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD="$TOP/build"


# step LOGNAME TEXT COMMAND...
step() {
    local log="$BUILD/$1.log" text=$2 start=$SECONDS status watcher=
    shift 2

    mkdir -p "$BUILD"
    printf '%s ... ' "$text"

    if [ -t 1 ]; then
        : > "$log"
        watch_step "$log" "$text" &
        watcher=$!
    fi

    # not "|| status=$?": that would switch off set -e inside
    set +e
    ( set -e; "$@" ) < /dev/null > "$log" 2>&1
    status=$?
    set -e

    if [ -n "$watcher" ]; then
        kill "$watcher" 2> /dev/null
        wait "$watcher" 2> /dev/null || true
        printf '\r\033[K%s ... ' "$text"
    fi

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


# Until it is killed; ends by itself when whoever started it is gone.
watch_step() {
    local log=$1 text=$2 start=$SECONDS columns line
    columns=$({ stty size < /dev/tty; } 2> /dev/null) || columns=
    columns=${columns#* }
    [ "${columns:-0}" -ge 20 ] || columns=80

    while sleep 1 && kill -0 $$ 2> /dev/null; do
        line=$(tail -c 400 "$log" | tr -cs '[:print:]\n' ' ' | tail -n 1)
        line="$text ... $((SECONDS - start)) s  $line"
        printf '\r\033[K%s' "${line:0:columns - 1}"
    done
}


# fail TEXT...
fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}
