"""Packs folders into parts that can be carried one by one, and puts them together again. Needs nothing but Python.

    python parts.py pack STAGE FOLDER [--mib 60]
    python parts.py unpack [--to FOLDER] PART...

Each folder in STAGE is a bundle of its own: it becomes a tar file, compressed by xz and cut into parts named
BUNDLE-ID-NUMBERofTOTAL-CHECKSUM.part. ID is of what was packed, so that parts of different packs are never mixed and a bundle that
is packed already stays; CHECKSUM is of the part. Parts may come in any order, in one call or in several, and twice: what has come is
kept in FOLDER/parts until a bundle is complete, which then appears as FOLDER/BUNDLE, whole or not at all.
"""

import argparse
import contextlib
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

NAME = re.compile(r"(?P<bundle>[a-z0-9]+(?:-[a-z]+)*)-(?P<id>[0-9a-f]{12})-(?P<number>\d+)of(?P<total>\d+)-(?P<sum>[0-9a-f]{16})\.part")
MIB = 1 << 20
# The largest part.
MOST = 60
# Which pack an unpacked bundle is of.
MARK = ".pack"


class Refused(Exception):
    """What was given is not what it should be."""


class Part:
    """A part, by its name."""

    def __init__(self, path: Path):
        match = NAME.fullmatch(path.name)
        if not match:
            raise Refused(f"{path} is not named like a part, BUNDLE-ID-NUMBERofTOTAL-CHECKSUM.part")
        self.path, self.bundle, self.id, self.sum = path, match["bundle"], match["id"], match["sum"]
        self.number, self.total = int(match["number"]), int(match["total"])

    def check(self) -> None:
        if not self.path.is_file():
            raise Refused(f"{self.path} does not exist")
        found = checksum(self.path)
        if found != self.sum:
            raise Refused(f"{self.path} is damaged: its checksum is {found}, not that of its name; bring it once more")


def checksum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


# Packing


