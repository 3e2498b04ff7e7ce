#!/bin/sh
# Builds linkgate guided by a profile of itself at work, as the packages do, and says where the binary is.
#
#   bench/pgo.sh                                    builds it
#   bench/compare.sh --binary "$(bench/pgo.sh)"     builds and measures it
#   bench/compare.sh --beside pgo=target/pgo/linkgate ...   beside the ordinary build
#
# Three steps: a build that counts what runs, the works of compare.sh done by it for a few seconds each, and a build
# that knows the counts. Needs what compare.sh needs, and llvm-profdata of rustc's own LLVM
# (`rustup component add llvm-tools`, or LLVM_PROFDATA=/path/to/it).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
target=$PWD/target/pgo
counts=$target/counts
host=$(rustc -vV | sed -n 's/^host: //p')
say() { echo "pgo.sh: $*" >&2; }

profdata=${LLVM_PROFDATA:-$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata}
[ -x "$profdata" ] || { say "llvm-profdata is missing (rustup component add llvm-tools)"; exit 1; }

# With --target, flags are for linkgate and what it is linked with, not for build scripts.
build() { RUSTFLAGS="${RUSTFLAGS:-} $1" cargo build --release --quiet --target "$host" --target-dir "$target/$2" >&2; }

rm -rf "$counts"
mkdir -p "$counts"
say "1 of 3: a build that counts"
build "-Cprofile-generate=$counts" counting
say "2 of 3: at work"
"$here/compare.sh" --binary "$target/counting/$host/release/linkgate" --proxies linkgate --rounds 1 --seconds 3 \
    --only keepalive,h2,h2_many,download,upload,check,authentication >&2
"$profdata" merge -o "$counts/merged.profdata" "$counts"/*.profraw
say "3 of 3: the build that knows"
build "-Cprofile-use=$counts/merged.profdata" guided
cp "$target/guided/$host/release/linkgate" "$target/linkgate"
echo "$target/linkgate"
