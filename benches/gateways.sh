#!/usr/bin/env bash
# What it costs to watch gateways: CPU of the program with 1,000 gateways that it asks by OPTIONS every 10 s, less that of one
# without any. The gateways are one socket that answers 200, at as many loopback addresses.
#
#   benches/gateways.sh
#
#   STROWGER=target/release/strowger   the program; built when this is not given
#   GATEWAYS=1000                      how many
#   SECONDS_EACH=30                    for how long each is measured, after 12 s of its start
set -euo pipefail
cd "$(dirname "$0")/.."
source benches/lib.sh

STROWGER=$(strowger_program)
export STROWGER GATEWAYS=${GATEWAYS:-1000} SECONDS_EACH=${SECONDS_EACH:-30}
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
echo "$(uname -srm), $(nproc) cores, $("$STROWGER" --version)"
exec python3 - "$room" <<'END'
import os, socket, subprocess, sys, threading, time

room, program = sys.argv[1], os.environ["STROWGER"]
many, seconds = int(os.environ["GATEWAYS"]), int(os.environ["SECONDS_EACH"])
carrier = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
carrier.bind(("0.0.0.0", 0))
asked = 0

def answer():
    global asked
    while True:
        request, sender = carrier.recvfrom(4096)
        asked += 1
        lines = request.decode().split("\r\n")
        copied = [line for line in lines if line.split(":")[0] in ("Via", "From", "Call-ID", "CSeq")]
        to = next(line for line in lines if line.startswith("To:")) + ";tag=x"
        told = ["SIP/2.0 200 OK", *copied, to, "Content-Length: 0", "", ""]
        carrier.sendto("\r\n".join(told).encode(), sender)

threading.Thread(target=answer, daemon=True).start()

def measure(count):
    folder = os.path.join(room, str(count))
    os.makedirs(folder)
    with open(os.path.join(folder, "strowger.toml"), "w") as config:
        config.write(f'[node]\nname = "bench"\ndata = "{folder}"\ndomains = ["example.com"]\nshards = 1\n')
        config.write('[sip]\nudp = ["127.0.0.1:0"]\n[http]\nlisten = "127.0.0.1:0"\n[media]\nports = "0"\n')
        for n in range(count):
            address = f"127.1.{n // 250}.{n % 250 + 1}:{carrier.getsockname()[1]}"
            config.write(f'[[gateway]]\nname = "g{n}"\naddress = "{address}"\n')
    with open(os.path.join(folder, "log"), "w") as log:
        switch = subprocess.Popen([program, "run", "--config", config.name], stdout=log, stderr=log)
    try:
        time.sleep(12)
        # Nanoseconds on the CPU, of all threads (proc(5): schedstat).
        used = lambda: sum(int(open(f"/proc/{switch.pid}/task/{task}/schedstat").read().split()[0])
                           for task in os.listdir(f"/proc/{switch.pid}/task"))
        before, asked_before, began = used(), asked, time.monotonic()
        time.sleep(seconds)
        lasted = time.monotonic() - began
        return (used() - before) / 1e7 / lasted, (asked - asked_before) / lasted
    finally:
        switch.terminate()
        switch.wait()

print(f"{'gateways':>9} {'percent of a core':>18} {'probes a second':>16}")
idle, _ = measure(0)
print(f"{0:>9} {idle:>18.2f} {0:>16.1f}")
busy, rate = measure(many)
print(f"{many:>9} {busy:>18.2f} {rate:>16.1f}")
print(f"watching {many} gateways costs {busy - idle:.2f} % of a core; the goal is below 1 %")
END
