"""Runs exported graphs in ONNX Runtime, OpenVINO and onnxruntime-web, against open_clip; exits with 1 beyond the limits.

    python tests/parity/engines.py target/release/examples

For each of a few small architectures with random weights (random_models.py) and each of VARIANTS, clip-export makes a
model folder. Every graph in it passes the full check of onnx.checker, and strict shape inference gives its outputs the
sizes that they are declared with; then each engine runs it, and its embeddings are compared with open_clip's.
onnxruntime-web needs Node.js; it is left out, with a line that says so, where `scripts/deps.sh engines` found none.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / ".deps" / "openvino"))

import numpy as np
import onnx
import onnxruntime
import open_clip
import openvino
import torch
from PIL import Image

import random_models

SEED = 2103_00020
BATCH = 2
DTYPES = {onnx.TensorProto.FLOAT: np.float32, onnx.TensorProto.UINT8: np.uint8, onnx.TensorProto.INT32: np.int32}

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
MODELS = {
    "ViT, QuickGELU": {
        "embed_dim": 32,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "layers": 3, "width": 64, "head_width": 32, "patch_size": 8},
        "text_cfg": TEXT,
    },
    "ViT, GELU": {
        "embed_dim": 48,
        "quick_gelu": False,
        "vision_cfg": {"image_size": 48, "layers": 2, "width": 96, "head_width": 32, "patch_size": 16},
        "text_cfg": TEXT,
    },
    "ResNet": {
        "embed_dim": 32,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 64, "layers": [1, 2, 1, 1], "width": 16, "head_width": 32, "patch_size": None},
        "text_cfg": TEXT,
    },
}


@dataclass
class Variant:
    """One way to export, and how far its embeddings may be from open_clip's."""

    name: str
    options: list[str] = field(default_factory=list)
    absolute: float = 1e-4
    cosine: float = 0.99999
    calibrated: bool = False  # whether it needs pictures and texts


VARIANTS = [
    Variant("fp32"),
    *(Variant(f"fp32, opset {opset}", ["--opset", str(opset)]) for opset in range(18, 22)),
    Variant("fp32, bytes in", ["--uint8-input"]),
    Variant(f"fp32, batch {BATCH}", ["--batch", str(BATCH)]),
    Variant("fp32, weights beside", ["--external-data"]),
    Variant("fp32, combined", ["--combined"]),
    Variant("fp32, all at once", f"--uint8-input --batch {BATCH} --external-data --combined --opset 21".split()),
    Variant("fp16", ["--precision", "fp16"], absolute=5e-3, cosine=0.9995),
    # Without thresholds of its own, so that the limits here judge a graph with every product in integers.
    Variant(
        "int8",
        ["--precision", "int8", "--min-cosine=-1", "--min-mean-cosine=-1", "--min-top1=0"],
        absolute=0.1,
        cosine=0.97,
        calibrated=True,
    ),
]

CALIBRATION_PICTURES = 32

failures: list[str] = []


def check(holds: bool, what: str) -> None:
    if not holds:
        failures.append(what)
        print(f"    FAILED: {what}")


# The engines: a graph's file and its inputs to its outputs, both by name


def in_onnxruntime(path: Path, inputs: dict) -> dict:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def in_openvino(path: Path, inputs: dict) -> dict:
    core = openvino.Core()
    # Else it computes in bfloat16 where the processor can.
    model = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return {key.get_any_name(): value for key, value in model(inputs).items()}


def in_web(path: Path, inputs: dict) -> dict:
    request = {
        "package": str(ROOT / ".deps" / "onnxruntime-web" / "package.json"),
        "graph": str(path),
        "beside": [str(file) for file in path.parent.glob(f"{path.name}.data")],
        "inputs": {name: {"type": str(v.dtype), "dims": v.shape, "data": v.ravel().tolist()} for name, v in inputs.items()},
    }
    script = Path(__file__).with_name("engines_web.mjs")
    result = subprocess.run(["node", script], input=json.dumps(request), capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"node ended with {result.returncode}: {result.stderr.strip()[-2000:]}")
    outputs = json.loads(result.stdout)
    return {name: np.array(output["data"], np.float32).reshape(output["dims"]) for name, output in outputs.items()}


ENGINES = {"ONNX Runtime": in_onnxruntime, "OpenVINO": in_openvino, "onnxruntime-web": in_web}


# The comparison


@torch.no_grad()
def reference(config: dict, seed: int):
    """A model, and pictures as bytes, texts as ids and the embeddings of both."""
    size = config["vision_cfg"]["image_size"]
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (BATCH, size, size, 3), np.uint8)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD))
    pixels = (torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255 - mean) / std
    ids = open_clip.tokenize(["a red car", "two people in a blue boat"], context_length=TEXT["context_length"])
    ids = ids[:, : int(ids.argmax(1).max()) + 1]
    padded = torch.nn.functional.pad(ids, (0, TEXT["context_length"] - ids.shape[1]))
    model = random_models.build(config, seed, pixels)
    images, texts = model.encode_image(pixels, normalize=True), model.encode_text(padded, normalize=True)
    logits = model.logit_scale.exp() * images @ texts.T
    return model, {
        "bytes": pictures,
        "pixels": pixels.numpy(),
        "ids": ids.numpy().astype(np.int32),
        "image": images.numpy(),
        "text": texts.numpy(),
        "logits": logits.numpy(),
    }


