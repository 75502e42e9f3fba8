"""Cuts the data folder's emoji into the shards that emoji-tiny is trained and measured on.

    python3 models/emoji-tiny/shards.py -o shards [--data ../shared/data]      (standard library only)

train-STYLE.tar   six styles; only emoji whose split is `train`
val-767.tar       openmoji, the `train` emoji that all eight styles have: known concepts, a style never seen
val-85.tar        openmoji, the `test` emoji that all eight styles have: neither concept nor style ever seen
val-100.tar       openmoji, the `train` emoji that everyday-100.txt names

The captions of a training sample are its name and, where there are any, its keywords. A validation sample has its name
alone, which is its class.
"""

import argparse
import io
import json
import os
import tarfile
from pathlib import Path

HERE = Path(__file__).parent
TRAIN_STYLES = ["twemoji", "noto", "blobmoji", "fxemoji", "fluent-3d", "fluent-flat"]
UNSEEN_STYLE = "openmoji"


def samples(tar_path):
    """(metadata, picture, captions) of each emoji of a style."""
    files = {}
    with tarfile.open(tar_path) as tar:
        for member in tar:
            key, _, extension = member.name.partition(".")
            files.setdefault(key, {})[extension] = tar.extractfile(member).read()
    for parts in files.values():
        yield json.loads(parts["json"]), parts["png"], parts["txt"].decode().splitlines()


def write(path, chosen):
    """Writes samples as a tar, and nothing under its name until it is whole."""
    temporary = path.with_suffix(".tmp")
    count = 0
    with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
        for meta, picture, captions in chosen:
            text = "".join(caption + "\n" for caption in captions).encode()
            for extension, content in (("png", picture), ("txt", text)):
                info = tarfile.TarInfo(f"{meta['key']}.{extension}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            count += 1
    temporary.rename(path)
    print(f"{path}: {count} samples")
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = HERE.parent.parent.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CLIP_DATA", beside)))
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    emoji = options.data / "emoji"
    if not emoji.is_dir():
        parser.error(f"{emoji} is not there: give the data folder with --data")
    options.output.mkdir(parents=True, exist_ok=True)

    for style in TRAIN_STYLES:
        chosen = (s for s in samples(emoji / f"{style}.tar") if s[0]["split"] == "train")
        write(options.output / f"train-{style}.tar", chosen)

    everywhere = set((emoji / "keys_in_all_styles.txt").read_text().split())
    everyday = set((HERE / "everyday-100.txt").read_text().splitlines())
    named = [(meta, png, captions[:1]) for meta, png, captions in samples(emoji / f"{UNSEEN_STYLE}.tar")]
    in_all = [s for s in named if s[0]["key"] in everywhere]
    for name, count, chosen in (
        ("val-767", 767, (s for s in in_all if s[0]["split"] == "train")),
        ("val-85", 85, (s for s in in_all if s[0]["split"] == "test")),
        ("val-100", 100, (s for s in named if s[0]["split"] == "train" and s[2][0] in everyday)),
    ):
        if write(options.output / f"{name}.tar", chosen) != count:
            raise SystemExit(f"error: {name}.tar should have {count} samples; is this another version of the data?")


if __name__ == "__main__":
    main()
