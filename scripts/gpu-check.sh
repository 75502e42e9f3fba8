#!/usr/bin/env bash
# What can only be checked on an NVIDIA GPU: training, CUDA's layer, embeddings, speed beside PyTorch (tests/gpu/run.py lists it).
#   scripts/gpu-check.sh [DEVICE] [OPTION...]  builds, and runs the checks here, as `make gpu` does: cuda:0 when DEVICE is left out;
#                                              with cpu they try themselves out without a GPU, CUDA's driver being a double
#
# For a machine that has a GPU, Python 3.12 with PyTorch 2.11 and CUDA 13, but no Rust and no network:
#   scripts/gpu-check.sh pack FOLDER [--mib N] [--rtx]
#       builds here, and packs everything into parts of at most N MiB (60); with --rtx also TensorRT for RTX, for cards that it serves.
#       FOLDER/parts.py comes along, for a machine without this script
#   scripts/gpu-check.sh unpack [--to FOLDER] PART...
#       there, in as many calls as wanted: checks parts, keeps them, and says what is missing (target/gpu-check when FOLDER is left out)
#   FOLDER/base/scripts/gpu-check.sh run [DEVICE] [OPTION...]
#       there: fetches and builds nothing. $PYTHON (python3) has PyTorch. Options are those of tests/gpu/run.py: --only, --minutes, --out, --json
#   scripts/gpu-check.sh record RESULTS.json
#       here: appends what was measured to BENCHMARKS.md
set -euo pipefail
called_from=$PWD
cd "$(dirname "$0")/.."

fail() {
    echo "error: $*" >&2
    exit 1
}

usage="usage: scripts/gpu-check.sh [DEVICE], pack FOLDER [--mib N] [--rtx], unpack [--to FOLDER] PART..., run [DEVICE], record RESULTS.json"
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
data=${CLIP_DATA:-../shared/data}
python=${PYTHON:-python3}

check_device() {
    case $1 in
        cpu) ;;
        cuda:*)
            [ -e /dev/nvidiactl ] || fail "no NVIDIA GPU here (there is no /dev/nvidiactl): these checks need one, with its driver" \
                "installed; \`scripts/gpu-check.sh cpu\` tries them out without, and the rest is in \`make test\` and \`make parity\`"
            ;;
        *) fail "device '$1' is not known, expected cuda:N or cpu" ;;
    esac
}

cut_shards() {
    local shards=$target/gpu/shards
    if [ ! -d "$data/emoji" ]; then
        echo "skipped: data folder, see README (no $data/emoji to train on)" >&2
        return
    fi
    mkdir -p "$shards"
    .deps/venv/bin/python models/emoji-tiny/shards.py --data "$data" -o "$shards" >&2
    # Two styles are enough to see a loss fall.
    mkdir -p "$1/shards"
    cp "$shards"/train-{twemoji,noto}.tar "$shards/val-100.tar" "$1/shards/"
}

