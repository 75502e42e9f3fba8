"""Runs classifier.onnx in ONNX Runtime, OpenVINO and onnxruntime-web, against `clip-run classify` of the same folder; exits with 1
beyond the limits.

    python tests/parity/classifier.py target/release/examples

For the small architectures of engines.py and a SigLIP, with random weights, in each number format and with each input, clip-export
writes a folder with --classifier. The graph passes the checks of engines.py. In single precision every engine gives clip-run's
probabilities; of an encoder that rounds only ONNX Runtime does, which is what clip-run uses, and the others come close to them.
What GStreamer and DeepStream are told of it is read back by Python's configparser.
"""

import argparse
import configparser
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import engines
import random_models
import siglip
from engines import ENGINES, ROOT, SEED, check, failures, onnxruntime, openvino

LIMIT = 1e-5
# Engines round a half or an eight-bit tower in their own ways; a logit is a similarity times a factor.
LOOSE = {"fp16": 0.02, "int8": 0.15}
LABELS = ["a red car", "two people in a blue boat", "a tree", "an old; house", "words"]
PICTURES = 3
SIGLIP_SIZE = 32
PRECISIONS = {
    "fp32": [],
    "fp16": ["--precision", "fp16"],
    "int8": ["--precision", "int8", "--min-cosine=-1", "--min-mean-cosine=-1", "--min-top1=0"],
}
# The tower's own input, and those that the graph normalises itself.
INPUTS = {
    "normalised": [],
    "bytes": ["--uint8-input"],
    "bytes by the graph": ["--classifier-input", "bytes"],
    "pixels": ["--classifier-input", "pixels"],
}


def run(*command) -> str:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{command[0].name} ended with {result.returncode}: {result.stderr.strip()[-2000:]}")
    return result.stdout


def probabilities(clip_run: Path, folder: Path, pictures: list[Path]) -> np.ndarray:
    rows = []
    for line in run(clip_run, "classify", folder, *pictures, "--json", "--top", len(LABELS)).splitlines():
        found = sorted(json.loads(line)["labels"], key=lambda label: label["index"])
        assert [label["label"] for label in found] == LABELS
        rows.append([label["probability"] for label in found])
    return np.array(rows)


def given(folder: Path, pictures: np.ndarray) -> dict:
    """The pictures as the classifier takes them."""
    manifest = json.loads((folder / "clip.json").read_text())
    values = manifest["classifier"]["values"]
    if values == "bytes":
        return {"image": pictures}
    levels = pictures.transpose(0, 3, 1, 2).astype(np.float32)
    if values == "normalised":
        mean, std = (np.array(manifest["preprocess"][name], np.float32).reshape(3, 1, 1) for name in ("mean", "std"))
        levels = (levels / np.float32(255) - mean) / std
    return {"image": np.ascontiguousarray(levels)}


def key_file(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=True, interpolation=None, comment_prefixes="#", delimiters="=")
    parser.optionxform = str
    parser.read_string(path.read_text())
    return parser


def settings(folder: Path, graph, label: str) -> None:
    """What other programs are told is what the graph has."""
    sizes = {
        value.name: ",".join(str(size.dim_value) if size.HasField("dim_value") else "-1" for size in value.type.tensor_type.shape.dim)
        for value in [*graph.graph.input, *graph.graph.output]
    }
    told = key_file(folder / "classifier.onnx.modelinfo")
    check(set(told.sections()) == {"modelinfo", *sizes}, f"{label}: .modelinfo has {told.sections()}")
    check(all(told[name]["dims"] == dims for name, dims in sizes.items()), f"{label}: .modelinfo has other sizes than {sizes}")
    config = folder / "config_infer_classifier.txt"
    if config.exists():
        told = key_file(config)["property"]
        check(f"-1,{told['infer-dims'].replace(';', ',')}" == sizes["image"], f"{label}: infer-dims is {told['infer-dims']}")
        check(len((folder / told["labelfile-path"]).read_text().split(";")) == len(LABELS), f"{label}: DeepStream's labels")
    check((folder / "labels.txt").read_text().splitlines() == LABELS, f"{label}: labels.txt")


def compare(folder: Path, label: str, precision: str, way: str, pictures: np.ndarray, expected: np.ndarray) -> str:
    graph = engines.inspect(folder / "classifier.onnx", label)
    settings(folder, graph, label)
    same = precision == "fp32" or way in ("normalised", "bytes")
    columns = []
    for engine, in_engine in ENGINES.items():
        limit = LIMIT if precision == "fp32" or (engine == "ONNX Runtime" and same) else LOOSE[precision]
        found = in_engine(folder / "classifier.onnx", given(folder, pictures))
        check(list(found) == ["probabilities"], f"{label}, {engine}: gives {sorted(found)}")
        rows = found["probabilities"]
        assert rows.shape == expected.shape, (label, engine, rows.shape)
        difference = float(np.abs(rows - expected).max()) if np.isfinite(rows).all() else float("inf")
        check(difference <= limit, f"{label}, {engine}: max abs difference {difference:.2e}, limit {limit:.0e}")
        columns.append(f"{engine} {difference:.1e}")
    return "   ".join(columns)


def checkpoints(folder: Path):
    """Name, folder and picture size of each model."""
    for number, name in enumerate(("ViT, QuickGELU", "ResNet")):
        config = engines.MODELS[name]
        model, _ = engines.reference(config, SEED + number)
        random_models.write_checkpoint(model, config, folder / name)
        yield name, folder / name, config["vision_cfg"]["image_size"]
    siglip.save_hugging_face(folder / "siglip", False, SIGLIP_SIZE)
    yield "SigLIP", folder / "siglip", SIGLIP_SIZE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="the folder of the built examples; the programs lie in the one above")
    programs = parser.parse_args().examples.parent
    if not (ROOT / ".deps" / "onnxruntime-web" / "node_modules").exists():
        print("skipped: onnxruntime-web, which needs Node.js (scripts/deps.sh engines)")
        del ENGINES["onnxruntime-web"]
    started = time.monotonic()
    print(f"max abs differences of probabilities from clip-run, ONNX Runtime {onnxruntime.__version__}, OpenVINO {openvino.__version__}")
    with tempfile.TemporaryDirectory(prefix="clip-parity-") as temporary:
        root = Path(temporary)
        (root / "labels.txt").write_text("\n".join(LABELS))
        for name, checkpoint, size in checkpoints(root):
            print(name)
            work = root / f"work {name}"
            work.mkdir()
            samples = engines.calibration(work, size)
            pictures = np.random.default_rng(SEED).integers(0, 256, (PICTURES, size, size, 3), np.uint8)
            paths = [work / f"{number}.png" for number in range(PICTURES)]
            for path, picture in zip(paths, pictures, strict=True):
                Image.fromarray(picture).save(path)
            for precision, how in PRECISIONS.items():
                for way, options in INPUTS.items():
                    folder = work / "exported"
                    calibrated = samples if precision == "int8" else []
                    labelled = ["--labels", root / "labels.txt", "--template", "a photo of {}.", "--classifier"]
                    run(programs / "clip-export", checkpoint, "-o", folder, "--force", *labelled, *how, *options, *calibrated)
                    expected = probabilities(programs / "clip-run", folder, paths)
                    # The comparison must be able to fail.
                    assert (expected.max() / expected.min()) > 1.5 and expected.max() > 100 * LIMIT, expected
                    label = f"{name}, {precision}, {way}"
                    print(f"  {precision} {way:20} {compare(folder, label, precision, way, pictures, expected)}", flush=True)
    print(f"{len(failures)} failures, {time.monotonic() - started:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
