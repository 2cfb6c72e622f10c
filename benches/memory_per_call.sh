#!/usr/bin/env bash
# Bytes of an established, anchored call: memory of the program with CALLS calls up, less its memory before, by the call.
#
#   benches/memory_per_call.sh
#
#   STROWGER=target/release/strowger   the program; built when this is not given
#   CALLS=1000                         how many calls
set -euo pipefail
cd "$(dirname "$0")/.."
source benches/lib.sh

tests/setup
STROWGER=$(strowger_program)
calls=${CALLS:-1000} caller_port=$(free_port) callee_port=$(free_port)
room=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done; wait; rm -rf "$room"' EXIT
{
    load_config "$room"
    load_gateway "$caller_port"
    printf '[[user]]\nname = "callee"\npassword = "callee-secret"\nmax_calls = 10000\n'
} >"$room/strowger.toml"
"$STROWGER" run --config "$room/strowger.toml" >"$room/log" 2>&1 </dev/null &
strowger=$!
pids+=("$strowger")
target=$(switch_address "$room" "$strowger")
printf 'SEQUENTIAL\ncallee;[authentication username=callee password=callee-secret]\n' >"$room/callee.csv"
load "$room" "$target" register -auth_uri example.com -inf "$room/callee.csv" -p "$callee_port" -m 1 -timeout 10
sipp "$target" -sf scenarios/sipp/load_uas.xml -i 127.0.0.1 -p "$callee_port" -s callee -nostdin -nd >/dev/null 2>&1 </dev/null &
pids+=("$!")
wait_for_udp "$callee_port" "$!"
before=$(private_kib "$strowger")
sipp "$target" -sf scenarios/sipp/load_uac.xml -i 127.0.0.1 -p "$caller_port" -s callee -r 200 -m "$calls" -d 60000 \
    -l "$calls" -timeout 120 -nostdin -nd >/dev/null 2>&1 </dev/null &
pids+=("$!")
# Until all of them are up.
up=0
for ((tick = 0; tick < 600 && up < calls; tick++)); do
    sleep 0.2
    up=$("$STROWGER" calls --data "$room/data" --json 2>/dev/null |
        python3 -c 'import json, sys; print(sum(1 for call in json.load(sys.stdin)["calls"] if call["answered"]))' 2>/dev/null || echo 0)
done
after=$(private_kib "$strowger")
printf '%s\n' "$(uname -srm), $(nproc) cores, $("$STROWGER" --version)"
printf '%10s %14s %14s %16s\n' calls 'before KiB' 'with KiB' 'bytes a call'
printf '%10s %14s %14s %16s\n' "$up" "$before" "$after" $(((after - before) * 1024 / (up > 0 ? up : 1)))
