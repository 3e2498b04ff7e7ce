#!/usr/bin/env bash
# What an idle connection costs, by idle.py beside this file: its lines, marked for tests/slow.sh. HTTP/2 with fewer:
# the script opens them one by one and answers no PING, so the first must not be old before the last is open.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
{
    python3 idle.py --binary "${SLOW_BINARY:?}" h1 tls silent && python3 idle.py --binary "$SLOW_BINARY" --connections 3000 h2
} | sed 's/^/slow: /'
