"""Cuts the data folder's emoji into the shards that emoji-tiny is trained and measured on.

    python3 models/emoji-tiny/shards.py -o shards [--data ../shared/data]      (standard library only)

train-STYLE.tar   six styles; only emoji whose split is `train`
val-767.tar       openmoji, the `train` emoji that all eight styles have: known concepts, a style never seen
val-85.tar        openmoji, the `test` emoji that all eight styles have: neither concept nor style ever seen
val-100.tar       openmoji, the `train` emoji that everyday-100.txt names

The captions of a training sample are its name and, where there are any, its keywords. A validation sample has its name
alone, which is its class.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import tars  # noqa: E402

TRAIN_STYLES = ["twemoji", "noto", "blobmoji", "fxemoji", "fluent-3d", "fluent-flat"]
UNSEEN_STYLE = "openmoji"


def drawings(path):
    """(metadata, picture, captions) of each emoji of a style."""
    for _, parts in tars.samples(path):
        yield json.loads(parts["json"]), parts["png"], parts["txt"].decode().splitlines()


def write(path, chosen):
    """Writes emoji as a tar. Returns their number."""
    return tars.write(path, ((meta["key"], "png", picture, captions) for meta, picture, captions in chosen))


def main():
    emoji, output = tars.folders(__doc__, "emoji")
    for style in TRAIN_STYLES:
        chosen = (s for s in drawings(emoji / f"{style}.tar") if s[0]["split"] == "train")
        write(output / f"train-{style}.tar", chosen)

    everywhere = set((emoji / "keys_in_all_styles.txt").read_text().split())
    everyday = set((HERE / "everyday-100.txt").read_text().splitlines())
    named = [(meta, png, captions[:1]) for meta, png, captions in drawings(emoji / f"{UNSEEN_STYLE}.tar")]
    in_all = [s for s in named if s[0]["key"] in everywhere]
    for name, count, chosen in (
        ("val-767", 767, (s for s in in_all if s[0]["split"] == "train")),
        ("val-85", 85, (s for s in in_all if s[0]["split"] == "test")),
        ("val-100", 100, (s for s in named if s[0]["split"] == "train" and s[2][0] in everyday)),
    ):
        if write(output / f"{name}.tar", chosen) != count:
            raise SystemExit(f"error: {name}.tar should have {count} samples; is this another version of the data?")


if __name__ == "__main__":
    main()
