#!/usr/bin/env bash
# The carrier acceptance suite before a foreign switch: Debian's Kamailio, as a registrar and proxy with our configuration. Prints the
# sheet, and leaves the report in target/peers/acceptance.
#
#   benches/peers/acceptance.sh
#
#   STROWGER=target/release/strowger   the program; built when this is not given
#
# The exit code is the trial's: 1 where the peer fails a step, which a proxy does of those that want a back-to-back user agent.
set -euo pipefail
cd "$(dirname "$0")/../.."
source benches/lib.sh

STROWGER=$(strowger_program)
KAMAILIO_PORT=$(free_port)
export KAMAILIO_PORT KAMAILIO_CFG=benches/peers/acceptance.cfg KAMAILIO_TCP=1
trap 'benches/peers/kamailio.sh stop' EXIT
benches/peers/kamailio.sh start
"$STROWGER" trial scenarios/acceptance.toml --address "127.0.0.1:$KAMAILIO_PORT" --out target/peers/acceptance "$@"
