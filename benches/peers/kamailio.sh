#!/usr/bin/env bash
# Starts and stops the peer, and says which processes it is.
#
#   benches/peers/kamailio.sh start    starts it on 127.0.0.1:$KAMAILIO_PORT (default 15060), answers when it listens
#   benches/peers/kamailio.sh pids     its process ids: the main one and its children
#   benches/peers/kamailio.sh cpu      the CPU that they have used, in milliseconds
#   benches/peers/kamailio.sh stop     ends it
#
#   KAMAILIO_CFG=benches/peers/kamailio.cfg  KAMAILIO_TCP=1 for TCP too
#
# Only the process that `start` started is ever ended. Needs Debian's kamailio: `tests/setup peers` installs it.
set -euo pipefail
cd "$(dirname "$0")/../.."
source benches/lib.sh

port=${KAMAILIO_PORT:-15060}
room=${KAMAILIO_DIR:-$PWD/target/peers/kamailio-$port}
shared_mib=512
package_mib=16

alive() {
    [[ -s $room/pid ]] && [[ $(cat "/proc/$(cat "$room/pid")/comm" 2>/dev/null) == kamailio ]]
}

case ${1:-} in
start)
    if alive; then
        echo "kamailio.sh: runs already, as process $(cat "$room/pid")" >&2
        exit 1
    fi
    mkdir -p "$room"
    # -DD: no daemon, so that the process id is known, but with its children.
    listens=(-l "udp:127.0.0.1:$port")
    [[ -z ${KAMAILIO_TCP:-} ]] || listens+=(-l "tcp:127.0.0.1:$port")
    setsid kamailio -DD -E -f "${KAMAILIO_CFG:-benches/peers/kamailio.cfg}" "${listens[@]}" -w "$room" -Y "$room" \
        -m "$shared_mib" -M "$package_mib" >"$room/log" 2>&1 </dev/null &
    echo $! >"$room/pid"
    wait_for_udp "$port" "$(cat "$room/pid")" || {
        cat "$room/log" >&2
        exit 1
    }
    ;;
pids)
    alive && process_tree "$(cat "$room/pid")"
    ;;
cpu)
    alive && cpu_ms $(process_tree "$(cat "$room/pid")")
    ;;
stop)
    if alive; then
        kill -TERM "$(cat "$room/pid")"
        for ((tick = 0; tick < 100; tick++)); do
            alive || break
            sleep 0.05
        done
    fi
    rm -rf "$room"
    ;;
*)
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
