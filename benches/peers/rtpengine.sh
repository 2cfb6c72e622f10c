#!/usr/bin/env bash
# Starts and stops the peer of the media plane: rtpengine in userspace, one thread, on loopback.
#
#   benches/peers/rtpengine.sh start   starts it with its control port at 127.0.0.1:$RTPENGINE_PORT (default 15222), by
#                                      $RELAY_RUN (taskset and the like) where that is given; answers when it listens
#   benches/peers/rtpengine.sh pids    its process id
#   benches/peers/rtpengine.sh stop    ends it
#
# Only the process that `start` started is ever ended. Needs Debian's rtpengine-daemon: `tests/setup peers` installs it.
set -euo pipefail
cd "$(dirname "$0")/../.."
source benches/lib.sh

port=${RTPENGINE_PORT:-15222}
room=${RTPENGINE_DIR:-$PWD/target/peers/rtpengine-$port}
# Outside of the range that the kernel takes ports for others from.
ports_min=12000 ports_max=17999

alive() {
    [[ -s $room/pid ]] && [[ $(cat "/proc/$(cat "$room/pid")/comm" 2>/dev/null) == rtpengine ]]
}

case ${1:-} in
start)
    if alive; then
        echo "rtpengine.sh: runs already, as process $(cat "$room/pid")" >&2
        exit 1
    fi
    mkdir -p "$room"
    read -r -a runner <<<"${RELAY_RUN:-}"
    # A table of -1: it never asks for its kernel module. As little else as it can do: no log line, no time-out of a call.
    setsid "${runner[@]}" rtpengine --config-file=none --foreground --log-stderr --log-level=3 --table=-1 --num-threads=1 \
        --interface=127.0.0.1 --listen-ng="127.0.0.1:$port" --port-min="$ports_min" --port-max="$ports_max" \
        --timeout=3600 --silent-timeout=3600 --delete-delay=0 >"$room/log" 2>&1 </dev/null &
    echo $! >"$room/pid"
    wait_for_udp "$port" "$(cat "$room/pid")" || {
        cat "$room/log" >&2
        exit 1
    }
    ;;
pids)
    alive && cat "$room/pid"
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
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
