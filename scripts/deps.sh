#!/usr/bin/env bash
# Brings one pinned dependency into .deps/, unless that very version is there already.
#
#   scripts/deps.sh onnxruntime   .deps/onnxruntime/lib/libonnxruntime.so
#   scripts/deps.sh onnxruntime-gpu   the one with CUDA, for scripts/gpu-check.sh, .deps/onnxruntime-gpu/lib/libonnxruntime.so
#   scripts/deps.sh onnxruntime-openvino   the one with OpenVINO, for a test and a benchmark, .deps/onnxruntime-openvino/lib/libonnxruntime.so
#   scripts/deps.sh onnxruntime-aarch64   the one for aarch64, for scripts/aarch64.sh, .deps/onnxruntime-aarch64/lib/libonnxruntime.so
#   scripts/deps.sh tensorrt-aarch64      TensorRT for RTX for aarch64, for the same, .deps/tensorrt-aarch64
#   scripts/deps.sh libtorch      .deps/libtorch, a link to the torch package inside .deps/venv
#   scripts/deps.sh cuda          the libraries that libtorch needs on a GPU, into .deps/venv
#   scripts/deps.sh python        the Python reference of `make parity` and `make bench`, into .deps/venv
#   scripts/deps.sh engines       other engines for `make parity`: .deps/openvino and, where there is npm, .deps/onnxruntime-web
#   scripts/deps.sh tensorrt      TensorRT for RTX, which builds engines without a GPU, into .deps/tensorrt where there is a package
#   scripts/deps.sh tensorrt-headers   TensorRT's C++ headers, for the doubles of tests/doubles/, into .deps/tensorrt-headers
#   scripts/deps.sh tensorrt-lean      TensorRT's lean runtime, for a test, into .deps/tensorrt-lean where there is a package
#   scripts/deps.sh optimum       optimum-onnx for tests/bench/export.py, into .deps/optimum, to be found before the reference
#   scripts/deps.sh frames        FFmpeg's conversions and OpenCV for tests/parity/frames.py and tests/bench/frames.py, into .deps/frames
#   scripts/deps.sh nncf          OpenVINO and NNCF, its quantizer, for tests/bench/serve.py, into .deps/openvino and .deps/nncf
#   scripts/deps.sh runtimes      programs that open folders of ours, for `make parity`: .deps/optimum, .deps/fastembed and, where
#                                 there is npm, .deps/transformers-js
#
# Everything comes from PyPI by pip, from npm's registry or by cargo; a finished step leaves a copy of its version list in
# .deps/stamps/.
set -euo pipefail
cd "$(dirname "$0")/.."

deps=$PWD/.deps
venv=$deps/venv
pins=scripts/pins

fail() {
    echo "error: $*" >&2
    exit 1
}

done_already() { cmp -s "$2" "$deps/stamps/$1"; }

finished() {
    mkdir -p "$deps/stamps"
    cp "$2" "$deps/stamps/$1"
}

make_venv() {
    if "$venv/bin/python" -c 'import pip' 2>/dev/null; then return; fi
    local python=${PYTHON:-python3}
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
        || fail "'$python' is not a Python 3.10 or newer; install one, or name it: make PYTHON=/path/to/python3 ..."
    rm -rf "$venv" "$deps/libtorch" "$deps/stamps"
    "$python" -m venv "$venv" \
        || fail "'$python -m venv' failed; on Debian and Ubuntu: apt-get install python3-venv python3-pip"
}

pip() {
    "$venv/bin/python" -m pip --disable-pip-version-check --no-input --quiet "$@" \
        || fail "pip could not bring the packages above from PyPI; check the network (or pip's proxy and" \
            "index settings) and run the same command again: what has arrived is kept"
}

install() {
    done_already "$1" "$2" && return
    echo "fetching $1 ($2)"
    pip install --no-deps --only-binary=:all: --requirement "$2"
    finished "$1" "$2"
}

# The shared libraries out of one of its wheels: onnxruntime NAME LIST [OPTION...], with pip's options for another machine's wheel.
onnxruntime() {
    local list=$pins/$2.txt to=$deps/$1
    if done_already "$1" "$list" && [ -e "$to/lib/libonnxruntime.so" ]; then return; fi
    make_venv
    echo "fetching $1 ($list)"
    rm -rf "$to" "$to.tmp"
    mkdir -p "$to.tmp/lib"
    # The library is the same in the wheels of all Python versions, so that any of them will do.
    pip download --no-deps --only-binary=:all: --python-version 3.12 --dest "$to.tmp" --requirement "$list" "${@:3}"
    "$venv/bin/python" -m zipfile --extract "$to.tmp"/*.whl "$to.tmp/wheel"
    mv "$to.tmp"/wheel/onnxruntime/capi/lib*.so* "$to.tmp/lib/"
    mv "$to.tmp"/wheel/onnxruntime/{LICENSE,ThirdPartyNotices.txt} "$to.tmp/"
    ln -s "$(cd "$to.tmp/lib" && ls libonnxruntime.so.*)" "$to.tmp/lib/libonnxruntime.so"
    rm -rf "$to.tmp/wheel" "$to.tmp"/*.whl
    mv "$to.tmp" "$to"
    finished "$1" "$list"
}

libtorch() {
    make_venv
    install libtorch $pins/libtorch.txt
    ln -sfn "$(cd "$deps" && echo venv/lib/python3.*/site-packages/torch)" "$deps/libtorch"
    if [ -e /dev/nvidiactl ]; then install cuda $pins/cuda.txt; fi
}

