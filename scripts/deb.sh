#!/usr/bin/env bash
# `make deb`: Debian's packages libclip0, libclip-dev and clip-tools, into target/deb/.
#
#   scripts/deb.sh            of this machine's architecture
#   ARCH=arm64 scripts/deb.sh of arm64 (scripts/aarch64.sh says what that needs)
#   scripts/deb.sh missing    says what of the machine is not there for that, and ends with 1; with 0 where nothing is missing
#
# scripts/install.sh builds and installs into a staging tree; debhelper makes packages of it by the files in packaging/debian.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "error: $*" >&2
    exit 1
}

missing() {
    command -v dpkg-buildpackage > /dev/null || echo "dpkg-buildpackage (dpkg-dev)"
    command -v dh > /dev/null || echo "dh (debhelper)"
}

lacking=$(missing)
case ${1:-} in
    "") [ -z "$lacking" ] || fail "for Debian's packages this machine lacks:"$'\n'"$lacking" ;;
    missing)
        [ -z "$lacking" ] || { echo "$lacking" && exit 1; }
        exit 0
        ;;
    *) fail "usage: scripts/deb.sh [missing]" ;;
esac

arch=${ARCH:-$(dpkg --print-architecture)}
case $arch in
    amd64) target=x86_64-unknown-linux-gnu ;;
    arm64) target=aarch64-unknown-linux-gnu ;;
    *) fail "there are packages for amd64 and arm64, not for '$arch'" ;;
esac
multiarch=$(dpkg-architecture --host-arch "$arch" --query DEB_HOST_MULTIARCH)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
root=${CARGO_TARGET_DIR:-$PWD/target}/deb
work=$root/$arch/libclip-$version

rm -rf "${root:?}/$arch"
mkdir -p "$work"
# The triplet's compilers are for what is packaged; cargo's build scripts are this machine's.
TARGET=$target DESTDIR=$work/stage PREFIX=/usr LIBDIR=/usr/lib/$multiarch scripts/install.sh
cp -r packaging/debian "$work/debian"

onnxruntime=$(sed -n 's/^onnxruntime==//p' scripts/pins/onnxruntime.txt)
sed -i "s/@ONNXRUNTIME@/$onnxruntime/" "$work"/debian/*.README.Debian
# The same sources give the same packages: the date is that of the last commit, or what the variable says.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || stat -c %Y CHANGELOG.md)}
cat > "$work/debian/changelog" << END
libclip ($version) unstable; urgency=medium

  * What is new in this version is told in changelog.gz.

 -- libclip maintainers <libclip@users.noreply.github.com>  $(date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")
END
cp CHANGELOG.md "$work/"
mv "$work/stage/usr/share/doc/libclip" "$work/doc"

(
    cd "$work"
    # What builds is scripts/install.sh, so Debian's rules about what has to be installed for that are left aside.
    dpkg-buildpackage --build=binary --host-arch="$arch" --no-check-builddeps --no-sign > build.log 2>&1
) || { tail -n 40 "$work/build.log" >&2 && fail "debhelper failed; all it said is in $work/build.log"; }
ls "$root/$arch"/*.deb
