#!/usr/bin/env bash
# The same work through Strowger and through the peers of this machine, in tables of ratios, one after the other: CPU of a registration
# and of a call beside Kamailio, the highest rates beside Kamailio, and a relayed packet beside rtpengine.
#
#   benches/peers/all.sh
#
#   STROWGER=target/release/strowger   the program; built when this is not given
set -euo pipefail
cd "$(dirname "$0")/../.."
source benches/lib.sh

tests/setup peers
STROWGER=$(strowger_program)
export STROWGER
for bench in benches/beside_kamailio.sh benches/peers/highest.sh benches/relay.sh; do
    printf '\n== %s\n' "$bench"
    "$bench"
done
