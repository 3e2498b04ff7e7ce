#!/usr/bin/env bash
# What an open WebSocket costs, by websockets.py beside this file: its lines, marked for tests/slow.sh.
set -uo pipefail
python3 "$(dirname "${BASH_SOURCE[0]}")/websockets.py" --binary "${SLOW_BINARY:?}" | sed 's/^/slow: /'
