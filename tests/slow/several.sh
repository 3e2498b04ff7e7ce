#!/usr/bin/env bash
# Two and four machines on one Redis, release binary: SEVERAL_LINKS links (10,000), each redeemed by requests at every
# machine at once, exactly once each.
set -euo pipefail
: "${SEVERAL_LINKS:=10000}"
export SEVERAL_LINKS
cargo test --locked --test gateway several_machines::at_ -- --test-threads 1 --nocapture
