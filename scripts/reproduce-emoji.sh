#!/usr/bin/env bash
# `make reproduce-emoji`: trains models/emoji-tiny anew, on one core, and sees that it becomes as good as its card says.
#
#   scripts/reproduce-emoji.sh [SEED]      0, the card's, by default; what was begun is gone on with
#
# Needs the data folder (see the README). The run comes to target/reproduce-emoji/SEED/.
set -euo pipefail
cd "$(dirname "$0")/.."

seed=${1:-0}
out=${CARGO_TARGET_DIR:-target}/reproduce-emoji
run=$out/$seed
train=${CARGO_TARGET_DIR:-target}/release/clip-train
mkdir -p "$run"
"${PYTHON:-python3}" models/emoji-tiny/shards.py -o "$out/shards" > /dev/null
sed "s/^\[optim\]/&\nseed = $seed/" models/emoji-tiny/train.toml > "$run/train.toml"

resume=()
if [ -d "$run/model/checkpoints" ]; then resume=(--resume); fi
"$train" --config "$run/train.toml" --data "$out"/shards/train-*.tar --val "$out"/shards/val-*.tar -o "$run/model" --threads 1 "${resume[@]}"

"$train" --evaluate "$run/model" --val "$out"/shards/val-*.tar --json > "$run/figures.json"
"${PYTHON:-python3}" - "$run/figures.json" models/emoji-tiny/expected.json <<'PYTHON'
import json
import sys

found, expected = (json.load(open(path)) for path in sys.argv[1:])
missed = False
for shard in found["shards"]:
    low, high = expected[shard["shard"]]
    value = shard["top1"]["value"]
    missed |= not low <= value <= high
    print(f"{shard['shard']}: top-1 {100 * value:.1f} %, expected {100 * low:.1f} to {100 * high:.1f} %")
if missed:
    sys.exit("error: a figure is outside of its interval")
PYTHON
