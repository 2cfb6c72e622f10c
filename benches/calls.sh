#!/usr/bin/env bash
# What a call without media costs a switch: SIPp calls a registered SIPp through it at given rates, INVITE to BYE, and the
# CPU that the switch's processes used is divided by the calls. The caller is trusted: it is not asked for a password.
#
#   benches/calls.sh ADDRESS:PORT "PID ..." [RATE ...]
#
#   CALLEE=u000000   the user that is called, PASSWORD=load-secret its password; it is registered first, with digest
#   CALLER_PORT=15080  the port that the calls come from: configure it as a trusted gateway, where that is needed
#   HOLD_MS=1000     how long a call stands
#   SECONDS_EACH=5   how long each rate (calls a second; 100 250 500 when none is given) is held
#
# Prints a table, or JSON lines with JSON=1. For Kamailio: benches/peers/kamailio.sh start, then
# benches/calls.sh 127.0.0.1:15060 "$(benches/peers/kamailio.sh pids)".
set -euo pipefail
cd "$(dirname "$0")/.."
source benches/lib.sh
(($# >= 2)) || usage "$0"

target=$1
read -r -a pids <<<"$2"
shift 2
rates=("${@:-100 250 500}")
read -r -a rates <<<"${rates[*]}"
callee=${CALLEE:-u000000} password=${PASSWORD:-load-secret} caller_port=${CALLER_PORT:-15080}
hold_ms=${HOLD_MS:-1000} seconds=${SECONDS_EACH:-5}

room=$(mktemp -d)
callee_pid=
trap '[[ -z $callee_pid ]] || { kill -KILL "$callee_pid"; wait "$callee_pid"; } 2>/dev/null || true; rm -rf "$room"' EXIT

callee_port=$(free_port)
printf 'SEQUENTIAL\n%s;[authentication username=%s password=%s]\n' "$callee" "$callee" "$password" >"$room/callee.csv"
load "$room" "$target" register -auth_uri example.com -inf "$room/callee.csv" -p "$callee_port" -m 1 -timeout 10
if (($(sipp_figure "$room/statistics.csv" 'SuccessfulCall(C)') != 1)); then
    echo "calls.sh: $callee could not register at $target" >&2
    exit 1
fi
sipp "$target" -sf scenarios/sipp/load_uas.xml -i 127.0.0.1 -p "$callee_port" -s "$callee" -nostdin -nd \
    >/dev/null 2>&1 </dev/null &
callee_pid=$!
wait_for_udp "$callee_port" "$callee_pid"

heading call "$(idle_cpu "${pids[@]}")"
for rate in "${rates[@]}"; do
    count=$((rate * seconds))
    before=$(cpu_ms "${pids[@]}")
    load "$room" "$target" load_uac -p "$caller_port" -s "$callee" -r "$rate" -m "$count" -d "$hold_ms" \
        -l $((rate * (hold_ms / 1000 + 2))) -timeout $((seconds * 3 + 20))
    settle
    row "$room" "$rate" "$count" $(($(cpu_ms "${pids[@]}") - before)) "$(private_kib "${pids[@]}")"
done
