#!/usr/bin/env bash
# Writes include/clip.h from ffi/clip.h.in and the C functions of ffi/src/; with --check, only says whether it is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.29.4
root=.deps/cbindgen-$version
if [ ! -x "$root/bin/cbindgen" ]; then
    cargo install --quiet --locked --version $version --root "$root" cbindgen
fi

header=$(mktemp)
trap 'rm -f "$header"' EXIT
while IFS= read -r line; do
    case $line in
    @*@) # A section: what that file of ffi/src/ has for C. Types go by their names alone, constants stand close together.
        "$root/bin/cbindgen" --quiet --config ffi/cbindgen.toml "ffi/src/${line//@/}.rs" |
            sed -E '/^typedef struct/! s/\bstruct (clip_)/\1/g' |
            sed -Ez 's|\n\n(/// [^\n]*\n#define)|\n\1|g' |
            awk '/^[^\/].*\(.*;$/ { # a prototype, which goes on below its first argument
                while (length > 118) {
                    match(substr($0, 1, 118), /.*,/)
                    print substr($0, 1, RLENGTH)
                    if (!indent) indent = index($0, "(")
                    $0 = sprintf("%*s", indent, "") substr($0, RLENGTH + 2)
                }
                indent = 0
            } { print }'
        ;;
    *) printf '%s\n' "$line" ;;
    esac
done < ffi/clip.h.in > "$header"

if [ "${1:-}" != --check ]; then
    cp "$header" include/clip.h
elif ! diff -u include/clip.h "$header"; then
    echo "error: include/clip.h is not what ffi/ says; run \`make header\` and commit it" >&2
    exit 1
fi