def write_tar(folder: Path, out) -> None:
    """The same bytes for the same files, whenever they were made; what links point to instead of links."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime = info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
        return info

    with tarfile.open(fileobj=out, mode="w|", dereference=True) as tar:
        for path in sorted(walk(folder)):
            tar.add(path, path.relative_to(folder), recursive=False, filter=plain)


def walk(folder: Path):
    for entry in folder.iterdir():
        if entry.name == "__pycache__" or entry.suffix == ".pyc":
            continue
        yield entry
        if entry.is_dir():
            yield from walk(entry)


class Digest:
    """What is written to it is only hashed."""

    def __init__(self):
        self.hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return len(data)


def pack(folder: Path, to: Path, mib: int) -> list[Part]:
    """The parts of one bundle; those of earlier packs of it are removed."""
    digest = Digest()
    write_tar(folder, digest)
    # Parts of another size are another pack.
    id = hashlib.sha256(f"{digest.hash.hexdigest()} {mib}".encode()).hexdigest()[:12]
    before = [part for part in parts_in(to) if part.bundle == folder.name]
    if complete([part for part in before if part.id == id]) and len({part.id for part in before}) == 1:
        return before
    with tempfile.TemporaryDirectory(dir=to, prefix=".packing-") as temporary:
        whole = Path(temporary) / "whole"
        compress(folder, whole)
        total = -(-whole.stat().st_size // (mib * MIB))
        pieces = []
        with open(whole, "rb") as file:
            for number in range(1, total + 1):
                piece = Path(temporary) / str(number)
                piece.write_bytes(file.read(mib * MIB))
                pieces.append((piece, f"{folder.name}-{id}-{number}of{total}-{checksum(piece)}.part"))
        for part in before:
            part.path.unlink()
        for piece, name in pieces:
            piece.rename(to / name)
    return [part for part in parts_in(to) if part.bundle == folder.name]


def compress(folder: Path, to: Path) -> None:
    """By xz's program on all processors where there is one, since Python's own uses one."""
    with open(to, "wb") as out:
        if shutil.which("xz"):
            xz = subprocess.Popen(["xz", "-6", "--threads=0", "--stdout"], stdin=subprocess.PIPE, stdout=out)
            write_tar(folder, xz.stdin)
            xz.stdin.close()
            if xz.wait() != 0:
                raise Refused(f"xz ended with status {xz.returncode}")
        else:
            with lzma.open(out, "wb", preset=6) as compressed:
                write_tar(folder, compressed)


def parts_in(folder: Path) -> list[Part]:
    parts = [Part(path) for path in folder.glob("*.part") if NAME.fullmatch(path.name)]
    return sorted(parts, key=lambda part: (part.bundle, part.id, part.number))


def complete(parts: list[Part]) -> bool:
    """Whether these, of one pack, are all of it."""
    return bool(parts) and {part.number for part in parts} == set(range(1, parts[0].total + 1))


# Unpacking


def unpack(paths: list[Path], to: Path) -> None:
    parts = [Part(path) for path in paths]
    # All of them before anything is kept.
    for part in parts:
        part.check()
    kept = to / "parts"
    kept.mkdir(parents=True, exist_ok=True)
    for part in parts:
        if mark(to, part.bundle) == part.id:
            print(f"{part.bundle}: unpacked already")
            continue
        for other in parts_in(kept):
            if other.bundle == part.bundle and other.id != part.id:
                print(f"{part.bundle}: a part of another pack, {other.path.name}, is dropped")
                other.path.unlink()
        store(part.path, kept / part.path.name)
    for bundle in sorted({part.bundle for part in parts_in(kept)}):
        here = [part for part in parts_in(kept) if part.bundle == bundle]
        if complete(here):
            extract(here, to / bundle)
            print(f"{bundle}: unpacked into {to / bundle}")
        else:
            missing = sorted(set(range(1, here[0].total + 1)) - {part.number for part in here})
            words = ", ".join(map(str, missing))
            print(f"{bundle}: {len(here)} of {here[0].total} parts are here, missing: {words}")


def store(path: Path, to: Path) -> None:
    if to.exists() and checksum(to) == checksum(path):
        return
    temporary = to.with_suffix(".new")
    shutil.copyfile(path, temporary)
    temporary.rename(to)


def mark(to: Path, bundle: str) -> str | None:
    file = to / bundle / MARK
    return file.read_text() if file.exists() else None


class Chain:
    """The bytes of several files, one after the other."""

    def __init__(self, paths: list[Path]):
        self.files = [open(path, "rb") for path in paths]

    def read(self, count: int = -1) -> bytes:
        while self.files:
            if data := self.files[0].read(count):
                return data
            self.files.pop(0).close()
        return b""

    def close(self) -> None:
        for file in self.files:
            file.close()


def extract(parts: list[Part], to: Path) -> None:
    new = to.with_name(to.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    with contextlib.closing(Chain([part.path for part in parts])) as chain, lzma.open(chain) as plain:
        with tarfile.open(fileobj=plain, mode="r|") as tar:
            # Python before 3.11.4 has no filters; its checksum says that the part is ours.
            tar.extractall(new, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (new / MARK).write_text(parts[0].id)
    shutil.rmtree(to, ignore_errors=True)
    new.rename(to)
    for part in parts:
        part.path.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("stage", type=Path)
    packing.add_argument("folder", type=Path)
    packing.add_argument("--mib", type=int, default=MOST, help=f"size of the largest part, at most {MOST}")
    unpacking = commands.add_parser("unpack")
    unpacking.add_argument("--to", type=Path, default=Path("target/gpu-check"))
    unpacking.add_argument("parts", type=Path, nargs="+")
    arguments = parser.parse_args()
    try:
        if arguments.command == "unpack":
            unpack(arguments.parts, arguments.to)
            return 0
        if not 1 <= arguments.mib <= MOST:
            raise Refused(f"--mib {arguments.mib} is not between 1 and {MOST}")
        arguments.folder.mkdir(parents=True, exist_ok=True)
        for folder in sorted(arguments.stage.iterdir()):
            for part in pack(folder, arguments.folder, arguments.mib):
                print(f"{part.path.stat().st_size / MIB:6.1f} MiB  {part.path}")
    except (Refused, OSError, lzma.LZMAError, tarfile.TarError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
