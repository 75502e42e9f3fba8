#!/usr/bin/env bash
# `make crates`: the crates for programs of others, packed as crates.io takes them, compiled from what was packed, and documented as docs.rs does it.
#
# Nothing is fetched and nothing published. What is packed are the files as they lie here, committed or not; they come to target/package/.
set -euo pipefail
cd "$(dirname "$0")/.."

crates=(clip-model clip-tensorrt clip-runtime)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
cargo=${CARGO:-cargo}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}

# Dependencies were fetched when the workspace was built. Tests and examples are not packed, which cargo says of each.
"$cargo" package --quiet --offline --allow-dirty "${crates[@]/#/--package=}" 2> >(grep -v '^warning: ignoring \(test\|example\)' >&2)

# Outside the source tree, whose .cargo/config.toml docs.rs does not see.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
patches=()
for crate in "${crates[@]}"; do
    tar -xzf "$CARGO_TARGET_DIR/package/$crate-$version.crate" -C "$work"
    patches+=(--config "patch.crates-io.$crate.path=\"$work/$crate-$version\"")
done
for crate in "${crates[@]}"; do
    (
        cd "$work/$crate-$version"
        # The lock file that was packed names the others as of the registry, where they are not.
        rm Cargo.lock
        RUSTDOCFLAGS="--cfg docsrs -D warnings" CARGO_TARGET_DIR="$CARGO_TARGET_DIR/package/docs" \
            "$cargo" doc --quiet --offline --no-deps --lib "${patches[@]}"
    )
    echo "$CARGO_TARGET_DIR/package/$crate-$version.crate: compiles, and is documented"
done
