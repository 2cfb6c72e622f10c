#!/usr/bin/env bash
# Strowger beside Kamailio in one run: CPU of a digest registration and of a call from INVITE to BYE without media, rate
# by rate, as a ratio. The two take turns at each rate, round after round, so that what else the machine does falls on both.
#
#   benches/beside_kamailio.sh
#
#   STROWGER=target/release/strowger   the program; built when this is not given
#   USERS=1000                         how many users both know
#   REGISTRATION_RATES="500 2000"  CALL_RATES="100 500"  SECONDS_EACH=5
#   ROUNDS=3                           so often each rate is measured; the median counts, and the spread of the ratio is told
#
# Needs SIPp and Kamailio: `tests/setup peers` installs them. Strowger runs with its data in a temporary folder, and
# keeps its promises while it is measured: a binding is on disk before its 200, and media is anchored.
set -euo pipefail
cd "$(dirname "$0")/.."
source benches/lib.sh

tests/setup peers
STROWGER=$(strowger_program)
users=${USERS:-1000} rounds=${ROUNDS:-3} password=load-secret
caller_port=$(free_port)
KAMAILIO_PORT=$(free_port)
export PASSWORD=$password USERS=$users CALLER_PORT=$caller_port KAMAILIO_PORT JSON=1

# Users behind those that register: no contact that has died with its SIPp rings beside a callee.
CALLEES_MAX=100

room=$(mktemp -d)
strowger_pid=
clean() {
    if [[ -n $strowger_pid ]]; then
        kill -TERM "$strowger_pid" 2>/dev/null || true
        for ((tick = 0; tick < 200; tick++)); do
            kill -0 "$strowger_pid" 2>/dev/null || break
            sleep 0.05
        done
        kill -KILL "$strowger_pid" 2>/dev/null || true
    fi
    benches/peers/kamailio.sh stop
    rm -rf "$room"
}
trap clean EXIT

{
    load_config "$room"
    load_gateway "$caller_port"
    load_users "$((users + CALLEES_MAX))" "$password"
} >"$room/strowger.toml"

"$STROWGER" run --config "$room/strowger.toml" >"$room/log" 2>&1 </dev/null &
strowger_pid=$!
strowger=$(switch_address "$room" "$strowger_pid")
benches/peers/kamailio.sh start
kamailio="127.0.0.1:$KAMAILIO_PORT"
kamailio_pids=$(benches/peers/kamailio.sh pids)

callees=0
# Measures both at one rate, and prints one line of the table.
compare() {
    local script=$1 what=$2 rate=$3 round
    : >"$room/ours"
    : >"$room/theirs"
    for ((round = 0; round < rounds; round++)); do
        # A callee of its own: contacts of an earlier round's callee, or of the registrations, would ring as well,
        # unanswered for half a minute.
        callees=$((callees + 1))
        CALLEE=$(printf 'u%06d' "$((users + callees - 1))")
        export CALLEE
        "benches/$script" "$strowger" "$strowger_pid" "$rate" >>"$room/ours"
        "benches/$script" "$kamailio" "$kamailio_pids" "$rate" >>"$room/theirs"
    done
    python3 - "$what" "$rate" "$room/ours" "$room/theirs" <<'END'
import json, statistics, sys
what, rate = sys.argv[1:3]
ours, theirs = ([json.loads(line) for line in open(path)] for path in sys.argv[3:5])
cpu = lambda rows: [row["cpu_us_each"] for row in rows]
ratios = [one / other if other else float("nan") for one, other in zip(cpu(ours), cpu(theirs))]
middle, failed = statistics.median, lambda rows: sum(row["failed"] for row in rows)
spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
print(f"{what:>14} {rate:>8} {middle(cpu(ours)):>12.1f} {middle(cpu(theirs)):>12.1f} {middle(ratios):>8.2f} {spread:>11}"
      f" {failed(ours):>8} {failed(theirs):>8} {ours[-1]['memory_kib']:>10} {theirs[-1]['memory_kib']:>10}")
END
}

printf '%14s %8s %12s %12s %8s %11s %8s %8s %10s %10s\n' \
    what rate/s 'ours us' 'kamailio us' ratio 'from-to' failed failed 'KiB' 'KiB'
for rate in ${REGISTRATION_RATES-500 2000}; do
    compare registrations.sh registration "$rate"
done
for rate in ${CALL_RATES:-100 500}; do
    compare calls.sh call "$rate"
done
