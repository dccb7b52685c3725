#!/bin/bash

# The demonstration.  Without keys it brings its own, simulated Intuit; with
#
#     INTUIT_CLIENT_ID=... INTUIT_CLIENT_SECRET=... make demo
#
# it uses the real one (INTUIT_ENVIRONMENT, which is sandbox).  PORT is 8080
# where nothing else is said.  Ends, and cleans up, with Ctrl-C.

set -eu
. "$(dirname "$0")/../tools/steps.sh"

PATH=$PATH:/usr/sbin:/sbin

port=${PORT:-8080}
environment=${INTUIT_ENVIRONMENT:-sandbox}
client_id=${INTUIT_CLIENT_ID:-}
client_secret=${INTUIT_CLIENT_SECRET:-}

dir=
nginx_pid=
sim_pid=


# -- what was asked for -------------------------------------------------------

callback() { echo "http://localhost:$port/intuit/callback"; }

# Can nobody else be reached on this port?
is_free() {
    ! (: < "/dev/tcp/127.0.0.1/$1") 2> /dev/null \
        && ! (: < "/dev/tcp/::1/$1") 2> /dev/null
}

check_keys() {
    [ "$client_id$client_secret" = "" ] && return

    [ -n "$client_id" ] || fail "INTUIT_CLIENT_SECRET is set and" \
        "INTUIT_CLIENT_ID is not; the demo needs both, or none"

    [ -n "$client_secret" ] || fail "INTUIT_CLIENT_ID is set and" \
        "INTUIT_CLIENT_SECRET is not; the demo needs both, or none"

    # both end up in files that nginx reads
    [[ $client_id =~ ^[A-Za-z0-9._-]+$ ]] || fail "INTUIT_CLIENT_ID has" \
        "characters that no client id has; copy it again from Intuit's page"

    [[ $client_secret =~ ^[[:graph:]]+$ ]] || fail "INTUIT_CLIENT_SECRET has" \
        "blanks in it; copy it again from Intuit's page"

    case $environment in
        sandbox) ;;
        production)
            fail "production keys cannot sign in at localhost: for them" \
                "Intuit takes only redirect URIs with https and the name of" \
                "a real host. Use the app's development keys here" \
                "(INTUIT_ENVIRONMENT=sandbox), and production keys on a" \
                "server with a certificate" ;;
        *)
            fail "INTUIT_ENVIRONMENT is \"$environment\"; the demo knows" \
                "only sandbox" ;;
    esac
}

choose_port() {
    local wanted=$port

    [[ $port =~ ^[0-9]{1,5}$ ]] && [ "$port" -ge 1 ] && [ "$port" -le 65535 ] \
        || fail "PORT is \"$port\", which is no port"

    is_free "$port" && return

    if [ -n "$client_id" ]; then
        port=$((wanted < 65535 ? wanted + 1 : wanted - 1))
        fail "port $wanted is taken, and the redirect URI registered at" \
            "Intuit names it. Stop what uses the port, or say" \
            "PORT=$port make demo and register $(callback) as well"
    fi

    until is_free "$port"; do
        port=$((port + 1))
        [ "$port" -le 65535 ] && [ "$port" -lt $((wanted + 100)) ] \
            || fail "ports $wanted to $((port - 1)) are all taken; say PORT="
    done

    echo "Port $wanted is taken; using $port."
}


# -- the processes ------------------------------------------------------------

# shellcheck disable=SC2317
cleanup() {
    local status=$?

    trap '' INT TERM
    trap - EXIT

    for pid in $nginx_pid $sim_pid; do
        kill "$pid" 2> /dev/null || true
    done

    wait

    [ -z "$dir" ] || rm -rf "$dir"

    if [ "$status" = 130 ] || [ "$status" = 143 ]; then
        echo
        echo "Stopped; nothing is left behind."
        status=0
    fi

    exit "$status"
}

