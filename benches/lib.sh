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
