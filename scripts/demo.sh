#!/usr/bin/env bash
# `make demo`: checkpoint -> model folder -> labels, once with the Rust command and once with the C program.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${CARGO_TARGET_DIR:-target}/release
demo=${CARGO_TARGET_DIR:-target}/demo
model=$demo/emoji-tiny
labels=models/emoji-tiny/everyday-100.txt

echo "== clip-export: models/emoji-tiny -> $model"
rm -rf "$model"
mkdir -p "$demo"
"$bin/clip-export" models/emoji-tiny -o "$model"

echo "== clip-run classify: examples/images over $labels"
"$bin/clip-run" classify "$model" examples/images/*.{png,jpg} --labels-file "$labels" --top 3

echo "== the same from C: examples/c/classify.c"
"${CC:-cc}" -std=c99 -Wall -Wextra -Werror -O2 -Iinclude examples/c/classify.c \
    -o "$demo/classify" -L"$bin" -lclip -Wl,-rpath,"$(cd "$bin" && pwd)"
"$demo/classify" "$model" "$labels" examples/images/*.{png,jpg}
