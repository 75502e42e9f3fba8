#!/usr/bin/env bash
# Runs the comparisons with the Python reference, all of them even when one fails, and counts.
#   scripts/parity.sh [NAME...]      for example: scripts/parity.sh tokenizer
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then set -- tokenizer preprocess frames towers formats siglip engines runtimes classifier camera model_repository tensorrt events training evaluation; fi

# Nothing here may reach for a model hub.
export HF_HUB_OFFLINE=1

# The small programs that print what our side computes.
examples=${CARGO_TARGET_DIR:-target}/release/examples

passed=0
failed=()
for name in "$@"; do
    echo "== $name"
    began=$SECONDS
    if .deps/venv/bin/python "tests/parity/$name.py" "$examples"; then
        passed=$((passed + 1))
    else
        failed+=("$name")
    fi
    echo "   $name took $((SECONDS - began)) s"
done

echo "parity: $passed passed, ${#failed[@]} failed${failed:+ (${failed[*]})}"
[ ${#failed[@]} -eq 0 ]
