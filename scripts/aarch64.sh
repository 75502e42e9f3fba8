#!/usr/bin/env bash
# libclip and the programs for aarch64 (Jetson, other arm64 Linux), built on another machine, and tried out there under an emulator.
#
#   scripts/aarch64.sh build   libclip.so, libclip.a, clip-run and clip-export, into target/aarch64/aarch64-unknown-linux-gnu/release
#   scripts/aarch64.sh test    runs them under qemu, and compares what they give with what this machine's give
#   scripts/aarch64.sh cargo build ...   cargo with what makes it build for aarch64, into CARGO_TARGET_DIR
#   scripts/aarch64.sh missing says what of the machine is not there for that, and ends with 1; with 0 where nothing is missing
#
# It needs a C and C++ compiler for aarch64 and Rust's library for it: of rustup (`rustup target add aarch64-unknown-linux-gnu`) or of Debian, see
# CONTRIBUTING.md. The programs then run with glibc 2.34 or newer, which JetPack 6 has.
set -euo pipefail
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
root=${CARGO_TARGET_DIR:-$PWD/target}
# A package is built elsewhere (scripts/install.sh).
if [ "${1:-}" != cargo ]; then export CARGO_TARGET_DIR=$root/aarch64; fi
built=$CARGO_TARGET_DIR/$target/release
# Emulation of arm64 by Debian 12's own version, 7.2, ends in ONNX Runtime's inspection of the processor.
emulator_version=8

fail() {
    echo "error: $*" >&2
    exit 1
}

# The compiler that has the target's library: the usual one, or Debian's, which lies beside rustup's.
compiler() {
    local rustc
    for rustc in "${RUSTC:-rustc}" /usr/bin/rustc; do
        if [ -d "$("$rustc" --print target-libdir --target $target 2> /dev/null)" ]; then
            echo "$rustc"
            return
        fi
    done
    return 1
}

# Prints what is missing, one thing in a line.
missing_to_build() {
    compiler > /dev/null || echo "Rust's library for $target (rustc-web and libstd-rust-web-dev:arm64, or rustup target add $target)"
    command -v aarch64-linux-gnu-g++ > /dev/null || echo "the compiler aarch64-linux-gnu-g++ (g++-aarch64-linux-gnu)"
}

missing_to_test() {
    local version
    version=$(qemu-aarch64 --version 2> /dev/null | sed -n 's/^qemu-aarch64 version \([0-9]*\).*/\1/p')
    if [ "${version:-0}" -lt $emulator_version ]; then
        echo "qemu-aarch64 $emulator_version or newer (qemu-user of bookworm-backports)"
    fi
    [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || echo "the kernel told to start arm64 programs by it (qemu-user-binfmt)"
    [ -e /lib/ld-linux-aarch64.so.1 ] || echo "arm64's own libraries (dpkg --add-architecture arm64, libstdc++6:arm64)"
}

needs() {
    local missing
    missing=$(missing_to_build; "$@")
    [ -z "$missing" ] || fail "for aarch64 this machine lacks:"$'\n'"$missing"
}

cross() {
    RUSTC=$(compiler) CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc CXX_aarch64_unknown_linux_gnu=aarch64-linux-gnu-g++ \
        AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar \
        CLIP_ONNXRUNTIME='' CLIP_TENSORRT_RTX='' \
        "${CARGO:-cargo}" "$@" --release --target $target
}

build() {
    needs true
    cross build -p clip-ffi -p clip-run -p clip-exporter
    local glibc
    glibc=$(aarch64-linux-gnu-objdump -T "$built"/{libclip.so,clip-run,clip-export} | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
    echo "$built: libclip.so, libclip.a, clip-run and clip-export for aarch64, ${glibc/_/ } or newer"
}

run_tests() {
    needs missing_to_test
    build
    scripts/deps.sh onnxruntime-aarch64
    scripts/deps.sh tensorrt-aarch64
    export ORT_DYLIB_PATH=$PWD/.deps/onnxruntime-aarch64/lib/libonnxruntime.so
    echo "== preprocessing, NEON's kernels beside the portable ones"
    cross test -p clip-model --lib preprocess::
    echo "== C and C++ programs"
    CARGO_TARGET_DIR=$root CLIP_TEST_CC=aarch64-linux-gnu-gcc CLIP_TEST_CXX=aarch64-linux-gnu-g++ \
        CLIP_TEST_LIBRARY=$built \
        "${CARGO:-cargo}" test --release -p clip-ffi --test library --test cpp -- \
        arguments label_sets frames older c_program static cpp17 cpp20 the_example_classifies functions_of_the_header needs_only_the_system
    echo "== the programs beside this machine's"
    local python=.deps/venv/bin/python
    [ -x $python ] || python=${PYTHON:-python3}
    ORT_DYLIB_PATH='' "$python" tests/parity/aarch64.py "$root/release" "$built"
}

case ${1:-} in
    build) build ;;
    cargo)
        needs true
        cross "${@:2}"
        ;;
    test) run_tests ;;
    missing)
        missing=$(missing_to_build; missing_to_test)
        if [ -n "$missing" ]; then
            echo "$missing"
            exit 1
        fi
        ;;
    *) fail "usage: scripts/aarch64.sh build|test|cargo|missing" ;;
esac
