#!/usr/bin/env bash
# The proofs that take too long for every run: ten gibibytes each way, minutes of mixed traffic, and whatever lies in
# tests/slow/. With the release binary; what comes out is written to bench/SLOW.md. Not part of tests/check.sh, which
# runs the same tests on a smaller scale. How large: SLOW_BYTES, SLOW_SECONDS.
#
#   tests/slow.sh          everything
#   tests/slow.sh NAME…    only these: big, mixed, or the name of a script in tests/slow/ without its .sh
#
# A script in tests/slow/ gets SLOW_BINARY (the release binary) in its environment, says what it measured in lines that
# begin with `slow: `, and ends with 0 only when what it is to show holds.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

export LC_ALL=C.UTF-8 CARGO_TERM_COLOR=never RUST_BACKTRACE=0
: "${SLOW_BYTES:=$((10 << 30))}" "${SLOW_SECONDS:=180}"
export SLOW_BYTES SLOW_SECONDS
readonly CHECK="$PWD/.check" RESULTS="$PWD/bench/SLOW.md"

die() {
    printf 'slow: %s\n' "$*" >&2
    exit 1
}

tests/check.sh --install || die "what the tests need is not there"
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
ulimit -n "$(ulimit -Hn)" 2>/dev/null
echo "== cargo build --release"
cargo build --locked --release || die "it does not build"
SLOW_BINARY="${CARGO_TARGET_DIR:-$PWD/target}/release/linkgate"
export SLOW_BINARY
[ -x "$SLOW_BINARY" ] || die "$SLOW_BINARY is missing"

declare -A lines=() ends=()
order=()
# NAME COMMAND…: runs it, keeps its `slow: ` lines and how it ended.
proof() {
    local name=$1
    shift
    [ ${#wanted[@]} -eq 0 ] || [[ " ${wanted[*]} " = *" $name "* ]] || return 0
    echo "== $name"
    local log="$CHECK/slow-$name.log" begun=$SECONDS
    "$@" </dev/null 2>&1 | tee "$log"
    if [ "${PIPESTATUS[0]}" -eq 0 ]; then ends[$name]="held"; else ends[$name]="DID NOT HOLD"; fi
    ends[$name]+=", $((SECONDS - begun)) s"
    lines[$name]=$(sed -n 's/^\(test .* \)\{0,1\}slow: /- /p' "$log")
    [ -n "${lines[$name]}" ] || ends[$name]="DID NOT HOLD: nothing was measured"
    order+=("$name")
}

# One after the other, so that they do not measure each other.
gateway() { cargo test --locked --test gateway "$1" -- --test-threads 1 --nocapture; }

wanted=("$@")
proof big gateway traffic_big
proof mixed gateway traffic_mixed
for script in tests/slow/*.sh; do
    [ ! -e "$script" ] || proof "$(basename "$script" .sh)" bash "$script"
done
[ ${#order[@]} -gt 0 ] || die "nothing is called ${wanted[*]}"

{
    echo "# The slow proofs"
    echo
    echo "Written by \`tests/slow.sh\`; the last run replaces what stood here."
    echo
    echo "- Date: $(date -u +%Y-%m-%d)"
    echo "- Machine: $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)," \
        "$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), Linux $(uname -r)"
    echo "- linkgate: $("$SLOW_BINARY" --version), $(git describe --always --dirty 2>/dev/null || echo 'not from git')," \
        "$(rustc --version)"
    for name in "${order[@]}"; do
        printf '\n## %s: %s\n\n%s\n' "$name" "${ends[$name]}" "${lines[$name]}"
    done
} >"$RESULTS"
echo
cat "$RESULTS"
bad=0
for name in "${order[@]}"; do
    [[ "${ends[$name]}" = held* ]] || bad=$((bad + 1))
done
echo
echo "$((${#order[@]} - bad)) passed, $bad failed"
[ "$bad" -eq 0 ]
