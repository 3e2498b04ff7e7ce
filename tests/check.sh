#!/usr/bin/env bash
# The one script to learn. Installs what the tests need (only what is missing), then checks the formatting, lints with
# warnings as errors, runs every test there is, and ends with one line of totals. Exits with 0 only when something ran
# and nothing failed. Works as root or through sudo, on a bare Debian with a Rust toolchain.
#
#   tests/check.sh            everything
#   tests/check.sh --install  only the installing: afterwards plain `cargo test` has all it needs
#
# Installed: Debian packages (system wide; their services are kept from starting), a Python environment, axe-core and
# h2spec in .check/, which git ignores. A test whose program is missing fails; nothing is skipped.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 CARGO_TERM_COLOR=never
# Those are for tests/slow.sh: here nothing but what is built here is tested, and in its usual size.
unset SLOW_BINARY SLOW_BYTES SLOW_SECONDS
readonly CHECK="$PWD/.check"
readonly POLICY=/usr/sbin/policy-rc.d
made_policy=""

say() { printf '\n== %s\n' "$*"; }
die() {
    printf 'check: %s\n' "$*" >&2
    echo "0 passed, 1 failed"
    exit 1
}

root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo --preserve-env=DEBIAN_FRONTEND,LC_ALL "$@"
    else die "needs root or sudo to run: $*"
    fi
}

cleanup() { [ -z "$made_policy" ] || root rm -f "$POLICY"; }
trap cleanup EXIT

# PROGRAM PACKAGE…: the packages to install where PROGRAM is not to be found.
wanted=()
need() {
    local program=$1
    shift
    # Debian keeps servers in sbin, which is not on everybody's path.
    PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "$program" >/dev/null || wanted+=("$@")
}

need_package() {
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q '^install ok installed' || wanted+=("$1")
}

install_debian() {
    need cc build-essential
    need make build-essential
    need cmake cmake
    need pkg-config pkg-config
    need curl curl ca-certificates
    need openssl openssl
    need prlimit util-linux
    need python3 python3 python3-venv python3-pip
    need npm npm
    need go golang-go
    need nginx nginx
    need haproxy haproxy
    need apache2 apache2-bin
    need_package lua-socket
    need redis-server redis-server
    need postfix postfix
    need saslpasswd2 sasl2-bin
    need_package libsasl2-modules
    need_package libsasl2-modules-db
    need chromium chromium
    need chromedriver chromium-driver
    need systemd-socket-activate systemd
    # Present without its venv half, Python makes an environment without pip.
    if command -v python3 >/dev/null && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        wanted+=(python3-venv python3-pip)
    fi
    [ ${#wanted[@]} -gt 0 ] || return 0
    say "installing ${wanted[*]}"
    # Servers must not start by being installed: the tests start their own, on their own ports.
    if [ ! -e "$POLICY" ]; then
        printf '#!/bin/sh\nexit 101\n' | root tee "$POLICY" >/dev/null && made_policy=yes
        root chmod 755 "$POLICY"
    fi
    root apt-get update -qq || die "apt-get update failed"
    # Postfix drives out another mail server; on somebody's own machine that is not ours to decide.
    local keep=(--no-remove)
    [ -z "${CI:-}" ] || keep=()
    root apt-get install -y -qq --no-install-recommends "${keep[@]}" "${wanted[@]}" ||
        die "cannot install: ${wanted[*]} (where that would remove other packages, CI=true lets it)"
    cleanup
    made_policy=""
    # Nor at the next boot of somebody's own machine, where they were not there before.
    local unit
    for unit in nginx haproxy redis-server postfix saslauthd; do
        if [[ " ${wanted[*]} " = *" ${unit/saslauthd/sasl2-bin} "* ]] && command -v systemctl >/dev/null; then
            root systemctl disable --quiet "$unit.service" 2>/dev/null
        fi
    done
}

install_python() {
    local wanted=tests/clients/requirements.txt have="$CHECK/venv/requirements.txt"
    # The list is put beside what it brought only when all of it is there.
    cmp -s "$wanted" "$have" && "$CHECK/venv/bin/python" -c '' 2>/dev/null && return 0
    say "installing what $wanted lists into .check/venv"
    # A half-made environment is made anew.
    python3 -m venv --clear "$CHECK/venv" || die "python3 -m venv failed"
    "$CHECK/venv/bin/python" -m pip install --quiet --disable-pip-version-check --prefer-binary -r "$wanted" ||
        die "pip could not install what $wanted lists"
    cp "$wanted" "$have" || die "cannot write to .check"
}

install_axe() {
    [ -s "$CHECK/axe.min.js" ] && return 0
    say "fetching axe-core into .check"
    local into
    into=$(mktemp -d "$CHECK/axe.XXXXXX") || die "cannot write to .check"
    (cd "$into" && npm pack --silent axe-core@4 >/dev/null && tar -xzf axe-core-*.tgz package/axe.min.js) ||
        die "npm could not fetch axe-core"
    mv "$into/package/axe.min.js" "$CHECK/axe.min.js"
    rm -rf "$into"
}

install_h2spec() {
    local wanted=tests/clients/h2spec/go.sum have="$CHECK/go/go.sum"
    cmp -s "$wanted" "$have" && [ -x "$CHECK/go/bin/h2spec" ] && return 0
    say "building h2spec into .check/go"
    # In the versions that go.mod pins: they build with any Go that Debian has.
    (cd tests/clients/h2spec && GOBIN="$CHECK/go/bin" GOPATH="$CHECK/go/path" GOFLAGS="-modcacherw -mod=readonly" \
        go install github.com/summerwind/h2spec/cmd/h2spec) || die "go could not build h2spec"
    cp "$wanted" "$have" || die "cannot write to .check"
}

command -v cargo >/dev/null || die "cargo is missing: install a Rust toolchain"
mkdir -p "$CHECK"
install_debian
install_python
install_axe
install_h2spec
[ "${1:-}" != --install ] || exit 0
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
# Browsers and a thousand connections at once want more files than the usual 1,024.
ulimit -n "$(ulimit -Hn)" 2>/dev/null

passed=0
failed=0
step() {
    say "$*"
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "check: failed: $*"; fi
}

step cargo fmt --check
step cargo clippy --locked --all-targets --features bench --quiet -- -D warnings

# Postfix wants to be started by root, so the tests run as root; what is built stays ours.
if [ "$(id -u)" != 0 ]; then
    host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
    export "CARGO_TARGET_${host}_RUNNER=sudo --preserve-env"
fi

say "cargo test --locked --no-fail-fast"
readonly LOG="$CHECK/test.log"
cargo test --locked --no-fail-fast 2>&1 | tee "$LOG"
status=${PIPESTATUS[0]}
# Lines like: test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
read -r ok bad ignored <<<"$(awk '/^test result: /{ for (i = 2; i <= NF; i++) { if ($i ~ /^passed;/) p += $(i-1)
    if ($i ~ /^failed;/) f += $(i-1); if ($i ~ /^ignored;/) g += $(i-1) } } END { print p + 0, f + 0, g + 0 }' "$LOG")"
if [ "$ignored" -gt 0 ]; then
    echo "check: $ignored tests are marked as ignored; a test that cannot run fails"
    bad=$((bad + ignored))
fi
# Something broke that no runner counted: it did not compile, or a test binary died.
if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
    echo "check: cargo test ended with $status"
    bad=1
fi
if [ $((ok + bad)) -eq 0 ]; then
    echo "check: no test ran"
    bad=1
fi
passed=$((passed + ok))
failed=$((failed + bad))

echo
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
