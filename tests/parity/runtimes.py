"""Opens folders of `clip-export --layout` in the programs that they are for; exits with 1 where embeddings are others than ours.

    python tests/parity/runtimes.py target/release/examples

transformers.js in Node.js, fastembed and optimum-onnx are the real programs, as `scripts/deps.sh runtimes` brings them; one that
is not there is left out, with a line that says so. Immich's service is no package: `immich` below asks for the files, the inputs
and the output that `immich_ml` 2.2.3 does in its classes for OpenCLIP's models (machine-learning/immich_ml/models/clip).

Each program tokenizes the texts and prepares the pictures itself, and its embeddings are compared with those of the model
folder (runtime/examples/embed.rs). Pictures have the model's size, so that nothing is resized; larger ones are fed as the tensors
that our preprocessing makes of them, since resizing differs: Pillow's in fastembed and optimum-onnx, sharp's in transformers.js.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEPS = ROOT / ".deps"
sys.path.append(str(DEPS / "fastembed"))
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import onnx
import onnxruntime
import torch
from PIL import Image
from tokenizers import Tokenizer

import random_models
import siglip
from ours import Ours

SEED = 2103_00020
LIMIT = 1e-5
# Below single precision, other batches and padding are rounded otherwise, and these programs have ONNX Runtimes of their own.
ROUNDED = {"fp32": LIMIT, "fp16": 1e-3, "int8": 0.02}
# What no tokenizer.json can say is not among them: repairs of wrong encodings, and HTML beyond a few references.
TEXTS = ["", "a red car", "A photo of a DOG.", "  two   people in a blue boat\n", "it's 12 o'clock?", "naïve café, 日本", "cat & dog", "a very long sentence " * 40]
LABELS = ["a cat", "a red car", "two people"]

VIT = {
    "embed_dim": 64,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": 3, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 3},
}

failures: list[str] = []


@dataclass
class Model:
    """A checkpoint, and pictures of its size as files."""

    name: str
    checkpoint: Path
    pictures: list[Path]
    siglip: bool = False


def report(what: str, differences: dict[str, float], limit: float) -> None:
    fine = all(difference <= limit for difference in differences.values())
    if not fine:
        failures.append(what)
    said = "  ".join(f"{name} {difference:.1e}" for name, difference in differences.items())
    print(f"  {what:34} {said}{'' if fine else '   FAILED'}", flush=True)


def largest(found, expected) -> float:
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    return float(np.abs(found - expected).max()) if found.shape == expected.shape and np.isfinite(found).all() else float("inf")


def pictures(folder: Path, size: int) -> list[Path]:
    """Smooth pictures of this size, each another."""
    folder.mkdir()
    rng = np.random.default_rng(SEED)
    paths = []
    for number in range(3):
        small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
        paths.append(folder / f"{number}.png")
        small.resize((size, size), Image.Resampling.BICUBIC).save(paths[-1])
    return paths


def single_spaced(texts: list[str]) -> list[str]:
    """As Immich makes them, whatever the model: it is of no consequence but for vocabularies that have tokens for spaces."""
    return [" ".join(text.split()) for text in texts]


@dataclass
class Ourselves:
    """What our runtime gives, and the tensor that it makes of a picture of another size."""

    texts: np.ndarray
    single_spaced: np.ndarray
    images: np.ndarray
    pixels: np.ndarray
    image_of_pixels: np.ndarray
    scale: float
    bias: float

    @staticmethod
    def of(ours: Ours, model: Model, *options) -> "Ourselves":
        exported = ours.export(model.checkpoint, *options)
        manifest = json.loads((exported / "clip.json").read_text())
        landscape, normalised = ours.fresh().with_suffix(".png"), ours.fresh()
        rng = np.random.default_rng(SEED)
        Image.fromarray(rng.integers(0, 256, (9, 14, 3), np.uint8)).resize((333, 217), Image.Resampling.BICUBIC).save(landscape)
        request = {"preprocess": manifest["preprocess"], "input": str(landscape), "output": str(normalised), "step": "normalize"}
        ours.succeed("preprocess", stdin=json.dumps(request) + "\n")
        size = manifest["preprocess"]["size"]
        images, texts = ours.embed(exported, [*model.pictures, landscape], TEXTS + single_spaced(TEXTS))
        return Ourselves(
            np.array(texts[: len(TEXTS)]),
            np.array(texts[len(TEXTS) :]),
            np.array(images[:-1]),
            np.fromfile(normalised, np.float32).reshape(1, 3, size, size),
            np.array(images[-1:]),
            manifest["logit_scale"],
            manifest.get("logit_bias", 0.0),
        )

    def logits(self, texts: np.ndarray | None = None) -> np.ndarray:
        return self.scale * self.images @ (self.texts if texts is None else texts).T + self.bias

    def compare(self, found: dict) -> dict[str, float]:
        """How far a program's embeddings and similarities are from ours; similarities in units of their scale."""
        expected = {
            "texts": self.texts, "single_spaced": self.single_spaced, "images": self.images, "tensors": self.image_of_pixels,
            "joined_texts": self.texts, "joined_images": self.images,
        }
        differences = {name: largest(found[name], rows) for name, rows in expected.items() if name in found}
        if "logits" in found:
            differences["logits"] = largest(np.array(found["logits"]) / self.scale, self.logits() / self.scale)
        return differences


