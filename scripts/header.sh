#!/usr/bin/env bash
# Writes include/clip.h from the C functions of ffi/; with --check, only says whether it is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.29.4
root=.deps/cbindgen-$version
if [ ! -x "$root/bin/cbindgen" ]; then
    cargo install --quiet --locked --version $version --root "$root" cbindgen
fi

header=$(mktemp)
trap 'rm -f "$header"' EXIT
"$root/bin/cbindgen" --quiet --lockfile Cargo.lock --crate clip-ffi --config ffi/cbindgen.toml --output "$header" ffi

if [ "${1:-}" != --check ]; then
    cp "$header" include/clip.h
elif ! diff -u include/clip.h "$header"; then
    echo "error: include/clip.h is not what ffi/ says; run \`make header\` and commit it" >&2
    exit 1
fi