# Lays out in $1 what is run: a folder for each bundle. Large files of others are linked.
stage() {
    local to=$1 base=$1/base program doubles site
    local cargo=${CARGO:-cargo}
    "$cargo" build --release --workspace --bins --examples >&2
    "$cargo" test --release -p clip-tensorrt --test doubles --no-run >&2
    doubles=$("$target/release/examples/doubles") || fail "no doubles of TensorRT: make .deps/tensorrt-headers brings its headers"
    rm -rf "$to"
    mkdir -p "$base"/{programs/examples,doubles,doubles-cuda,onnxruntime,python,scripts,examples,models/emoji-tiny} "$to/onnxruntime-gpu"
    for program in clip-run clip-export clip-train examples/{forward,time_steps,time_runtime,embed}; do
        strip -o "$base/programs/$program" "$target/release/$program"
    done
    # The newest, of those that cargo has left there.
    strip -o "$base/programs/doubles" "$(find "$target/release/deps" -name 'doubles-*' -executable -type f -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)"
    strip -o "$base/doubles-cuda/libcuda.so.1" "$doubles/libcuda.so.1"
    for program in "$doubles"/libnv*; do strip -o "$base/doubles/${program##*/}" "$program"; done
    ln -s "$PWD/.deps/onnxruntime/lib/libonnxruntime.so" "$base/onnxruntime/"
    ln -s "$PWD"/.deps/onnxruntime-gpu/lib/libonnxruntime{,_providers_shared,_providers_cuda}.so "$to/onnxruntime-gpu/"
    site=$(echo "$PWD"/.deps/venv/lib/python3.*/site-packages)
    # Of pure Python, and not what a machine with PyTorch has anyway.
    for program in open_clip open_clip_train timm ftfy wcwidth; do ln -s "$site/$program" "$base/python/"; done
    cp scripts/gpu-check.sh "$base/scripts/"
    mkdir "$base/tests"
    cp -r tests/{gpu,bench,parity} "$base/tests/"
    cp -r examples/images "$base/examples/"
    cp models/emoji-tiny/everyday-100.txt "$base/models/emoji-tiny/"
    cut_shards "$base"
    if [ -n "${rtx:-}" ]; then
        mkdir "$to/tensorrt-rtx"
        ln -s "$PWD"/.deps/tensorrt/tensorrt_rtx_libs/*.so* "$to/tensorrt-rtx/"
    fi
    cat > "$base/pack.json" << END
{"commit": "$(git describe --always --dirty 2> /dev/null || echo unknown)", "bundles": ["onnxruntime-gpu"${rtx:+, \"tensorrt-rtx\"}],
 "onnxruntime_gpu": "$(sed -n 's/^onnxruntime-gpu==//p' scripts/pins/onnxruntime-gpu.txt)"}
END
}

fetch() {
    "${MAKE:-make}" .deps/onnxruntime .deps/onnxruntime-gpu .deps/libtorch .deps/python .deps/tensorrt-headers ${rtx:+.deps/tensorrt} >&2
}

case ${1:-cuda:0} in
    pack)
        shift
        folder=
        sizes=()
        rtx=
        while [ $# -gt 0 ]; do
            case $1 in
                --rtx) rtx=yes ;;
                --mib) sizes=(--mib "${2:-}") && shift ;;
                *) folder=$1 ;;
            esac
            shift
        done
        [ -n "$folder" ] || fail "$usage"
        folder=$(cd "$called_from" && realpath -m "$folder")
        fetch
        stage "$target/gpu-check/stage"
        mkdir -p "$folder"
        cp tests/gpu/parts.py "$folder/"
        .deps/venv/bin/python tests/gpu/parts.py pack "$target/gpu-check/stage" "$folder" "${sizes[@]}"
        ;;
    unpack)
        shift
        script=$PWD/tests/gpu/parts.py
        [ -e "$script" ] || fail "there is no $script: python3 FOLDER/parts.py unpack does the same"
        # Parts are named as seen from where it was called.
        to=$target/gpu-check
        cd "$called_from"
        exec "$python" "$script" unpack --to "$to" "$@"
        ;;
    run)
        [ -e pack.json ] || fail "nothing was unpacked here: scripts/gpu-check.sh unpack PART... first, and then run the one in its folder base"
        shift
        device=cuda:0
        case ${1:---} in -*) ;; *) device=$1 && shift ;; esac
        check_device "$device"
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "'$python' is not a Python 3.11 or newer; name one by PYTHON"
        script=$PWD/tests/gpu/run.py
        cd "$called_from"
        exec "$python" "$script" "$device" "$@"
        ;;
    record)
        [ -n "${2:-}" ] || fail "$usage"
        exec "$python" tests/gpu/section.py "$(cd "$called_from" && realpath "$2")" BENCHMARKS.md
        ;;
    *)
        device=cuda:0
        case ${1:---} in -*) ;; *) device=$1 && shift ;; esac
        check_device "$device"
        fetch
        stage "$target/gpu-check/here"
        out=$target/gpu-check/out
        status=0
        PYTHON=$PWD/.deps/venv/bin/python "$target/gpu-check/here/base/scripts/gpu-check.sh" run "$device" --out "$out" "$@" || status=$?
        if [ "$device" != cpu ] && [ -s "$out/section.md" ]; then "$0" record "$out/results.json"; fi
        exit "$status"
        ;;
esac
