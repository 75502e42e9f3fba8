#!/usr/bin/env bash
# `make gpu`: what can only be checked on an NVIDIA GPU. Builds, runs all parts even when one fails, and counts.
#   scripts/gpu.sh [DEVICE]             cuda:0 when left out; with cpu, training and parity try themselves out without a GPU
#   scripts/gpu.sh pack FOLDER          builds and cuts shards here, for a machine with a GPU that has no Rust: FOLDER holds a
#                                       target/ and these scripts, to be copied over and run there with
#   scripts/gpu.sh [DEVICE] --packed    which builds and fetches nothing: $PYTHON (python3) there has torch 2.11.0 and open_clip
#
#   train   clip-train on the emoji shards in fp32 and bf16: stopped halfway, resumed, and the loss must have fallen
#   parity  both towers of a ViT and a ResNet on the GPU against the CPU (tests/parity/cuda.py)
#   bench   training steps beside open_clip's own loop on the same GPU (tests/bench/compare.py)
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "error: $*" >&2
    return 1
}

usage="usage: scripts/gpu.sh [DEVICE] [--packed], or scripts/gpu.sh pack FOLDER"
device=cuda:0
packed=
pack=
while [ $# -gt 0 ]; do
    case $1 in
        --packed) packed=yes ;;
        pack)
            pack=${2:-}
            [ -n "$pack" ] || fail "$usage"
            shift
            ;;
        *) device=$1 ;;
    esac
    shift
done

steps=300
case $device in
    cpu) steps=40 ;;
    cuda:*)
        [ -n "$pack" ] || [ -e /dev/nvidiactl ] || fail "no NVIDIA GPU here (there is no /dev/nvidiactl): these checks need one," \
            "with its driver installed; what runs without one is in \`make test\` and \`make parity\`"
        ;;
    *) fail "device '$device' is not known, expected cuda:N or cpu" ;;
esac

target=${CARGO_TARGET_DIR:-target}
examples=$target/release/examples
data=${CLIP_DATA:-../shared/data}
out=$target/gpu
shards=$out/shards

cut_shards() {
    if [ -d "$data/emoji" ]; then
        "${PYTHON:-python3}" models/emoji-tiny/shards.py --data "$data" -o "$shards"
    else
        echo "skipped: data folder, see README (no $data/emoji to train on)"
    fi
}

if [ -n "$pack" ]; then
    "${CARGO:-cargo}" build --release -p clip-trainer --bins --examples
    mkdir -p "$pack/target/release/examples" "$pack/target/gpu/shards"
    cp -r scripts tests "$pack/"
    for program in release/clip-train release/examples/forward release/examples/time_steps; do
        strip -o "$pack/target/$program" "$target/$program"
    done
    cut_shards
    # Two styles are enough to see a loss fall.
    if [ -e "$shards" ]; then cp "$shards"/train-{twemoji,noto}.tar "$shards/val-100.tar" "$pack/target/gpu/shards/"; fi
    du -sh "$pack"
    exit
fi

if [ -n "$packed" ]; then
    python=${PYTHON:-python3}
    torch=$("$python" -c 'import os, torch; print(os.path.dirname(torch.__file__))')
    export LD_LIBRARY_PATH=$torch/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
else
    python=.deps/venv/bin/python
    "${MAKE:-make}" build .deps/python .deps/cuda
    "${CARGO:-cargo}" build --release --workspace --examples
    cut_shards
fi

# Nothing here may reach for a model hub.
export HF_HUB_OFFLINE=1
child=
trap '[ -z "$child" ] || kill "$child" 2> /dev/null || true' EXIT

settings() {
    cat << END
[model]
embed_dim = 128
resnet = { image_size = 64, layers = [1, 1, 1, 1], width = 24 }
text = { context_length = 32, vocab_size = 1200, width = 128, heads = 2, layers = 2 }

[data]
tokenizer = "train"
cache_mb = 400

[optim]
batch = 64
steps = $steps
lr = 2e-3
warmup = 10
clip = 1.0
precision = "$1"

[run]
log_every = 5
checkpoint_every = 10
END
}

logged() { cat "$1/log.jsonl" 2> /dev/null | wc -l; }

# A function that `if` calls goes on after a failure, so every step says what to do then.
train() {
    local run=$out/$1 status=0 reached
    rm -rf "$run"
    settings "$1" > "$out/$1.toml"
    local command=("$target/release/clip-train" --config "$out/$1.toml" --data "$shards"/train-*.tar
        --val "$shards/val-100.tar" -o "$run" --device "$device")

    "${command[@]}" 2> "$run.stderr" &
    child=$!
    # The third line of the log is step 15, so that the state of step 10 is written.
    until [ "$(logged "$run")" -ge 3 ] || ! kill -0 "$child" 2> /dev/null; do sleep 0.02; done
    kill "$child" 2> /dev/null
    wait "$child" || status=$?
    child=
    # 143: ended by the signal.
    if [ "$status" != 143 ]; then
        cat "$run.stderr" >&2
        fail "the first run was to be stopped halfway, but ended by itself with status $status"
        return 1
    fi

    "${command[@]}" --resume 2> "$run.stderr" || { cat "$run.stderr" >&2; return 1; }
    reached=$(sed -n 's/^going on at step \([0-9]*\):.*/\1/p' "$run.stderr")
    [ "${reached:-0}" -ge 10 ] && [ "$reached" -lt "$steps" ] || { fail "resumed at step '$reached'"; return 1; }
    echo "stopped, and resumed at step $reached of $steps"
    "$python" - "$run/log.jsonl" "$steps" << 'END'
import json, math, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
lines = [line for line in lines if "loss" in line]
losses = [line["loss"] for line in lines]
first, last = losses[0], sum(losses[-3:]) / 3
print(f"loss {first:.3f} -> {last:.3f}, {lines[-1]['samples_per_second']:.0f} samples/s")
assert [line["step"] for line in lines] == list(range(5, int(sys.argv[2]) + 1, 5)), "steps are missing from the log"
assert all(map(math.isfinite, losses)) and last < first - 0.2, f"the loss has not fallen: {losses}"
END
}

parity() { "$python" tests/parity/cuda.py "$examples" --device "$device"; }

bench() {
    "$python" tests/bench/compare.py "$examples" --only train --device "$device" --pairs 256 --rounds 30 --json "$out/bench.json"
}

parts=("parity")
mkdir -p "$out"
if [ -e "$shards/val-100.tar" ]; then parts=("train fp32" "train bf16" "${parts[@]}"); fi
if [ "$device" != cpu ]; then parts+=("bench"); fi

passed=0
failed=()
for part in "${parts[@]}"; do
    echo "== $part on $device"
    # shellcheck disable=SC2086
    if $part; then
        passed=$((passed + 1))
    else
        failed+=("$part")
    fi
done

joined=$(printf ', %s' "${failed[@]}")
echo "gpu: $passed passed, ${#failed[@]} failed${failed:+ (${joined:2})}"
[ ${#failed[@]} -eq 0 ]