# The programs: a folder and what is asked of it, to what came out, by the names above


def request(model: Model, known: Ourselves, folder: Path) -> dict:
    return {
        "folder": str(folder), "siglip": model.siglip, "texts": TEXTS, "labels": LABELS, "pictures": list(map(str, model.pictures)),
        "pixels": {"dims": known.pixels.shape, "data": known.pixels.ravel().tolist()},
    }


def answer(command: list, asked: dict, **environment: str) -> dict:
    result = subprocess.run(list(map(str, command)), input=json.dumps(asked), capture_output=True, text=True, env={**os.environ, **environment})
    if result.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {result.returncode}: {result.stderr.strip()[-2000:]}")
    return json.loads(result.stdout)


def transformers_js(model: Model, known: Ourselves, folder: Path) -> dict:
    asked = {"package": str(DEPS / "transformers-js" / "package.json"), **request(model, known, folder)}
    return answer(["node", Path(__file__).with_name("runtimes_js.mjs")], asked)


def optimum(model: Model, known: Ourselves, folder: Path) -> dict:
    program = [sys.executable, Path(__file__).with_name("runtimes_optimum.py")]
    return answer(program, request(model, known, folder), PYTHONPATH=str(DEPS / "optimum"))


def fastembed(model: Model, known: Ourselves, folder: Path) -> dict:
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType
    from fastembed.image.onnx_embedding import OnnxImageEmbedding

    if model.siglip:
        # Their own class for SigLIP, on what transformers.js is given.
        name = "google/siglip2-base-patch16-224"
        from fastembed.image.siglip_embedding import SiglipOnnxImageEmbedding

        text = TextEmbedding(name, specific_model_path=str(folder))
        image = SiglipOnnxImageEmbedding(name, specific_model_path=str(folder))
    else:
        # A name that nobody has had yet: the registry is one for the process.
        name = f"ours/{folder.name}"
        TextEmbedding.add_custom_model(
            model=name, pooling=PoolingType.DISABLED, normalization=False, sources=ModelSource(hf=name), dim=known.texts.shape[1], model_file="model.onnx",
        )
        text = TextEmbedding(name, specific_model_path=str(folder / "text"))
        # There is no such registry for pictures: the folder stands in for a model of the same kind.
        image = OnnxImageEmbedding("Qdrant/clip-ViT-B-32-vision", specific_model_path=str(folder / "vision"))
    return {"texts": list(text.embed(TEXTS)), "images": list(image.embed(model.pictures))}


def immich(model: Model, known: Ourselves, folder: Path) -> dict:
    """Reads nothing but what `immich_ml` 2.2.3 reads, and feeds what it feeds: one picture or text at a time."""
    config = json.loads((folder / "config.json").read_text())["text_cfg"]
    length = config.get("context_length", 77)
    clean = (config.get("tokenizer_kwargs") or {}).get("clean") == "canonicalize"
    assert not clean, "only OpenCLIP's SigLIP asks for that"
    tokenizer = Tokenizer.from_file(str(folder / "textual" / "tokenizer.json"))
    pad = json.loads((folder / "textual" / "tokenizer_config.json").read_text())["pad_token"]
    tokenizer.enable_padding(length=length, pad_token=pad, pad_id=tokenizer.token_to_id(pad))
    tokenizer.enable_truncation(max_length=length)
    textual = onnxruntime.InferenceSession(folder / "textual" / "model.onnx", providers=["CPUExecutionProvider"])

    def embed_text(text: str):
        ids = tokenizer.encode(text).ids
        return textual.run(None, {"text": np.array([ids], np.int32)})[0][0]

    preprocess = json.loads((folder / "visual" / "preprocess_cfg.json").read_text())
    size = preprocess["size"]
    size = size[0] if isinstance(size, list) else size
    resampling = Image.Resampling[preprocess["interpolation"].upper()]
    mean, std = (np.array(preprocess[name], np.float32) for name in ("mean", "std"))
    visual = onnxruntime.InferenceSession(folder / "visual" / "model.onnx", providers=["CPUExecutionProvider"])

    def embed_picture(path: Path):
        picture = Image.open(path).convert("RGB")
        width, height = picture.size
        resized = (size, int(height / width * size)) if width < height else (int(width / height * size), size)
        picture = picture.resize(resized, resampling)
        left, upper = (int(side / 2 - size / 2) for side in picture.size)
        numbers = np.asarray(picture.crop((left, upper, left + size, upper + size)), np.float32) / 255
        return embed_tensor(((numbers - mean) / std).transpose(2, 0, 1)[None])

    def embed_tensor(pixels):
        return visual.run(None, {"image": pixels.astype(np.float32)})[0][0]

    return {
        "single_spaced": [embed_text(text) for text in single_spaced(TEXTS)],
        "images": [embed_picture(path) for path in model.pictures],
        "tensors": [embed_tensor(known.pixels)],
    }


