# What the measuring scripts share; sourced, never run.

# The process ids below and including one process, on one line.
process_tree() {
    local all=("$1") next=("$1") children
    while ((${#next[@]})); do
        children=$(cat $(printf '/proc/%s/task/*/children ' "${next[@]}") 2>/dev/null || true)
        read -r -a next <<<"$(tr '\n' ' ' <<<"$children")"
        all+=("${next[@]}")
    done
    echo "${all[@]}"
}

# The CPU time that processes have used, user and system, all threads, in milliseconds.
cpu_ms() {
    local pid hz
    hz=$(getconf CLK_TCK)
    for pid in "$@"; do
        # The command in field 2 may hold spaces: cut behind its closing parenthesis. Fields 14 and 15 become 12 and 13.
        sed 's/^.*) //' "/proc/$pid/stat"
    done | awk -v hz="$hz" '{ ticks += $12 + $13 } END { printf "%d\n", ticks * 1000 / hz }'
}

# Resident memory of processes without what they share with each other, in KiB.
private_kib() {
    local pid
    for pid in "$@"; do
        cat "/proc/$pid/smaps_rollup"
    done | awk '/^Pss:/ { kib += $2 } END { print kib }'
}

# Waits until a process holds a UDP port on loopback: 10 s at most.
wait_for_udp() {
    local port=$1 pid=$2 tick
    for ((tick = 0; tick < 200; tick++)); do
        kill -0 "$pid" 2>/dev/null || return 1
        [[ -z $(awk -v want="$(printf '0100007F:%04X' "$port")" '$2 == want' /proc/net/udp) ]] || return 0
        sleep 0.05
    done
    return 1
}

# One figure of the last line of a SIPp statistics file, by its column's name.
sipp_figure() {
    awk -F';' -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) column = i } END { print $column + 0 }' "$1"
}

# A UDP port that nobody holds now, on loopback.
free_port() {
    python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# How a script is used: its head comment.
usage() {
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$1" >&2
    exit 2
}

# The users' file of a load: u000000 and so on, all with one password.
make_users() {
    awk -v count="$1" -v password="$2" 'BEGIN {
        print "SEQUENTIAL"
        for (i = 0; i < count; i++) {
            name = sprintf("u%06d", i)
            printf "%s;[authentication username=%s password=%s]\n", name, name, password
        }
    }'
}

# Runs a scenario: room, target, scenario, then SIPp's arguments. Its statistics are in ROOM/statistics.csv afterwards.
# Failed calls are counted there, and are no failure of the run.
load() {
    local room=$1 target=$2 scenario=$3
    shift 3
    rm -f "$room/statistics.csv"
    sipp "$target" -sf "scenarios/sipp/$scenario.xml" -i 127.0.0.1 -nostdin -nd -deadcall_wait 0 \
        -trace_stat -stf "$room/statistics.csv" -fd 1 "$@" >"$room/out" 2>&1 </dev/null || true
    if [[ ! -s $room/statistics.csv ]]; then
        cat "$room/out" >&2
        return 1
    fi
}

# Lets what a load left behind (last transactions, timers that fire) be paid before the clock is read.
settle() {
    sleep 1
}

# The CPU that processes use while nobody asks anything of them, in milliseconds a second, over two seconds.
idle_cpu() {
    local before
    before=$(cpu_ms "$@")
    sleep 2
    echo $((($(cpu_ms "$@") - before) / 2))
}

# The table's head: what is counted, and the idle CPU, which is in the figures below.
heading() {
    [[ ${JSON:-} == 1 ]] && return
    echo "idle: $2 ms of CPU a second, included below"
    printf '%10s %10s %8s %8s %10s %10s %14s %12s\n' 'rate/s' "${1}s" failed resent 'reached/s' 'CPU ms' "CPU us/$1" 'memory KiB'
}

# One line of the table: room, rate, count, CPU ms, memory.
row() {
    local done_ failed resent rate_reached per
    done_=$(sipp_figure "$1/statistics.csv" 'SuccessfulCall(C)')
    failed=$(sipp_figure "$1/statistics.csv" 'FailedCall(C)')
    resent=$(sipp_figure "$1/statistics.csv" 'Retransmissions(C)')
    rate_reached=$(sipp_figure "$1/statistics.csv" 'CallRate(C)')
    per=$(awk -v ms="$4" -v n="$done_" 'BEGIN { printf "%.1f", n ? ms * 1000 / n : 0 }')
    if [[ ${JSON:-} == 1 ]]; then
        printf '{"rate":%s,"asked":%s,"done":%s,"failed":%s,"retransmissions":%s,"rate_reached":%s,"cpu_ms":%s,"cpu_us_each":%s,"memory_kib":%s}\n' \
            "$2" "$3" "$done_" "$failed" "$resent" "$rate_reached" "$4" "$per" "$5"
    else
        printf '%10s %10s %8s %8s %10s %10s %14s %12s\n' "$2" "$done_" "$failed" "$resent" "$rate_reached" "$4" "$per" "$5"
    fi
}

# The program that is measured: $STROWGER, or the release build.
strowger_program() {
    if [[ -z ${STROWGER:-} ]]; then
        cargo build --release --quiet >&2
        STROWGER=${CARGO_TARGET_DIR:-target}/release/strowger
    fi
    echo "$STROWGER"
}

# The configuration of a switch under load: its data folder in ROOM, MD5 alone (SIPp knows no other), no bound that one
# source address would meet. Users and gateways are added behind it.
load_config() {
    cat <<END
[node]
name = "load"
data = "$1/data"
domains = ["example.com"]
log = "warn"
[sip]
udp = ["127.0.0.1:0"]
[auth]
algorithms = ["MD5"]
[admission]
per_source_rate = 1000000
per_source_burst = 1000000
calls_max = 100000
[http]
listen = "127.0.0.1:0"
END
}

# The load generator as a neighbour that is trusted by its address, on PORT.
load_gateway() {
    # Not probed: SIPp answers no OPTIONS. More channels than any load has calls at a time.
    printf '[[gateway]]\nname = "load"\naddress = "127.0.0.1:%s"\nprobe = "0s"\nchannels_max = 100000\n' "$1"
}

# COUNT users with one password, named as make_users names them.
load_users() {
    awk -v count="$1" -v password="$2" 'BEGIN {
        for (i = 0; i < count; i++)
            printf "[[user]]\nname = \"u%06d\"\npassword = \"%s\"\nmax_calls = 10000\n", i, password
    }'
}

# Waits until the switch with its data in ROOM and this process id serves, and prints its SIP address: 60 s at most.
switch_address() {
    local room=$1 pid=$2 tick
    for ((tick = 0; tick < 1200; tick++)); do
        [[ ! -s $room/data/switch.json ]] || break
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    python3 -c '
import json, sys
found = json.load(open(sys.argv[1]))["sip"]["udp"]
print(found if isinstance(found, str) else found[0])' "$room/data/switch.json" || {
        cat "$room/log" >&2
        return 1
    }
}