# Packages into a folder of their own: apart NAME PACKAGE [LIST [OPTION...]], where PACKAGE shows that they are there, with pip's options for
# another machine's wheels.
apart() {
    local list=$pins/${3:-$1}.txt to=$deps/$1
    if done_already "$1" "$list" && [ -e "$to/$2" ]; then return; fi
    make_venv
    echo "fetching $1 ($list)"
    rm -rf "$to"
    pip install --no-deps --only-binary=:all: --target "$to" --requirement "$list" "${@:4}"
    finished "$1" "$list"
}

# A package of npm's registry into a folder of its own, where there is npm.
from_npm() {
    local list=$pins/$1/package-lock.json to=$deps/$1
    if done_already "$1" "$list" && [ -e "$to/node_modules" ]; then return; fi
    if ! command -v npm > /dev/null; then
        echo "note: npm not found, so $1 is left out; it comes with Node.js 20 or newer" >&2
        return
    fi
    echo "fetching $1 ($list)"
    rm -rf "$to"
    mkdir -p "$to"
    cp "$pins/$1"/package*.json "$to/"
    npm ci --prefix "$to" --ignore-scripts --no-audit --no-fund --silent \
        || fail "npm could not bring $1; check the network and run the same command again"
    finished "$1" "$list"
}

tensorrt() {
    if [ "$(uname -sm)" = "Linux x86_64" ]; then
        apart tensorrt tensorrt_rtx_bindings
    else
        echo "note: TensorRT for RTX is left out; its packages are for Linux on x86-64" >&2
    fi
}

tensorrt_lean() {
    if [ "$(uname -sm)" = "Linux x86_64" ]; then
        apart tensorrt-lean tensorrt_lean_libs
    else
        echo "note: TensorRT's lean runtime is left out; its package is for Linux on x86-64" >&2
    fi
}

tensorrt_headers() {
    local list=$pins/tensorrt-headers/Cargo.lock to=$deps/tensorrt-headers
    if done_already tensorrt-headers "$list" && [ -e "$to/cuda_runtime_api.h" ]; then return; fi
    echo "fetching tensorrt-headers ($list)"
    local host package
    host=$("${RUSTC:-rustc}" -vV | sed -n 's/^host: //p')
    # Cargo says where it has unpacked the crate, the only one of its name in the list.
    package=$("${CARGO:-cargo}" --quiet metadata --locked --format-version 1 --filter-platform "$host" \
        --manifest-path $pins/tensorrt-headers/Cargo.toml | grep -o '[^"]*/trtx-sys-[^/"]*/Cargo\.toml' | head -n 1) \
        || fail "cargo could not bring the crate trtx-sys from crates.io; check the network and run the same command again"
    rm -rf "$to" "$to.tmp"
    mkdir -p "$deps"
    cp -r "${package%/Cargo.toml}/TensorRT-Headers" "$to.tmp"
    cp LICENSE-APACHE "$to.tmp/LICENSE"
    mv "$to.tmp" "$to"
    finished tensorrt-headers "$list"
}

case ${1:-} in
    onnxruntime | onnxruntime-gpu) onnxruntime "$1" "$1" ;;
    onnxruntime-aarch64) onnxruntime "$1" onnxruntime --platform manylinux_2_28_aarch64 ;;
    tensorrt-aarch64)
        apart "$1" tensorrt_rtx_libs tensorrt --python-version 3.12 --platform manylinux_2_35_aarch64 --platform manylinux_2_28_aarch64
        ;;
    onnxruntime-openvino)
        if [ "$(uname -sm)" = "Linux x86_64" ]; then
            onnxruntime "$1" "$1"
        else
            echo "note: ONNX Runtime with OpenVINO is left out; its package is for Linux on x86-64" >&2
        fi
        ;;
    libtorch) libtorch ;;
    cuda)
        libtorch
        install cuda $pins/cuda.txt
        ;;
    python)
        libtorch
        "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
            || fail "the Python reference needs Python 3.11 or newer: make clean-deps, then make PYTHON=/path/to/python3.11 ..."
        install cuda $pins/cuda.txt
        install python tests/parity/requirements.txt
        ;;
    engines)
        apart openvino openvino
        from_npm onnxruntime-web
        ;;
    tensorrt) tensorrt ;;
    tensorrt-headers) tensorrt_headers ;;
    tensorrt-lean) tensorrt_lean ;;
    optimum) apart optimum optimum ;;
    frames) apart frames cv2 ;;
    nncf)
        apart openvino openvino
        apart nncf nncf
        ;;
    runtimes)
        apart optimum optimum
        apart fastembed fastembed
        from_npm transformers-js
        ;;
    *) fail "usage: scripts/deps.sh onnxruntime|libtorch|cuda|python|engines|tensorrt|tensorrt-headers|tensorrt-lean|optimum|frames|nncf|runtimes|onnxruntime-gpu|onnxruntime-openvino|onnxruntime-aarch64|tensorrt-aarch64" ;;
esac
