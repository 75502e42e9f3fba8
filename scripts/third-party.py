"""Prints which crates of others lie in what is installed, and their licences and notices, which go with it.

    python3 scripts/third-party.py CRATE...    # as clip-ffi clip-run

A text that several crates have is printed once, behind their names. The list is the same on every machine, as packages for two of them may be
installed side by side.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

TARGETS = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu")
NOTICES = ("licen", "copying", "copyright", "notice", "unlicense", "readme.ijg")


def linked(metadata: dict, roots: list[str]) -> list[dict]:
    """The packages that are linked into the crates `roots`: no build scripts' and no tests' dependencies, none of the workspace."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    waiting = [identity for identity, package in packages.items() if package["name"] in roots and package["source"] is None]
    seen = set()
    while waiting:
        identity = waiting.pop()
        if identity in seen:
            continue
        seen.add(identity)
        for dependency in nodes[identity]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return sorted((packages[identity] for identity in seen if packages[identity]["source"]), key=lambda p: (p["name"], p["version"]))


def notices(package: dict) -> list[str]:
    """The texts of a crate's licences; C sources in it have theirs in folders of their own."""
    folder = Path(package["manifest_path"]).parent
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name.lower().startswith(NOTICES)]
    texts = [path.read_text(errors="replace").strip() for path in files if path.suffix not in (".rs", ".py", ".html", ".toml", ".json")]
    return [text for text in texts if text]


def main() -> None:
    roots = sys.argv[1:]
    command = [os.environ.get("CARGO") or "cargo", "metadata", "--locked", "--format-version", "1"]
    command += [f"--filter-platform={target}" for target in TARGETS]
    packages = linked(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout), roots)
    if not packages:
        sys.exit(f"error: nothing of others is linked into {', '.join(roots)}, which cannot be")
    print("libclip and its programs have the crates below inside, and the standard library of Rust (MIT or Apache-2.0).\n")
    owners: dict[str, list[str]] = {}
    for package in packages:
        name = f"{package['name']} {package['version']}"
        print(f"{name}: {package['license'] or 'see ' + str(package['license_file'])}")
        for text in notices(package):
            names = owners.setdefault(text, [])
            if name not in names:
                names.append(name)
    for text, names in owners.items():
        print(f"\n{'=' * 80}\n{', '.join(names)}\n{'=' * 80}\n\n{text}")


if __name__ == "__main__":
    main()
