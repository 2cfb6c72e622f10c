#!/usr/bin/env bash
# The highest rate that each switch of this machine takes without a failure, found by `strowger load`, in one table of ratios:
# ours, and Debian's Kamailio, where it is installed. Calls without sound, INVITE to BYE, and registrations with digest.
#
#   benches/peers/highest.sh
#
#   STROWGER=target/release/strowger   the program; built when this is not given
#   STEP=4s FROM=200 GRANULARITY=50 TALK=0ms THRESHOLD=1s
#
# The generator shares the processors with the switch. Kamailio is a proxy and its registrar keeps bindings in memory; ours is a
# back-to-back user agent that writes each binding to disk before its 200.
set -euo pipefail
cd "$(dirname "$0")/../.."
source benches/lib.sh

STROWGER=$(strowger_program)
password=load-secret users=200
KAMAILIO_PORT=$(free_port) CALLER_PORT=$(free_port)
export PASSWORD=$password USERS=$users CALLER_PORT KAMAILIO_PORT
room=$(mktemp -d)
strowger_pid=
clean() {
    if [[ -n $strowger_pid ]]; then
        kill -TERM "$strowger_pid" 2>/dev/null || true
        wait "$strowger_pid" 2>/dev/null || true
    fi
    benches/peers/kamailio.sh stop
    rm -rf "$room"
}
trap clean EXIT

list() { awk -v from="$1" -v to="$2" -v p="$password" 'BEGIN { for (i = from; i < to; i++) printf "u%06d,%s\n", i, p }'; }
list 0 50 >"$room/callers"
list 50 100 >"$room/callees"
list 100 200 >"$room/registering"
{
    load_config "$room"
    load_users "$users" "$password"
} >"$room/strowger.toml"
"$STROWGER" run --config "$room/strowger.toml" >"$room/log" 2>&1 </dev/null &
strowger_pid=$!
addresses=("strowger $(switch_address "$room" "$strowger_pid")")
if command -v kamailio >/dev/null; then
    benches/peers/kamailio.sh start
    addresses+=("kamailio 127.0.0.1:$KAMAILIO_PORT")
fi

how=(--no-ceiling --json --step "${STEP:-4s}" --from "${FROM:-200}" --granularity "${GRANULARITY:-50}" --threshold "${THRESHOLD:-1s}")
for pair in "${addresses[@]}"; do
    read -r name address <<<"$pair"
    "$STROWGER" load "$address" "${how[@]}" --callers "$room/callers" --callees "$room/callees" \
        --sound none --talk "${TALK:-0ms}" >"$room/$name.calls" || true
    "$STROWGER" load "$address" "${how[@]}" --callers "$room/registering" --measure registrations \
        >"$room/$name.registrations" || true
done
python3 - "$room" "${addresses[@]%% *}" <<'END'
import json, sys
room, names = sys.argv[1], sys.argv[2:]
print(f"{'peer':<12} {'what':<14} {'highest/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'of ours':>8}")
ours = {}
for name in names:
    for what, delay in (("calls", "srd_ms"), ("registrations", "rrd_ms")):
        told = json.load(open(f"{room}/{name}.{what}"))
        rate = told.get("rate") or 0
        ours.setdefault(what, rate)
        good = [one for one in told.get("tried", []) if one["passed"]]
        delays = (good[-1]["figures"][delay] if good else None) or {"p50": float("nan"), "p99": float("nan")}
        ratio = rate / ours[what] if ours[what] else float("nan")
        print(f"{name:<12} {what:<14} {rate:>10.0f} {delays['p50']:>8.2f} {delays['p99']:>8.2f} {ratio:>8.2f}")
        if not good:
            reasons = told.get("error") or told["tried"][-1]["figures"]["failures"]
            print(f"             {reasons}")
END
