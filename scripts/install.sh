#!/usr/bin/env bash
# `make install`: libclip, its headers, what finds them (pkg-config, CMake), the programs, their manual pages and completions.
#
#   scripts/install.sh             into $DESTDIR$PREFIX; the variables below say where
#   scripts/install.sh uninstall   removes what that puts there
#
#   PREFIX=/usr/local  LIBDIR=$PREFIX/lib  INCLUDEDIR=$PREFIX/include  DESTDIR=
#   TARGET=   aarch64-unknown-linux-gnu for a board (scripts/aarch64.sh says what that needs); this machine by default
#
# What is installed is built by itself, in target/install/, without paths of this machine in it and without the source tree's ONNX Runtime: that is
# looked for beside libclip.so and where the system looks.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "error: $*" >&2
    exit 1
}

prefix=${PREFIX:-/usr/local}
[ "$prefix" != / ] || fail "PREFIX is /, expected a folder of its own, as /usr/local; DESTDIR is for a staging tree"
libdir=${LIBDIR:-$prefix/lib}
includedir=${INCLUDEDIR:-$prefix/include}
doc_files=(README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT cameras.md install.md THIRD-PARTY.txt)
for folder in "$prefix" "$libdir" "$includedir"; do
    case $folder in
        /*) ;;
        *) fail "'$folder' is no absolute path; say, for example: make install PREFIX=/opt/clip" ;;
    esac
    # It stands in clip.pc, which compilers' command lines are made of.
    case $folder in
        *[!A-Za-z0-9/._+~@-]*) fail "'$folder' has a character that pkg-config and shells take for their own; use letters, digits and /._+~@-" ;;
    esac
done
to=${DESTDIR:-}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
soname=libclip.so.$(sed -n 's/^const ABI: u32 = \([0-9]*\);.*/\1/p' ffi/build.rs)
root=${CARGO_TARGET_DIR:-$PWD/target}/install
programs=(clip-run clip-export)
crates=(clip-run clip-exporter)

# Paths as they are after building, relative to the roots.
lib_files=("libclip.so.$version" "$soname" libclip.so libclip.a pkgconfig/clip.pc cmake/clip/clipConfig.cmake cmake/clip/clipConfigVersion.cmake)

build() { # target
    local cargo=${CARGO_HOME:-$HOME/.cargo} rustup packages=(--package=clip-ffi "${crates[@]/#/--package=}")
    rustup=$(rustc --print sysroot)
    (
        export CARGO_TARGET_DIR=$root CLIP_ONNXRUNTIME='' CLIP_TENSORRT_RTX=''
        # Where sources lay, of Rust and of C, says nothing to whoever runs them.
        export RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$PWD=/libclip --remap-path-prefix=$cargo/registry/src=/crates --remap-path-prefix=$rustup=/rust"
        export CFLAGS="${CFLAGS:-} -ffile-prefix-map=$cargo/registry/src=/crates -ffile-prefix-map=$PWD=/libclip"
        if [ "$1" = "$host" ]; then
            "${CARGO:-cargo}" build --release --target "$1" "${packages[@]}"
        else
            scripts/aarch64.sh cargo build "${packages[@]}"
        fi
    )
}

