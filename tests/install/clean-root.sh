#!/bin/sh
# Runs in a new system that has Debian's packages of libclip in the folder of this file, perhaps compilers, and nothing else (tests/tests/deb.rs).
set -eu
cd "$(dirname "$0")"
export LC_ALL=C.UTF-8

dpkg --install ./*.deb > dpkg.log || { cat dpkg.log >&2 && exit 1; }
model=runtime/tests/colours
printf 'P6 1 1 255\n\372\011\000' > red.ppm
printf 'P6 1 1 255\n\000\011\372' > blue.ppm
printf 'red\ngreen\nblue\n' > labels.txt

echo "== without ONNX Runtime"
if clip-run classify $model red.ppm --labels red,blue 2> said.txt; then exit 1; fi
grep -q ORT_DYLIB_PATH said.txt || { cat said.txt >&2 && exit 1; }

echo "== with it"
install -D -m 644 libonnxruntime.so /usr/local/lib/libonnxruntime.so
ldconfig
clip-run info $model > /dev/null
clip-run classify $model red.ppm blue.ppm --labels red,green,blue --top 1 > said.txt
[ "$(grep -o '%  .*' said.txt | tr '\n' ' ')" = "%  red %  blue " ] || { cat said.txt >&2 && exit 1; }
clip-run labels $model --labels red,green,blue -o labels.safetensors > /dev/null

# program, labels: looks at what an example says of the pictures.
tells_colours_apart() {
    "$1" $model "$2" red.ppm blue.ppm > said.txt
    grep -A 1 red.ppm said.txt | grep -q '%  red$' && grep -A 1 blue.ppm said.txt | grep -q '%  blue$' || {
        echo "$1:" >&2
        cat said.txt >&2
        exit 1
    }
}
compile_and_run() {
    warnings="-Wall -Wextra -Wpedantic -Werror"
    archive=$(pkg-config --variable=libdir clip)/libclip.a
    for standard in c99 c11 c++17 c++20; do
        case $standard in
            c++*) compiler=c++ source=examples/cpp/classify.cpp labels=labels.safetensors ;;
            *) compiler=cc source=examples/c/classify.c labels=labels.txt ;;
        esac
        $compiler -std=$standard $warnings $source -o "dynamic-$standard" $(pkg-config --cflags --libs clip)
        $compiler -std=$standard $warnings $source -o "static-$standard" $(pkg-config --cflags clip) "$archive" -lpthread -ldl -lm
        tells_colours_apart "./dynamic-$standard" $labels
        tells_colours_apart "./static-$standard" $labels
        echo "$standard: dynamic and static"
    done
    cmake -S tests/install -B build > cmake.log && cmake --build build --parallel >> cmake.log || { cat cmake.log >&2 && exit 1; }
    for library in clip clip_static; do
        for program in c99 c11; do tells_colours_apart "build/${program}_$library" labels.txt; done
        for program in cpp17 cpp20; do tells_colours_apart "build/${program}_$library" labels.safetensors; done
    done
    echo "the same by CMake"
}

if command -v cc > /dev/null; then compile_and_run; fi

dpkg --purge libclip-dev clip-tools libclip0 > dpkg.log
left=$(find / -xdev \( -name 'libclip*' -o -name 'clip-run*' -o -name 'clip-export*' -o -name 'clip.h*' \) -not -path "$PWD/*" -not -path '/proc/*')
[ -z "$left" ] || { echo "left behind: $left" >&2 && exit 1; }
echo "purged"
