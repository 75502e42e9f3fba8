"""Cuts the data folder's photos into the shards that photo-tiny is trained and measured on.

    python3 models/photo-tiny/shards.py -o shards [--data ../shared/data]      (standard library only)

train-cifar10.tar     the 50,000 training pictures of CIFAR-10, each with CLIP's 18 templates for it
train-flowers.tar     2,931 photos of five flowers, with the same templates and CLIP's for flowers
train-stock-ai.tar    generated stock pictures with a sentence and with their tags, but for one in ten
train-coco-cc.tar     photos of COCO with five captions each, but for those of val-coco-cc.tar
val-cifar10.tar, val-flowers.tar    CIFAR-10's test pictures and flowers' validation photos with their class
val-stock-ai.tar      one in ten of the stock pictures with its sentence
val-coco-cc.tar       the photos of COCO whose captions name one of CIFAR-10's classes and no other, with this class
"""

import json
import re
import sys
import zlib
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import tars  # noqa: E402

# The words by which captions name CIFAR-10's classes.
WORDS = {
    "airplane": ["airplane", "plane", "jet"],
    "automobile": ["automobile", "car"],
    "ship": ["ship", "boat"],
}


def of_classes(path, templates):
    """Pictures with their class put into each of the templates."""
    for key, parts in tars.samples(path):
        name = parts["txt"].decode().strip()
        yield key, "jpg", parts["jpg"], [template.replace("{}", name) for template in templates]


def named_class(captions, classes):
    """The one class that captions name, if it is one."""
    words = set(re.findall("[a-z]+", " ".join(captions).lower()))
    named = [c for c in classes if any(w in words or w + "s" in words for w in WORDS.get(c, [c]))]
    return named[0] if len(named) == 1 else None


def main():
    photos, output = tars.folders(__doc__, "photos")
    templates = {
        name: (photos.parent / "clip" / "templates" / f"{name}.txt").read_text().splitlines()
        for name in ("cifar10", "flowers102")
    }
    cifar, flowers = photos / "cifar10", photos / "flowers"
    classes = (cifar / "classnames.txt").read_text().split()

    tars.write(output / "train-cifar10.tar", of_classes(cifar / "cifar10-train.tar.gz", templates["cifar10"]))
    both = templates["cifar10"] + templates["flowers102"]
    tars.write(output / "train-flowers.tar", of_classes(flowers / "flowers-train.tar", both))
    tars.write(output / "val-cifar10.tar", of_classes(cifar / "cifar10-test.tar.gz", ["{}"]))
    tars.write(output / "val-flowers.tar", of_classes(flowers / "flowers-val.tar", ["{}"]))

    stock = {"train": [], "val": []}
    for key, parts in tars.samples(photos / "stock-ai" / "stock-ai.tar"):
        meta = json.loads(parts["json"])
        held_out = zlib.crc32(key.encode()) % 10 == 0
        captions = [meta["sentence"]] if held_out else [meta["sentence"], ", ".join(meta["tags"])]
        stock["val" if held_out else "train"].append((key, "jpg", parts["jpg"], captions))
    coco = {"train": [], "val": []}
    for key, parts in tars.samples(photos / "coco-cc" / "coco-cc.tar"):
        captions = parts["txt"].decode().splitlines()
        name = named_class(captions, classes)
        coco["val" if name else "train"].append((key, "jpg", parts["jpg"], [name] if name else captions))
    for name, parts in (("stock-ai", stock), ("coco-cc", coco)):
        for part, chosen in parts.items():
            tars.write(output / f"{part}-{name}.tar", chosen)


if __name__ == "__main__":
    main()
