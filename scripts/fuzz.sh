#!/usr/bin/env bash
# Fuzzes what reads foreign bytes; fails on a finding, which lies in fuzz/artifacts/ then.
#   scripts/fuzz.sh [TARGET...]                    all targets, or these, for two minutes each
#   FUZZ_SECONDS=480 scripts/fuzz.sh [TARGET...]   the same in so many seconds together, besides building
#
# Each target starts from fuzz/seeds/TARGET, which stays as it is; what is found on the way goes to fuzz/corpus/TARGET.
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
if [ $# -eq 0 ]; then mapfile -t targets < <("$root/bin/cargo-fuzz" list); else targets=("$@"); fi
seconds=$((${FUZZ_SECONDS:-$((120 * ${#targets[@]}))} / ${#targets[@]}))
if [ ${#targets[@]} -eq 1 ]; then "$root/bin/cargo-fuzz" build "${targets[0]}"; else "$root/bin/cargo-fuzz" build; fi
for target in "${targets[@]}"; do
    echo "== $target, $seconds s"
    mkdir -p "corpus/$target"
    folders=("corpus/$target")
    if [ -d "seeds/$target" ]; then folders+=("seeds/$target"); fi
    "$root/bin/cargo-fuzz" run "$target" "${folders[@]}" -- \
        -max_total_time="$seconds" -rss_limit_mb=4096 -verbosity=0 -print_final_stats=1
done
