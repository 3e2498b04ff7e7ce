#!/usr/bin/env bash
# Fail-overs in mid-redemption, release binary: FAILOVER_ROUNDS (20) of them, every second one with the old master living on
# beside the new one, FAILOVER_LINKS (400) links opened in each. With a replica that confirms nobody comes in twice; without,
# it is counted how many could.
set -euo pipefail
: "${FAILOVER_ROUNDS:=20}" "${FAILOVER_LINKS:=400}"
export FAILOVER_ROUNDS FAILOVER_LINKS
cargo test --locked --test gateway several_machines_failover:: -- --test-threads 1 --nocapture
