"""Compares `clip-train --evaluate` with open_clip's own evaluation; exits with 1 beyond the limits.

    python tests/parity/evaluation.py target/release/examples [--data ../shared/data]

emoji-tiny is measured on 300 emoji of a style that it was not trained on and on some stock pictures, written as two shards, by
clip-train and by open_clip_train's `evaluate`: the validation loss in batches of 64 (one of which lies across the shards) and
R@1, R@5 and R@10 in both directions, of each shard and of both; with `build_zero_shot_classifier` and CIFAR's 18 templates, top-1 and
top-5 of the emoji. open_clip takes each picture's own text as the only right one and leaves the order of equal ones open, so no caption and no picture
occurs twice here.

A share may be off by one picture or text: pixels may differ by one level, which decides between equals.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from types import SimpleNamespace

import open_clip
import torch
from open_clip_train import train
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "emoji-tiny"
TEMPLATES = ROOT / "model" / "src" / "templates" / "cifar.txt"
RELATIVE = 1e-3
BATCH = 64

failures: list[str] = []


def pairs(path: Path, limit: int) -> list[tuple[str, Image.Image]]:
    """Pairs of a tar of which no two have the same caption or picture; open_clip drops an alpha channel, so they are made opaque."""
    files: dict[str, dict[str, bytes]] = {}
    with tarfile.open(path) as tar:
        for member in tar:
            key, _, extension = member.name.partition(".")
            files.setdefault(key, {})[extension] = tar.extractfile(member).read()
    found, captions, pictures = [], set(), set()
    for parts in files.values():
        picture = Image.open(io.BytesIO(parts.get("png") or parts["jpg"])).convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        caption = parts["txt"].decode().splitlines()[0].strip()
        opaque = Image.alpha_composite(white, picture).convert("RGB")
        if caption not in captions and opaque.tobytes() not in pictures:
            found.append((caption, opaque))
        captions.add(caption)
        pictures.add(opaque.tobytes())
    return found[:: max(1, len(found) // limit)][:limit]


def write(path: Path, samples: list[tuple[str, Image.Image]]) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for number, (caption, picture) in enumerate(samples):
            png = io.BytesIO()
            picture.save(png, "png")
            for extension, content in (("png", png.getvalue()), ("txt", caption.encode())):
                info = tarfile.TarInfo(f"{number:04}.{extension}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


class Batches(list):
    """What open_clip_train takes for a loader."""

    num_samples = 0


class Reference:
    def __init__(self) -> None:
        self.model, _, self.preprocess = open_clip.create_model_and_transforms(f"local-dir:{MODEL}")
        self.tokenizer = open_clip.get_tokenizer(f"local-dir:{MODEL}")
        self.model.eval().output_dict = True
        self.arguments = SimpleNamespace(
            device="cpu", precision="fp32", val_frequency=1, epochs=1, zeroshot_frequency=0, distributed=False, horovod=False,
            save_logs=False, wandb=False, rank=0, local_rank=0, log_local=False, batch_size=BATCH,
        )  # fmt: skip

    def batches(self, samples: list, texts) -> Batches:
        found = Batches()
        for start in range(0, len(samples), BATCH):
            part = samples[start : start + BATCH]
            images = torch.stack([self.preprocess(picture) for _, picture in part])
            found.append((images, texts([caption for caption, _ in part])))
        found.num_samples = len(samples)
        return found

    def evaluate(self, samples: list) -> dict[str, float]:
        data = {"val": SimpleNamespace(dataloader=self.batches(samples, self.tokenizer))}
        return train.evaluate(self.model, data, 1, self.arguments, tokenizer=self.tokenizer)

    def zero_shot(self, samples: list) -> tuple[float, float]:
        names = [caption for caption, _ in samples]
        templates = [lambda name, line=line: line.replace("{}", name) for line in TEMPLATES.read_text().splitlines()]
        with torch.inference_mode():
            classifier = open_clip.build_zero_shot_classifier(self.model, self.tokenizer, names, templates)
        numbers = {name: number for number, name in enumerate(names)}
        hits = [0, 0]
        with torch.inference_mode():
            for images, own in self.batches(samples, lambda texts: torch.tensor([[numbers[text]] for text in texts])):
                best = (self.model.encode_image(images, normalize=True) @ classifier).topk(5).indices
                hits = [count + int((best[:, :k] == own).sum()) for count, k in zip(hits, (1, 5), strict=True)]
        return hits[0] / len(samples), hits[1] / len(samples)


def compare(what: str, found: float, expected: float, limit: float) -> None:
    print(f"  {what:18} {found:.5f}, open_clip {expected:.5f}")
    if not abs(found - expected) <= limit:
        failures.append(what)
        print(f"    FAILED: {abs(found - expected):.1e} off, limit {limit:.1e}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="the folder of the built examples")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CLIP_DATA", ROOT.parent / "shared" / "data")))
    arguments = parser.parse_args()
    sources = [("emoji", arguments.data / "emoji" / "openmoji.tar", 300), ("stock", arguments.data / "photos" / "stock-ai" / "stock-ai.tar", 100)]
    if not all(path.exists() for _, path, _ in sources):
        print("skipped: data folder, see README")
        return 0
    shards = {name: pairs(path, limit) for name, path, limit in sources}
    shards["total"] = [pair for samples in shards.values() for pair in samples]
    with tempfile.TemporaryDirectory(prefix="clip-parity-") as folder:
        paths = [Path(folder) / f"{name}.tar" for name, _, _ in sources]
        for path in paths:
            write(path, shards[path.stem])
        command = [arguments.examples.parent / "clip-train", "--evaluate", MODEL, "--val", *paths, "--json"]
        command += ["--loss-batch", str(BATCH), "--template", "cifar"]
        evaluation = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    reference = Reference()
    for figures in [*evaluation["shards"], evaluation["total"]]:
        name = figures["shard"].removesuffix(".tar")
        samples = shards[name]
        print(f"{name}: {len(samples)} pairs")
        expected = reference.evaluate(samples)
        one = 1.001 / len(samples)
        compare("loss", figures["loss"], expected["clip_val_loss"], RELATIVE * expected["clip_val_loss"])
        for direction in ("image_to_text", "text_to_image"):
            for rank in (1, 5, 10):
                compare(f"{direction} R@{rank}", figures[direction][f"r{rank}"]["value"], expected[f"{direction}_R@{rank}"], one)
        if name == "emoji":
            top1, top5 = reference.zero_shot(samples)
            compare("top-1", figures["top1"]["value"], top1, one)
            compare("top-5", figures["top5"]["value"], top5, one)
            # The templates must matter, and the figures be worth comparing.
            assert 0.1 < top1 < 0.95 and top1 != expected["image_to_text_R@1"], (top1, expected)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
