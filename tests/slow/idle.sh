#!/usr/bin/env bash
# What an idle connection costs, by idle.py beside this file: its lines, marked for tests/slow.sh.
set -uo pipefail
python3 "$(dirname "${BASH_SOURCE[0]}")/idle.py" --binary "${SLOW_BINARY:?}" | sed 's/^/slow: /'