def calibration(folder: Path, size: int) -> list:
    """Options that name pictures of noise, as those that are compared, and texts."""
    rng = np.random.default_rng(SEED)
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(CALIBRATION_PICTURES):
        Image.fromarray(rng.integers(0, 256, (size, size, 3), np.uint8)).save(pictures / f"{number}.png")
    texts = folder / "texts.txt"
    lines = [f"{a} {b} {c}" for a in ("a", "two", "some") for b in ("red", "blue", "old") for c in ("cars", "people in a boat", "trees by the house")]
    texts.write_text("\n".join(lines))
    return ["--calibration-images", pictures, "--calibration-texts", texts]


def inspect(path: Path, label: str) -> onnx.ModelProto:
    """Checks a graph by ONNX's own rules."""
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path, load_external_data=False)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    kinds = {value.name: value.type.tensor_type for value in [*inferred.graph.value_info, *inferred.graph.output]}
    for node in inferred.graph.node:
        for output in node.output:
            known = output in kinds and kinds[output].HasField("shape")
            check(known, f"{label}: shape inference does not know {output} of {node.op_type}")
    return model


def run_graph(path: Path, label: str, variant: Variant, known: dict) -> None:
    model = inspect(path, label)
    inputs = {}
    for value in model.graph.input:
        dtype = DTYPES[value.type.tensor_type.elem_type]
        inputs[value.name] = known["ids"] if value.name == "ids" else known["bytes" if dtype == np.uint8 else "pixels"]
        assert inputs[value.name].dtype == dtype, value.name
    single = "text" if path.name == "text.onnx" else "image"
    expected = {"embedding": known[single], "image_embedding": known["image"], "text_embedding": known["text"], "logits_per_image": known["logits"]}
    columns = []
    for engine, run in ENGINES.items():
        found = run(path, inputs)
        check(set(found) == {output.name for output in model.graph.output}, f"{label}, {engine}: gives {sorted(found)}")
        worst = 0.0
        for name, rows in found.items():
            # Logits are cosines times their scale.
            limit = variant.absolute * (np.abs(expected[name]).max() if name.startswith("logits") else 1)
            assert rows.shape == expected[name].shape, (label, engine, name, rows.shape)
            difference = float(np.abs(rows - expected[name]).max()) if np.isfinite(rows).all() else float("inf")
            check(difference <= limit, f"{label}, {engine}, {name}: max abs difference {difference:.2e}, limit {limit:.0e}")
            if not name.startswith("logits"):
                cosine = float((rows * expected[name]).sum(1).min())
                check(cosine >= variant.cosine, f"{label}, {engine}, {name}: cosine {cosine:.6f}, limit {variant.cosine}")
                worst = max(worst, difference)
        columns.append(f"{engine} {worst:.1e}")
    print(f"  {variant.name:22} {path.name:12} {'   '.join(columns)}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="the folder of the built examples; the programs lie in the one above")
    program = parser.parse_args().examples.parent / "clip-export"
    if not (ROOT / ".deps" / "onnxruntime-web" / "node_modules").exists():
        print("skipped: onnxruntime-web, which needs Node.js (scripts/deps.sh engines)")
        del ENGINES["onnxruntime-web"]

    started = time.monotonic()
    print(f"max abs differences of embeddings from open_clip, ONNX Runtime {onnxruntime.__version__}, OpenVINO {openvino.__version__}")
    for number, (name, config) in enumerate(MODELS.items()):
        model, known = reference(config, SEED + number)
        # The comparison must be able to fail.
        for rows in (known["image"], known["text"]):
            assert float(rows[0] @ rows[1]) < 0.99, rows
        print(name)
        with tempfile.TemporaryDirectory(prefix="clip-parity-") as folder:
            checkpoint = Path(folder) / "checkpoint"
            random_models.write_checkpoint(model, config, checkpoint)
            samples = calibration(Path(folder), config["vision_cfg"]["image_size"])
            for variant in VARIANTS:
                exported = Path(folder) / "exported"
                command = [program, checkpoint, "-o", exported, "--force", *variant.options, *(samples if variant.calibrated else [])]
                result = subprocess.run(command, capture_output=True, text=True)
                if result.returncode != 0:
                    raise RuntimeError(f"clip-export {variant.options} ended with {result.returncode}: {result.stderr.strip()[-2000:]}")
                for path in sorted(exported.glob("*.onnx")):
                    run_graph(path, f"{name}, {variant.name}, {path.name}", variant, known)
    print(f"{len(failures)} failures, {time.monotonic() - started:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
