#!/usr/bin/env bash
# What a registration costs in memory: so many users register once, all with digest, and the growth of the program's
# resident memory is divided by them. All of it counts: the location table, the timers, the store's cache and what the
# allocator keeps. Transactions cost memory by the rate and not by the registration, and the allocator does not give back
# what they leave: so a thousandth of the users first registers again and again at the same rate, for as long as a
# transaction lives, and the growth is counted from there. What that took is printed too.
#
#   benches/memory_per_registration.sh
#
#   STROWGER=target/release/strowger   the program; built when this is not given
#   USERS=100000  RATE=2500            how many users, and how many a second
#
# Needs SIPp. To reach: 1,000 bytes a registration at 100,000.
set -euo pipefail
cd "$(dirname "$0")/.."
source benches/lib.sh

STROWGER=$(strowger_program)
users=${USERS:-100000} rate=${RATE:-2500} password=load-secret
# RFC 3261 section 17.2.2: a transaction over UDP is remembered for 64 x T1 = 32 s.
transaction_s=32

room=$(mktemp -d)
pid=
clean() {
    if [[ -n $pid ]]; then
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    fi
    rm -rf "$room"
}
trap clean EXIT

{
    load_config "$room"
    load_users "$users" "$password"
} >"$room/strowger.toml"
make_users "$users" "$password" >"$room/users.csv"

"$STROWGER" run --config "$room/strowger.toml" >"$room/log" 2>&1 </dev/null &
pid=$!
target=$(switch_address "$room" "$pid")

started=$(private_kib "$pid")
make_users $((users / 1000 + 1)) "$password" >"$room/few.csv"
load "$room" "$target" register -auth_uri example.com -inf "$room/few.csv" -r "$rate" \
    -m $((rate * (transaction_s + 1))) -timeout $((transaction_s * 2 + 30))
before=$(private_kib "$pid")
load "$room" "$target" register -auth_uri example.com -inf "$room/users.csv" -r "$rate" -m "$users" \
    -timeout $((users * 2 / rate + 30))
sleep $((transaction_s + 1))
after=$(private_kib "$pid")
awk -v started="$started" -v before="$before" -v after="$after" \
    -v registered="$(sipp_figure "$room/statistics.csv" 'SuccessfulCall(C)')" \
    -v failed="$(sipp_figure "$room/statistics.csv" 'FailedCall(C)')" 'BEGIN {
    printf "%d registered, %d failed; resident KiB: %d idle, %d with the transactions of the rate, %d with all registered\n",
        registered, failed, started, before, after
    printf "%.0f bytes a registration\n", registered ? (after - before) * 1024 / registered : 0
}'
