"""Compares the embeddings of all nine OpenAI architectures with open_clip and transformers; exits with 1 beyond the limits.

    python tests/parity/towers.py target/release/examples [--only NAME...] [--data ../shared/data]

For each architecture: random weights (random_models.py), the reference's embeddings of eight pictures and of texts of
every length, a checkpoint folder from them, and on our side
  libtorch      the trainer's network on that checkpoint (trainer/examples/forward.rs), from the same tensors
  onnx          the folder that clip-export makes of it, run by clip-runtime (runtime/examples/embed.rs), from pictures
                that are cropped already and from the strings
in batches of 8, 3 and 1; of the architectures in LARGE, three pictures and every fifth length of text, in smaller batches. Every exported
graph passes the full check of onnx.checker. For the two architectures in FILES `clip-run embed` runs from the photo files too, decoding
and cropping included, with limits of its own.
"""

import argparse
import functools
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import onnx
import open_clip
import torch
import torch.nn.functional as F
from open_clip.transform import image_transform
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision.transforms import Compose

import random_models

ABSOLUTE = 1e-4
COSINE = 0.99999
# Most of the time would go to these, which have no operation that the others lack.
LARGE = ("RN50x16", "RN50x64", "ViT-L-14", "ViT-L-14-336")
# From files, where a few pixels may be one level off.
FILES = ("RN50", "ViT-B-32")
FILES_ABSOLUTE = 1e-3
FILES_COSINE = 0.9999
SEED = 2103_00020
CONTEXT_LENGTH = 77

failures: list[str] = []


def check(holds: bool, what: str) -> None:
    if not holds:
        failures.append(what)
        print(f"    FAILED: {what}")


# Pictures and texts


def photos(data: Path) -> list[bytes]:
    """Eight photos of the data folder, as different in shape as it has them; none when it is absent."""
    archive = data / "photos" / "coco-cc" / "coco-cc.tar"
    if not archive.exists():
        return []
    with tarfile.open(archive) as tar:
        files = [tar.extractfile(member).read() for member in tar if member.name.endswith(".jpg")]
    by_shape = {}
    for file in files:
        by_shape.setdefault(Image.open(io.BytesIO(file)).size, file)
    return [by_shape[size] for size in sorted(by_shape)][:8]


def generated_pictures() -> list[bytes]:
    """Eight PNGs of odd shapes: smooth waves and noise."""
    rng = np.random.default_rng(SEED)
    files = []
    for width, height in [(640, 480), (97, 500), (1500, 60), (224, 224), (31, 33), (400, 400), (333, 250), (5, 300)]:
        y, x = np.mgrid[0:height, 0:width]
        waves = [np.sin(x * rng.uniform(0, 0.2) + y * rng.uniform(0, 0.2) + rng.uniform(0, 6)) for _ in range(3)]
        pixels = 128 + 90 * np.stack(waves, -1) + rng.normal(0, 20, (height, width, 3))
        out = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out, "PNG")
        files.append(out.getvalue())
    return files


def texts_of_every_length(data: Path) -> list[str]:
    """Texts of 2 (nothing but start and end) to 77 tokens, and one that is cut at 77; in a random order."""
    words = "a the dog cat red blue house car tree water man woman street sky food table photo old small two".split()
    captions = data / "photos" / "coco-cc" / "coco-cc.tar"
    if captions.exists():
        with tarfile.open(captions) as tar:
            lines = [tar.extractfile(member).read().decode() for member in tar if member.name.endswith(".txt")]
        words = sorted({word.strip(".,!'\"") for line in lines for word in line.lower().split()})
    tokenize = open_clip.tokenizer.SimpleTokenizer()
    words = [word for word in words if word and len(tokenize.encode(word)) == 1]
    rng = random.Random(SEED)
    texts = [" ".join(rng.choices(words, k=count)) for count in [*range(CONTEXT_LENGTH - 1), 200]]
    rng.shuffle(texts)
    lengths = {length(ids) for ids in open_clip.tokenize(texts)}
    assert lengths == set(range(2, CONTEXT_LENGTH + 1)), lengths
    return texts


def length(ids: torch.Tensor) -> int:
    """Tokens of a padded text, start and end included."""
    return int(ids.argmax()) + 1


def batches(rows: list, sizes: list[int]) -> list[tuple[int, list]]:
    """Consecutive slices of these sizes, each with its start; a slice that would not fit starts again in front."""
    result, start = [], 0
    for size in sizes:
        if start + size > len(rows):
            start = 0
        result.append((start, rows[start : start + size]))
        start += size
    return result


