#!/usr/bin/env bash
# Fail-overs in mid-redemption, release binary: FAILOVER_ROUNDS (20) of them, every second one with the old master living on
# beside the new one, FAILOVER_LINKS (400) links opened in each. With a replica that confirms nobody comes in twice, be it one
# of one or one of two, of which the other lags; without, it is counted how many could.
set -euo pipefail
: "${FAILOVER_ROUNDS:=20}" "${FAILOVER_LINKS:=400}"
export FAILOVER_ROUNDS FAILOVER_LINKS
failover() { cargo test --locked --test gateway "several_machines_failover::$1" -- --test-threads 1 --nocapture; }
failover ''
FAILOVER_REPLICAS=2 failover where_a_replica_confirms
