#!/usr/bin/env bash
# What the parts of a request cost, and whether they cost the same whatever there is beside them. Runs bench/micro and
# writes bench/MICRO.md: date, machine, figures. Wants a machine that does little else; its load is written down too.
#
#   bench/micro.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C.UTF-8 CARGO_TERM_COLOR=never

target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/micro"
cargo bench --quiet --features bench --no-run
load_before=$(cut -d' ' -f1 /proc/loadavg)
flat=0
cargo bench --quiet --features bench --bench flat >"$target/micro/flat" || flat=$?
cargo bench --quiet --features bench --bench parts >"$target/micro/parts"
load_after=$(cut -d' ' -f1 /proc/loadavg)

model=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
{
    cat <<HEAD
# Micro benches

Written by \`bench/micro.sh\`; not to be edited.

- $(date -u +%Y-%m-%d), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)
- ${model:-unknown processor}, $(nproc) processors, Linux $(uname -r)
- $(rustc --version), profile \`bench\` (as \`release\`)
- load of the machine: $load_before before, $load_after after (what else ran makes figures larger, ratios hardly)

## Flat

The same sixty-four requests in turn, sizes taking turns in short rounds. "A request, all rules" is all that linkgate
itself does for one, from its parsed head to the head that the app gets; "a /check/nginx" likewise, to the answer. These
two may cost at most 1.10 times as much at any size. Their parts are shown for where the difference comes from: a larger
house does not fit into the processor's caches.

HEAD
    cat "$target/micro/flat"
    cat <<MIDDLE

## Parts

\`\`\`
MIDDLE
    sed 's/[[:space:]]*$//' "$target/micro/parts"
    echo '```'
} >bench/MICRO.md
echo "bench/MICRO.md is written"
exit "$flat"