# The comparison


def compare(name: str, what: str, found: np.ndarray, expected: np.ndarray, absolute: float = ABSOLUTE, cosine: float = COSINE) -> str:
    """Checks rows against rows, and returns both figures for the table."""
    assert found.shape == expected.shape, (found.shape, expected.shape)
    difference, nearest = figures(found, expected)
    check(difference <= absolute, f"{name}, {what}: max abs difference {difference:.2e}, limit {absolute:.0e}")
    check(nearest >= cosine, f"{name}, {what}: cosine {nearest:.7f}, limit {cosine}")
    return f"{difference:9.1e} {1 - nearest:9.1e}"


def figures(found: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """Largest absolute difference and smallest cosine; anything that is not a number counts as the worst."""
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    if not np.isfinite(found).all():
        return float("inf"), -1.0
    cosines = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    return float(np.abs(found - expected).max()), float(cosines.min())


def check_sensitivity(name: str, rows: np.ndarray) -> None:
    """The comparison must be able to fail: every row is far from every other one, so that none passes for another."""
    for i in range(len(rows)):
        others = np.delete(rows, i, axis=0)
        difference = np.abs(others - rows[i]).max(axis=1).min()
        cosine = (others @ rows[i]).max()
        check(difference > 10 * ABSOLUTE and cosine < COSINE, f"{name}: row {i} is like another one: {difference:.1e}, cosine {cosine:.7f}")
    difference, cosine = figures(np.roll(rows, 1, axis=0), rows)
    assert difference > 100 * ABSOLUTE and cosine < 0.999, (difference, cosine)


def gather(replies: list[tuple[int, np.ndarray]], expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All rows of all batches, and the reference's row for each."""
    found = np.concatenate([rows for _, rows in replies])
    return found, np.concatenate([expected[start : start + len(rows)] for start, rows in replies])


# The engines


@torch.no_grad()
def open_clip_rows(model, pixels: torch.Tensor, ids: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    images = model.encode_image(pixels, normalize=True)
    texts = [model.encode_text(part, normalize=True) for part in ids.split(16)]
    return images.numpy(), torch.cat(texts).numpy()


@torch.no_grad()
def transformers_rows(model, pixels: torch.Tensor, ids: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    images = model.get_image_features(pixel_values=pixels).pooler_output
    texts = model.get_text_features(input_ids=ids).pooler_output
    return F.normalize(images, dim=-1).numpy(), F.normalize(texts, dim=-1).numpy()


def run(*command) -> str:
    """Runs a program and returns what it printed; its messages are shown when it fails."""
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {result.returncode}: {result.stderr.strip()[-2000:]}")
    return result.stdout


def libtorch_rows(examples: Path, checkpoint: Path, folder: Path, pixels, ids, image_sizes, text_sizes, device="cpu"):
    """The trainer's network on a device; each text batch is cut at its longest text."""
    images = batches(pixels, image_sizes)
    texts = [(start, part[:, : max(map(length, part))]) for start, part in batches(ids, text_sizes)]
    inputs = {f"images.{i:02}": part.clone() for i, (_, part) in enumerate(images)}
    inputs |= {f"texts.{i:02}": part.clone() for i, (_, part) in enumerate(texts)}
    save_file(inputs, folder / "inputs.safetensors")
    run(examples / "forward", checkpoint, folder / "inputs.safetensors", folder / "outputs.safetensors", device)
    outputs = load_file(folder / "outputs.safetensors")
    image_rows = [(start, outputs[f"images.{i:02}"].numpy()) for i, (start, _) in enumerate(images)]
    text_rows = [(start, outputs[f"texts.{i:02}"].numpy()) for i, (start, _) in enumerate(texts)]
    return image_rows, text_rows


def runtime_rows(examples: Path, exported: Path, pictures: list[Path], texts: list[str], image_sizes, text_sizes):
    """clip-runtime on an exported folder, opened once."""
    requests = [("images", start, list(map(str, part))) for start, part in batches(pictures, image_sizes)]
    requests += [("texts", start, part) for start, part in batches(texts, text_sizes)]
    lines = "".join(json.dumps({kind: part}) + "\n" for kind, _, part in requests)
    result = subprocess.run([examples / "embed", exported], input=lines, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"embed ended with {result.returncode}: {result.stderr.strip()[-2000:]}")
    replies = [np.array(json.loads(line), np.float32) for line in result.stdout.splitlines()]
    rows = {"images": [], "texts": []}
    for (kind, start, part), reply in zip(requests, replies, strict=True):
        assert len(reply) == len(part)
        rows[kind].append((start, reply))
    return rows["images"], rows["texts"]


# The architectures


class Inputs:
    """What every engine is given."""

    def __init__(self, data: Path):
        self.files = photos(data)
        self.real = bool(self.files)
        if not self.real:
            print(f"skipped: data folder, see README (no photos in {data}; generated pictures instead)")
            self.files = generated_pictures()
        self.texts = texts_of_every_length(data)
        self.ids = open_clip.tokenize(self.texts)

    @functools.cache
    def fitted(self, size: int) -> list[Image.Image]:
        """The pictures as open_clip resizes and crops them."""
        steps = image_transform(size, is_train=False).transforms
        # All but ToTensor and Normalize.
        fit = Compose(steps[:-2])
        return [fit(Image.open(io.BytesIO(file))) for file in self.files]

    def pixels(self, size: int) -> torch.Tensor:
        """[8, 3, size, size], normalised as open_clip does."""
        to_tensor = Compose(image_transform(size, is_train=False).transforms[-2:])
        return torch.stack([to_tensor(picture) for picture in self.fitted(size)])


def compare_architecture(name: str, seed: int, inputs: Inputs, examples: Path, folder: Path) -> None:
    config = random_models.openai_config(name)
    size = config["vision_cfg"]["image_size"]
    if name in LARGE:
        count, chosen = 3, [i for i, ids in enumerate(inputs.ids) if length(ids) % 5 == 2]  # the shortest and the longest too
        image_sizes, text_sizes = [2, 1], [8, 5, 3, 1]
    else:
        count, chosen = 8, list(range(len(inputs.texts)))
        image_sizes, text_sizes = [8, 3, 1], [8] * 9 + [5, 3, 1, 1]
    pixels, ids, texts = inputs.pixels(size)[:count], inputs.ids[chosen], [inputs.texts[i] for i in chosen]
    assert sum(text_sizes) >= len(texts), "every text is in a batch"
    programs = examples.parent

    started = time.monotonic()
    model = random_models.build(config, seed, pixels[:2])
    made = time.monotonic()
    image_rows, text_rows = open_clip_rows(model, pixels, ids)
    print(f"{name}: made in {made - started:.0f} s, open_clip's embeddings in {time.monotonic() - made:.0f} s", flush=True)
    check_sensitivity(f"{name}, images", image_rows)
    check_sensitivity(f"{name}, texts", text_rows)
    checkpoint, exported = folder / "checkpoint", folder / "exported"
    random_models.write_checkpoint(model, config, checkpoint)

    # Each column: images max abs difference and 1 - cosine, texts the same.
    def row(engine: str, of_images: str, of_texts: str, since: float) -> None:
        print(f"  {engine:32} {of_images}   {of_texts}   {time.monotonic() - since:5.0f} s", flush=True)

    theirs = None
    if name.startswith("ViT"):
        since = time.monotonic()
        few, some = slice(0, 3), slice(0, 16)
        theirs = transformers_rows(random_models.transformers_model(model, config), pixels[few], ids[some])
        label = f"{name}, transformers against open_clip"
        row("transformers ~ open_clip", compare(label, "images", theirs[0], image_rows[few]), compare(label, "texts", theirs[1], text_rows[some]), since)
    del model

    since = time.monotonic()
    libtorch = libtorch_rows(examples, checkpoint, folder, pixels, ids, image_sizes, text_sizes)
    against("libtorch", name, libtorch, (image_rows, text_rows), theirs, row, since)

    run(programs / "clip-export", checkpoint, "-o", exported)
    shutil.rmtree(checkpoint)
    for graph in ("visual.onnx", "text.onnx"):
        onnx.checker.check_model(str(exported / graph), full_check=True)
    pictures = [folder / f"{i}.png" for i in range(len(pixels))]
    for path, picture in zip(pictures, inputs.fitted(size)):
        picture.save(path)
    since = time.monotonic()
    ours = runtime_rows(examples, exported, pictures, texts, image_sizes, text_sizes)
    against("onnx", name, ours, (image_rows, text_rows), theirs, row, since)

    if name in FILES:
        since = time.monotonic()
        from_files(name, programs, exported, folder, inputs, (image_rows, text_rows), row, since)


def against(engine, name, found, reference, theirs, row, since) -> None:
    """Compares one of our engines with open_clip, and with transformers where there is a model."""
    label = f"{name}, {engine} against open_clip"
    columns = [compare(label, what, *gather(rows, expected)) for what, rows, expected in zip(("images", "texts"), found, reference)]
    row(f"{engine} ~ open_clip", *columns, since)
    if theirs is None:
        return
    label = f"{name}, {engine} against transformers"
    columns = []
    for what, rows, expected in zip(("images", "texts"), found, theirs):
        # The batches in front cover at least the rows that transformers encoded.
        covered = np.concatenate([rows for _, rows in rows])[: len(expected)]
        columns.append(compare(label, what, covered, expected))
    row(f"{engine} ~ transformers", *columns, since)


def from_files(name, programs, exported, folder, inputs, reference, row, since) -> None:
    """`clip-run embed` from the files themselves: decoding and cropping included."""
    paths = [folder / f"file{i}.{'jpg' if inputs.real else 'png'}" for i in range(len(inputs.files))]
    for path, file in zip(paths, inputs.files):
        path.write_bytes(file)
    (folder / "texts.txt").write_text("".join(text + "\n" for text in inputs.texts))
    run(programs / "clip-run", "embed", exported, "--images", *paths, "-o", folder / "images.npy")
    nonempty = [i for i, text in enumerate(inputs.texts) if text]
    run(programs / "clip-run", "embed", exported, "--texts", *(inputs.texts[i] for i in nonempty), "-o", folder / "texts.npy")
    images, texts = np.load(folder / "images.npy"), np.load(folder / "texts.npy")
    assert images.dtype == texts.dtype == np.float32
    label = f"{name}, clip-run from files against open_clip"
    row(
        "clip-run, from files ~ open_clip",
        compare(label, "images", images, reference[0], absolute=FILES_ABSOLUTE, cosine=FILES_COSINE),
        compare(label, "texts", texts, reference[1][nonempty]),
        since,
    )


@torch.no_grad()
def compare_trained(checkpoint: Path, inputs: Inputs, examples: Path, folder: Path) -> None:
    """A checkpoint that clip-train wrote, opened by open_clip."""
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{checkpoint}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{checkpoint}", context_length=model.context_length)
    model.eval()
    pixels = torch.stack([preprocess(Image.open(io.BytesIO(file))) for file in inputs.files])
    texts = ["cat", "red heart", "a photo of a dog.", "flag: France", "two women dancing in the street at night"]
    ids = tokenizer(texts)
    image_rows, text_rows = open_clip_rows(model, pixels, ids)
    since = time.monotonic()
    found = libtorch_rows(examples, checkpoint, folder, pixels, ids, [8], [5])
    label = f"{checkpoint.name}, open_clip on our checkpoint"
    columns = [compare(label, what, *gather(rows, expected)) for what, rows, expected in zip(("images", "texts"), found, (image_rows, text_rows))]
    print(f"{checkpoint.name}: opened by open_clip as local-dir")
    print(f"  {'libtorch ~ open_clip':32} {columns[0]}   {columns[1]}   {time.monotonic() - since:5.0f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="the folder of the built examples; the programs lie in the one above")
    root = Path(__file__).resolve().parents[2]
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CLIP_DATA", root.parent / "shared" / "data")))
    parser.add_argument("--only", nargs="+", choices=random_models.ARCHITECTURES, default=random_models.ARCHITECTURES)
    arguments = parser.parse_args()

    started = time.monotonic()
    inputs = Inputs(arguments.data)
    print(f"limits: max abs difference {ABSOLUTE:.0e}, 1 - cosine {1 - COSINE:.0e}; seed {SEED}")
    print(f"  {'':32} {'images':^19}   {'texts':^19}")
    print(f"  {'':32} {'max abs':>9} {'1 - cos':>9}   {'max abs':>9} {'1 - cos':>9}")
    for number, name in enumerate(random_models.ARCHITECTURES):
        if name in arguments.only:
            with tempfile.TemporaryDirectory(prefix="clip-parity-") as folder:
                compare_architecture(name, SEED + number, inputs, arguments.examples, Path(folder))
    trained = root / "models" / "emoji-tiny"
    if (trained / "open_clip_config.json").exists():
        with tempfile.TemporaryDirectory(prefix="clip-parity-") as folder:
            compare_trained(trained, inputs, arguments.examples, Path(folder))
    else:
        print("skipped: models/emoji-tiny has no checkpoint yet")
    print(f"{len(failures)} failures, {time.monotonic() - started:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
