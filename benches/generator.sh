#!/usr/bin/env bash
# The generator's own ceiling beside one SIPp's, on this machine: calls without sound, INVITE to BYE, between a caller and a
# callee of the same make with no switch between them. Nothing may fail, and SIPp may not fall behind its rate by 5 %.
#
#   benches/generator.sh [SECONDS]
#
# Of SIPp the rate grows by a quarter until it fails; of ours it is the search of `strowger load` (RFC 7502 section 6.1).
set -euo pipefail
cd "$(dirname "$0")/.."
source benches/lib.sh
seconds=${1:-4}

strowger=$(strowger_program)
room=$(mktemp -d)
callee=
trap '[[ -z $callee ]] || { kill -KILL "$callee"; wait "$callee"; } 2>/dev/null || true; rm -rf "$room"' EXIT

port=$(free_port)
sipp -sn uas -i 127.0.0.1 -p "$port" -nostdin -nd >/dev/null 2>&1 </dev/null &
callee=$!
wait_for_udp "$port" "$callee"
rate=1000 best=0
while :; do
    rm -f "$room/statistics.csv"
    sipp "127.0.0.1:$port" -sn uac -i 127.0.0.1 -nostdin -nd -d 0 -deadcall_wait 0 -r "$rate" -m $((rate * seconds)) -l 100000 \
        -timeout $((seconds * 3 + 10)) -trace_stat -stf "$room/statistics.csv" -fd 1 >"$room/out" 2>&1 </dev/null || true
    failed=$(sipp_figure "$room/statistics.csv" 'FailedCall(C)')
    reached=$(sipp_figure "$room/statistics.csv" 'CallRate(C)')
    done_=$(sipp_figure "$room/statistics.csv" 'SuccessfulCall(C)')
    echo "SIPp: $rate asked, $reached reached, $done_ done, $failed failed"
    awk -v r="$reached" -v a="$rate" -v f="$failed" 'BEGIN { exit !(f == 0 && r >= 0.95 * a) }' || break
    best=$rate
    rate=$((rate * 5 / 4))
done

# A switch is there, and is asked as little as the command allows; the ceiling is measured without it.
"$strowger" load --sound none --talk 0ms --step "${seconds}s" --from 1000 --granularity 200 --json >"$room/load.json" || true
python3 - "$room/load.json" "$best" <<'END'
import json, sys
ours, sipp = json.load(open(sys.argv[1]))["ceiling"]["rate"] or 0, float(sys.argv[2])
print(f"calls a second without a failure: ours {ours:.0f}, one SIPp {sipp:.0f}, ratio {ours / sipp if sipp else 0:.2f}")
END
