#!/usr/bin/env bash
# What a digest registration costs a registrar: SIPp registers users at given rates, and the CPU that the registrar's
# processes used is divided by the registrations. One registration is REGISTER, 401, REGISTER, 200.
#
#   benches/registrations.sh ADDRESS:PORT "PID ..." [RATE ...]
#
#   USERS=1000     how many users register in turn, named u000000, u000001, ...
#   PASSWORD=load-secret  the password of all of them
#   SECONDS_EACH=5   how long each rate (registrations a second; 500 1000 2000 when none is given) is held
#
# Prints a table, or JSON lines with JSON=1. For Kamailio: benches/peers/kamailio.sh start, then
# benches/registrations.sh 127.0.0.1:15060 "$(benches/peers/kamailio.sh pids)".
set -euo pipefail
cd "$(dirname "$0")/.."
source benches/lib.sh
(($# >= 2)) || usage "$0"

target=$1
read -r -a pids <<<"$2"
shift 2
rates=("${@:-500 1000 2000}")
read -r -a rates <<<"${rates[*]}"
users=${USERS:-1000} password=${PASSWORD:-load-secret} seconds=${SECONDS_EACH:-5}

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
make_users "$users" "$password" >"$room/users.csv"

heading registration "$(idle_cpu "${pids[@]}")"
for rate in "${rates[@]}"; do
    count=$((rate * seconds))
    before=$(cpu_ms "${pids[@]}")
    load "$room" "$target" register -auth_uri example.com -inf "$room/users.csv" -r "$rate" -m "$count" \
        -timeout $((seconds * 3 + 20))
    settle
    row "$room" "$rate" "$count" $(($(cpu_ms "${pids[@]}") - before)) "$(private_kib "${pids[@]}")"
done
