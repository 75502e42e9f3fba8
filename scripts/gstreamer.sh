#!/usr/bin/env bash
# The GStreamer plugin of examples/gstreamer, which needs GStreamer's development files: apt-get install libgstreamer-plugins-base1.0-dev
# gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-x, on Debian and Ubuntu.
#
#   scripts/gstreamer.sh build   target/release/libgstclip.so
#   scripts/gstreamer.sh test    its tests; skipped with a line that says so where something is not there
#   scripts/gstreamer.sh check   formatting and lints
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
packages="libgstreamer-plugins-base1.0-dev gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-x"

missing() {
    pkg-config --exists 'gstreamer-video-1.0 >= 1.20' 2> /dev/null || return 0
    local element
    for element in videotestsrc videoconvert textoverlay pngdec jpegdec appsrc; do
        gst-inspect-1.0 --exists $element 2> /dev/null || return 0
    done
    return 1
}

run() { "${CARGO:-cargo}" "$1" --release --manifest-path examples/gstreamer/Cargo.toml "${@:2}"; }

case ${1:-} in
    build) run build ;;
    test)
        if missing; then
            echo "skipped: the GStreamer plugin, for which something of $packages is not there"
            exit 0
        fi
        run build
        run test
        ;;
    check)
        if missing; then
            echo "skipped: the GStreamer plugin, for which something of $packages is not there"
            exit 0
        fi
        "${CARGO:-cargo}" fmt --manifest-path examples/gstreamer/Cargo.toml --check
        run clippy --all-targets -- -D warnings
        ;;
    *)
        echo "usage: scripts/gstreamer.sh build|test|check" >&2
        exit 1
        ;;
esac
