#!/usr/bin/env bash
# What a relayed packet costs: CPU of the media pool in both port modes for a packet received and sent, at 500, 100 and 1 flows,
# beside a bare forwarder in two forms and rtpengine in userspace, in one run, on loopback. Phones are generated: 50 packets of 172
# bytes a second from every side, from a socket each; what comes back is compared byte by byte. One core carries the relays, which
# take turns and have one thread each, another the phones, which are not counted; both go before what else the machine does.
#
#   benches/relay.sh
#
#   ROUNDS=5 WINDOW_MS=1500   turns of each relay at each size, and how long a turn is; the figure is the median of turns
#   FLOWS="500 100 1"         sizes
#   BEFORE=target/release/deps/relay-0123   another build of this bench, whose pool takes turns with this one's
#
# connected: two connected sockets a flow, one epoll, recv and send: the least for a relay with a port a side
# batched:   one socket for all, recvmmsg and sendmmsg: the physical limit
# gathering: as connected, but it sleeps half a millisecond between two turns, as the pool does when it is busy
# sleeps:    how often a packet found its relay asleep
# memory:    what the process has grown by, a flow
#
# To reach: at most 1.25 of the bare forwarder and 0.6 of rtpengine; 25 kB of memory a flow. Needs rtpengine:
# `tests/setup peers` installs it.
set -euo pipefail
cd "$(dirname "$0")/.."
source benches/lib.sh

tests/setup peers
program=$(cargo bench --quiet -p media --bench relay --no-run --message-format=json |
    python3 -c 'import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["target"]["name"] == "relay": print(message["executable"])')

# Four descriptors a flow in a relay, and two for the phones of each of four relays.
ulimit -n "$(ulimit -Hn)"
cores=($(python3 -c 'import os; print(*sorted(os.sched_getaffinity(0)))'))
# Ahead of other programs where that is allowed, as on a machine that does nothing else: their work is not in the CPU time,
# but packets that gather meanwhile make batches that no quiet machine sees.
ahead=()
! chrt -f 1 true 2>/dev/null || ahead=(chrt -f 1)
phones=("${ahead[@]}") relays=("${ahead[@]}")
if ((${#cores[@]} > 1)); then
    phones+=(taskset -c "${cores[0]}")
    relays+=(taskset -c "${cores[-1]}")
fi
export RELAY_RUN="${relays[*]}"

RTPENGINE_PORT=$(free_port)
export RTPENGINE_PORT
trap 'benches/peers/rtpengine.sh stop' EXIT

printf '%s; %s cores of %s; rtpengine %s; load %s\n' "$(uname -srm)" "${#cores[@]}" \
    "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" "$(dpkg-query -Wf '${Version}' rtpengine-daemon 2>/dev/null)" \
    "$(cut -d' ' -f1-3 /proc/loadavg)"
"$program" heading
# A peer that has carried nothing before: it closes the sockets of ended calls late, and its memory is compared.
for flows in ${FLOWS:-500 100 1}; do
    benches/peers/rtpengine.sh start
    RTPENGINE=127.0.0.1:$RTPENGINE_PORT RTPENGINE_PID=$(benches/peers/rtpengine.sh pids) \
        "${phones[@]}" timeout 60 "$program" "$flows"
    benches/peers/rtpengine.sh stop
done