PROGRAMS = {"transformers-js": transformers_js, "immich": immich, "fastembed": fastembed, "optimum": optimum}


def classes(model: Model, known: Ourselves, ours: Ours, found: list) -> float:
    """The largest difference of a probability that transformers.js's pipeline gives from one of our embeddings'."""
    exported = ours.export(model.checkpoint)
    _, labels = ours.embed(exported, [], LABELS)
    logits = torch.tensor(known.logits(np.array(labels)))
    expected = torch.sigmoid(logits) if model.siglip else torch.softmax(logits, 1)
    rows = [{match["label"]: match["score"] for match in row} for row in found]
    return largest([[row[label] for label in LABELS] for row in rows], expected.numpy())


def check(ours: Ours, model: Model, precision: str, options: list) -> None:
    known = Ourselves.of(ours, model, "--precision", precision, *options)
    for name, run in PROGRAMS.items():
        # fastembed pads to the longest text; the class that it has for SigLIP opens what transformers.js does.
        layout = "transformers-js" if model.siglip and name == "fastembed" else name
        folder = ours.export(model.checkpoint, "--layout", layout, "--precision", precision, *options)
        for path in folder.rglob("*.onnx"):
            onnx.checker.check_model(str(path), full_check=True)
        found = run(model, known, folder)
        differences = known.compare(found)
        if precision == "fp32" and "classes" in found:
            differences["classes"] = classes(model, known, ours, found["classes"])
        version = f" {found['version']}" if "version" in found else ""
        report(f"{precision}, {name}{version}", differences, ROUNDED[precision])


def models(folder: Path) -> list[Model]:
    torch.manual_seed(SEED)
    random_models.write_checkpoint(random_models.build(VIT, SEED, torch.zeros(1, 3, 64, 64)), VIT, folder / "vit")
    siglip.save_hugging_face(folder / "siglip", second=False, size=64)
    siglip.save_hugging_face(folder / "siglip2", second=True, size=64)
    small = pictures(folder / "pictures", 64)
    return [
        Model("emoji-tiny, a vocabulary of its own", ROOT / "models" / "emoji-tiny", small),
        Model("ViT with random weights, OpenAI's vocabulary", folder / "vit", small),
        Model("SigLIP with random weights", folder / "siglip", small, siglip=True),
        Model("SigLIP 2 with random weights", folder / "siglip2", small, siglip=True),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="the folder of the built examples; the programs lie in the one above")
    examples = parser.parse_args().examples
    for name, package in {"transformers-js": "transformers-js/node_modules", "fastembed": "fastembed/fastembed", "optimum": "optimum/optimum"}.items():
        if not (DEPS / package).exists():
            print(f"skipped: {name}, which scripts/deps.sh runtimes brings")
            del PROGRAMS[name]

    started = time.monotonic()
    print("max abs differences of embeddings from our runtime's; of similarities, by their scale")
    with tempfile.TemporaryDirectory(prefix="clip-parity-") as temporary:
        folder = Path(temporary)
        ours = Ours(examples, folder)
        made = models(folder)
        for model in made:
            known = Ourselves.of(ours, model)
            # The comparison must be able to fail.
            assert float(known.texts[1] @ known.texts[3]) < 0.999 and float(known.images[0] @ known.images[1]) < 0.999, model.name
            print(model.name)
            check(ours, model, "fp32", [])
        captions = folder / "captions.txt"
        captions.write_text("\n".join(text for text in TEXTS if text.strip()) + "\n")
        calibration = ["--calibration-images", folder / "pictures", "--calibration-texts", captions, "--min-cosine=-1", "--min-mean-cosine=-1", "--min-top1=0"]
        print(made[0].name)
        check(ours, made[0], "fp16", [])
        check(ours, made[0], "int8", calibration)
    print(f"{len(failures)} failures, {time.monotonic() - started:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
