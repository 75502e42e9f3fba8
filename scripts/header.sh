#!/usr/bin/env bash
# Writes include/clip.h from the C functions of ffi/; with --check, only says whether it is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.29.4
cbindgen=.deps/cbindgen-$version/bin/cbindgen
if [ ! -x "$cbindgen" ]; then
    cargo install --quiet --locked --version $version --root "$(dirname "$(dirname "$cbindgen")")" cbindgen
fi

generate() { "$cbindgen" --quiet --lockfile Cargo.lock --crate clip-ffi --config ffi/cbindgen.toml ffi; }

if [ "${1:-}" = --check ]; then
    if ! generate | diff -u include/clip.h -; then
        echo "error: include/clip.h is not what ffi/ says; run \`make header\` and commit it" >&2
        exit 1
    fi
    echo "include/clip.h is up to date"
else
    generate > include/clip.h.tmp
    mv include/clip.h.tmp include/clip.h
fi