# libclip.a as one object whose only names are those of clip.h: the names of Rust's library, of libjpeg and others would else meet with those of
# the program that it is linked into. A plugin does not export even clip.h's: an object that asks for them as hidden makes them so, as the
# strictest wish holds. What nothing leads to from there is left out, so that the program need not see to it.
hide_symbols() {
    local work=$root/$target/static
    [ ! "$work/libclip.a" -nt "$built/libclip.a" ] || return 0
    rm -rf "$work"
    mkdir -p "$work"
    "${tool}nm" -D --defined-only "$built/libclip.so" | awk '{ print $3 }' > "$work/names"
    {
        echo '.section .note.GNU-stack, "", %progbits'
        echo '.section .hidden_names, "a", %progbits'
        sed 's/.*/.hidden &\n.quad &/' "$work/names"
    } > "$work/hidden.s"
    "${tool}as" "$work/hidden.s" -o "$work/hidden.o"
    sed 's/^/--undefined=/' "$work/names" > "$work/roots"
    "${tool}ld" -r --gc-sections "@$work/roots" "$work/hidden.o" "$built/libclip.a" -o "$work/whole.o"
    # The code of Rust's library lies in it a second time, for a compiler.
    "${tool}objcopy" --keep-global-symbols="$work/names" --strip-unneeded --remove-section=.llvmbc --remove-section=.llvmcmd \
        "$work/whole.o" "$work/clip.o"
    "${tool}ar" rcsD "$work/libclip.a.new" "$work/clip.o"
    rm "$work"/*.o
    mv "$work/libclip.a.new" "$work/libclip.a"
}

# Written by the programs themselves: those of this machine, as they are the same for another one.
write_pages() {
    local program
    [ "$target" = "$host" ] || build "$host"
    rm -rf "$root/pages"
    for program in "${programs[@]}"; do "$root/$host/release/$program" write-pages "$root/pages"; done
}

filled() { # template, mode, file
    install -d "$(dirname "$3")"
    sed -e "s|@PREFIX@|$prefix|; s|@LIBDIR@|$libdir|; s|@INCLUDEDIR@|$includedir|; s|@VERSION@|$version|; s|@SONAME@|$soname|" \
        -e "s|@INCLUDE_FROM_CMAKE@|$(realpath --canonicalize-missing --relative-to="$libdir/cmake/clip" "$includedir")|" "$1" > "$3"
    chmod "$2" "$3"
}

# Puts what was staged in its place, each file whole or not at all: a full disk or a signal leaves what was there before.
deliver() { # staging tree
    local file new
    trap 'rm -f "${new:-}"' EXIT
    while IFS= read -r file; do
        new=$to$file.new
        { install -d "$(dirname "$new")" && cp -P --preserve=mode "$1$file" "$new" && mv -fT "$new" "$to$file"; } \
            || fail "$to$file cannot be written; what was installed before it stays, and the same command goes on from here"
    done < <(cd "$1" && find . ! -type d -printf '/%P\n')
    trap - EXIT
}

install_all() {
    local page goes_to=$to
    command -v "${CARGO:-cargo}" > /dev/null || fail "there is no cargo (as root, perhaps); docs/install.md says how to install what another user has built"
    host=$(rustc -vV | sed -n 's/^host: //p')
    target=${TARGET:-$host}
    case $target in
        "$host") tool= ;;
        aarch64-unknown-linux-gnu) tool=aarch64-linux-gnu- ;;
        *) fail "'$target' is neither this machine, $host, nor aarch64-unknown-linux-gnu" ;;
    esac
    built=$root/$target/release
    build "$target"
    hide_symbols
    write_pages
    to=$root/stage
    rm -rf "$to"
    install -d "$to$libdir" "$to$prefix/bin" "$to$includedir"
    install -m 644 "$built/libclip.so" "$to$libdir/libclip.so.$version"
    "${tool}strip" --strip-unneeded "$to$libdir/libclip.so.$version"
    ln -sfn "libclip.so.$version" "$to$libdir/$soname"
    ln -sfn "$soname" "$to$libdir/libclip.so"
    install -m 644 "$root/$target/static/libclip.a" "$to$libdir/libclip.a"
    install -m 644 include/clip.h include/clip.hpp "$to$includedir"
    filled packaging/clip.pc.in 644 "$to$libdir/pkgconfig/clip.pc"
    filled packaging/clipConfig.cmake.in 644 "$to$libdir/cmake/clip/clipConfig.cmake"
    filled packaging/clipConfigVersion.cmake.in 644 "$to$libdir/cmake/clip/clipConfigVersion.cmake"
    for program in "${programs[@]}"; do
        install -m 755 "$built/$program" "$to$prefix/bin/$program"
        "${tool}strip" "$to$prefix/bin/$program"
    done
    install -D -m 644 -t "$to$prefix/share/man/man1" "$root"/pages/*.1
    install -D -m 644 -t "$to$prefix/share/zsh/site-functions" "$root"/pages/_*
    install -D -m 644 -t "$to$prefix/share/fish/vendor_completions.d" "$root"/pages/*.fish
    for page in "$root"/pages/*.bash; do
        install -D -m 644 "$page" "$to$prefix/share/bash-completion/completions/$(basename "$page" .bash)"
    done
    install -D -m 644 -t "$to$prefix/share/doc/libclip" README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT docs/cameras.md docs/install.md
    # They lie beside each other there.
    sed -i 's|(\.\./README\.md|(README.md|g' "$to$prefix/share/doc/libclip"/{cameras,install}.md
    "${PYTHON:-python3}" scripts/third-party.py clip-ffi "${crates[@]}" > "$root/THIRD-PARTY.txt"
    install -m 644 -t "$to$prefix/share/doc/libclip" "$root/THIRD-PARTY.txt"
    to=$goes_to
    deliver "$root/stage"
    echo "libclip $version is installed in $to$prefix${to:+, to be used as $prefix}"
    if [ -z "$to" ]; then
        echo "ONNX Runtime is not part of it: put libonnxruntime.so (of the wheel $(sed '/^#/d' scripts/pins/onnxruntime.txt)) into $libdir, or name it in ORT_DYLIB_PATH"
        case $libdir in /usr/lib | /usr/local/lib | /usr/lib/*) echo "run ldconfig once, so that programs find libclip.so" ;; esac
    fi
}

uninstall() {
    local file program
    [ -e "$to$libdir/libclip.so.$version" ] \
        || fail "there is no libclip $version in $to$libdir; uninstall with the PREFIX, LIBDIR, INCLUDEDIR and DESTDIR that it was installed with"
    for file in "${lib_files[@]}"; do rm -f "$to$libdir/$file"; done
    rm -f "$to$includedir/clip.h" "$to$includedir/clip.hpp"
    for program in "${programs[@]}"; do
        rm -f "$to$prefix/bin/$program" "$to$prefix/share/man/man1/$program.1" "$to$prefix/share/man/man1/$program"-*.1 \
            "$to$prefix/share/zsh/site-functions/_$program" "$to$prefix/share/fish/vendor_completions.d/$program.fish" \
            "$to$prefix/share/bash-completion/completions/$program"
    done
    for file in "${doc_files[@]}"; do rm -f "$to$prefix/share/doc/libclip/$file"; done
    rmdir "$to$prefix/share/doc/libclip" "$to$libdir/cmake/clip" 2> /dev/null || true
    echo "libclip is removed from $to$prefix"
}

case ${1:-install} in
    install) install_all ;;
    uninstall) uninstall ;;
    *) fail "usage: scripts/install.sh [uninstall]" ;;
esac
