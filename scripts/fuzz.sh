#!/usr/bin/env bash
# Fuzzes what reads foreign files, each target for a minute; fails on a finding, which lies in fuzz/artifacts/ then.
#   scripts/fuzz.sh [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.13.2
root=$PWD/.deps/cargo-fuzz-$version
if [ ! -x "$root/bin/cargo-fuzz" ]; then
    cargo install --quiet --locked --version $version --root "$root" cargo-fuzz
fi

# Coverage and AddressSanitizer are options of nightly compilers; this has the stable one take them.
export RUSTC_BOOTSTRAP=1
unset CARGO_TARGET_DIR
cd fuzz
"$root/bin/cargo-fuzz" build
for target in $("$root/bin/cargo-fuzz" list); do
    echo "== $target"
    "$root/bin/cargo-fuzz" run "$target" -- -max_total_time="${1:-60}" -rss_limit_mb=4096 -verbosity=0 -print_final_stats=1
done