start_simulator() {
    # The simulator ends when the other end of this pipe does, that is, with
    # this script, whatever becomes of it.
    mkfifo "$dir/alive"
    exec 9<> "$dir/alive"

    # --nonce echo: that none comes back is accepted from the real Intuit only
    node "$TOP/t/sim/main.mjs" --die-with-parent --ready "$dir/sim.json" \
        --nonce echo \
        --client-id "$client_id" --client-secret "$client_secret" \
        --redirect-uri "$(callback)" \
        --public-base "http://localhost:$port/simulated-intuit" \
        < "$dir/alive" > /dev/null 2> "$dir/sim.log" 9>&- &
    sim_pid=$!

    wait_for "$sim_pid" test -s "$dir/sim.json" \
        || fail "the simulated Intuit does not start: $(cat "$dir/sim.log")"

    sim=$(sed -n 's/.*"base":"\([^"]*\)".*/\1/p' "$dir/sim.json")
}

# Fills in nginx.conf; the lines of the simulator and of IPv6 go where there
# is none.
write_conf() {
    local module="$BUILD/release/ngx_http_intuit_auth_module.so" drop=

    [ -n "$sim" ] || drop+='/# simulator$/d;'
    grep -qs '^0\{31\}1 ' /proc/net/if_inet6 || drop+='/# IPv6$/d;'

    sed -e "$drop" -e "s|%%MODULE%%|$module|" -e "s|%%DIR%%|$dir|" \
        -e "s|%%SIM%%|$sim|" -e "s|%%PORT%%|$port|" \
        -e "s|%%ENVIRONMENT%%|$environment|" \
        -e "s|%%CLIENT_ID%%|$client_id|" \
        "$TOP/t/demo/nginx.conf" > "$dir/nginx.conf"
}

start_nginx() {
    mkdir "$dir/logs" "$dir/temp"

    # a copy: nginx's workers may not be allowed to read this tree
    cp -R "$TOP/t/demo/html" "$dir/html"
    chmod -R a+rX "$dir/html"

    (umask 077 && printf '%s\n' "$client_secret" > "$dir/client_secret")

    write_conf

    nginx -p "$dir/" -c nginx.conf -e logs/error.log \
        < /dev/null > "$dir/nginx.log" 2>&1 9>&- &
    nginx_pid=$!

    wait_for "$nginx_pid" eval '! is_free "$port"' \
        || fail "nginx does not start:" \
            "$(cat "$dir/nginx.log" "$dir/logs/error.log" 2> /dev/null)"
}

# wait_for PID COMMAND...: until the command succeeds, for ten seconds, and
# only while the process is there
wait_for() {
    local pid=$1
    shift

    for _ in {1..200}; do
        "$@" && kill -0 "$pid" 2> /dev/null && return
        kill -0 "$pid" 2> /dev/null || return 1
        sleep 0.05
    done

    return 1
}


# -- what is said -------------------------------------------------------------

explain_simulated() {
    cat << END

  The demo is ready:  http://localhost:$port/

  Open it in a browser. A simulated Intuit, which runs on this machine only,
  asks who you are and which company to connect; there is no password.
  For the real one, with the development keys of an app of yours:

      INTUIT_CLIENT_ID=... INTUIT_CLIENT_SECRET=... make demo

  Log: $dir/logs/error.log
  Ctrl-C stops it.

END
}

explain_real() {
    cat << END

  The demo is ready:  http://localhost:$port/

  Before the first login, once: at https://developer.intuit.com open your
  app, "Keys & credentials", "Development", "Redirect URIs", "Add URI", enter

      $(callback)

  exactly like this, and save. Then open the address above and sign in as the
  administrator of a sandbox company.

  Log: $dir/logs/error.log
  Ctrl-C stops it.

END
}


check_keys
choose_port

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

with=${client_id:+, with your keys}
echo "Starting nginx${with:- and a simulated Intuit} on port $port."

dir=$(mktemp -d "${TMPDIR:-/tmp}/intuit-demo-XXXXXX")
chmod 711 "$dir"
sim=

if [ -n "$client_id" ]; then
    start_nginx
    explain_real
else
    client_id=demo-client-id
    client_secret=demo-$(openssl rand -hex 16)
    start_simulator
    start_nginx
    explain_simulated
fi

status=0
wait -n "$nginx_pid" $sim_pid || status=$?

echo "nginx or the simulator ended by itself, with status $status" >&2
tail -n 20 "$dir/logs/error.log" "$dir"/*.log >&2
exit 1
