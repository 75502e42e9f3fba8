"""INT8 beside ONNX Runtime's own static quantizer: accuracy and speed, in one run, on the same calibration data.

    python tests/bench/int8.py target/release [--model models/emoji-tiny ...] [--vit-b-32] [--rounds N] [--data ../shared/data]

For each small trained model: zero-shot top-1 on OpenMoji's 767 known concepts in fp32, in our INT8 and in ONNX Runtime's
(QDQ, unsigned activations, signed weights per channel, min-max, the quantizer's own preprocessing), both from our fp32
graphs and both calibrated on the same 128 of Noto's pictures and names. For ViT-B/32, with random weights: ONNX Runtime's
INT8 of torch.onnx's export. Sessions take turns; a ratio compares times of the same round. Prints Markdown.
Needs the data folder, see README.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "parity"), str(ROOT / "tests" / "bench"), str(ROOT / "models" / "emoji-tiny")]

import numpy as np
import onnx
import onnxruntime
from open_clip.tokenizer import get_clean_fn
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quant_pre_process, quantize_static
from PIL import Image
from tokenizers import Tokenizer

import shards

THREADS = min(2, os.cpu_count() or 1)
CALIBRATION = 128
BATCHES = (1, 16)


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(graph: onnxruntime.InferenceSession, batch: np.ndarray) -> np.ndarray:
    return graph.run(None, {graph.get_inputs()[0].name: batch})[0]


class Feeds(CalibrationDataReader):
    def __init__(self, name: str, batches: list[np.ndarray]):
        self.left = iter([{name: batch} for batch in batches])

    def get_next(self):
        return next(self.left, None)


def quantized_by_onnxruntime(graph: Path, batches: list[np.ndarray], folder: Path) -> Path:
    prepared, result = folder / f"prepared-{graph.name}", folder / f"ort-{graph.name}"
    quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)
    name = session(prepared).get_inputs()[0].name
    # It writes a graph that ONNX Runtime refuses where a product's weight has a matrix for each head: left in float for it,
    # as we leave it.
    structure = onnx.load(prepared).graph
    ranks = {tensor.name: len(tensor.dims) for tensor in structure.initializer}
    by_head = [n.name for n in structure.node if n.op_type == "MatMul" and max(ranks.get(i, 0) for i in n.input) > 2]
    quantize_static(
        str(prepared), str(result), Feeds(name, batches), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_exclude=by_head,
    )
    return result


def pixels(picture: bytes, preprocess: dict) -> np.ndarray:
    """[3, S, S], as open_clip does it with transparency on white."""
    image = Image.open(io.BytesIO(picture)).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    size = preprocess["size"]
    scale = size / min(image.size)
    sides = [max(size, int(side * scale)) for side in image.size]
    resized = white.convert("RGB").resize(sides, Image.Resampling.BICUBIC)
    left, top = ((side - size) // 2 for side in sides)
    rows = np.asarray(resized.crop((left, top, left + size, top + size)), np.float32) / 255
    return ((rows - np.float32(preprocess["mean"])) / np.float32(preprocess["std"])).transpose(2, 0, 1)


def timed(graphs: dict, batch: np.ndarray, rounds: int) -> dict[str, list[float]]:
    times = {name: [] for name in graphs}
    names = list(graphs)
    for number in range(rounds + 2):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            # The threads of the one before go to sleep.
            time.sleep(0.05)
            started = time.perf_counter()
            run(graphs[name], batch)
            if number >= 2:
                times[name].append(time.perf_counter() - started)
    return times


def show_speed(graphs: dict, side: int, rounds: int) -> None:
    names = list(graphs)
    print(f"\n| images | {' | '.join(names)} | INT8 is faster than ONNX Runtime's by | than fp32 by |\n|{'---|' * (len(names) + 3)}")
    for batch in BATCHES:
        values = np.random.default_rng(0).standard_normal((batch, 3, side, side), np.float32)
        times = timed(graphs, values, rounds if batch > 1 else 3 * rounds)
        cells = [f"{1000 * statistics.median(times[name]):.2f} ms" for name in names]
        ratios = [[b / a for a, b in zip(times["INT8"], times[peer])] for peer in ("ONNX Runtime's INT8", "fp32")]
        cells += [f"{statistics.median(r):.2f}x ({min(r):.2f} to {max(r):.2f})" for r in ratios]
        print(f"| {batch} | {' | '.join(cells)} |", flush=True)


def small(model: Path, programs: Path, data: Path, rounds: int, folder: Path) -> None:
    def picked(style: str, split: str) -> list:
        return [s for s in shards.drawings(data / "emoji" / f"{style}.tar") if s[0]["split"] == split]

    noto = picked("noto", "train")
    noto = [noto[i * len(noto) // CALIBRATION] for i in range(CALIBRATION)]
    pictures = folder / "pictures"
    pictures.mkdir()
    for meta, picture, _ in noto:
        (pictures / f"{meta['key']}.png").write_bytes(picture)
    texts = folder / "texts.txt"
    texts.write_text("".join(f"{captions[0]}\n" for _, _, captions in noto))

    def export(name: str, *options) -> Path:
        command = [programs / "clip-export", model, "-o", folder / name, *options]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
        return folder / name

    fp32 = export("fp32")
    int8 = export("int8", "--precision", "int8", "--calibration-images", pictures, "--calibration-texts", texts)
    report = json.loads((int8 / "report.json").read_text())
    manifest = json.loads((fp32 / "clip.json").read_text())
    preprocess = manifest["preprocess"]
    tokenizer = Tokenizer.from_file(str(fp32 / "tokenizer.json"))
    clean = get_clean_fn(manifest["tokenizer"]["clean"])

    def ids(text: str) -> np.ndarray:
        return np.array([tokenizer.encode(clean(text)).ids[: manifest["tokenizer"]["context_length"]]], np.int32)

    ort = {
        "visual": quantized_by_onnxruntime(fp32 / "visual.onnx", [pixels(p, preprocess)[None] for _, p, _ in noto], folder),
        "text": quantized_by_onnxruntime(fp32 / "text.onnx", [ids(c[0]) for _, _, c in noto], folder),
    }
    everywhere = set((data / "emoji" / "keys_in_all_styles.txt").read_text().split())
    tests = [s for s in picked("openmoji", "train") if s[0]["key"] in everywhere]
    images = np.stack([pixels(p, preprocess) for _, p, _ in tests])
    contestants = {
        "fp32": (fp32 / "visual.onnx", fp32 / "text.onnx"),
        "INT8": (int8 / "visual.onnx", int8 / "text.onnx"),
        "ONNX Runtime's INT8": (ort["visual"], ort["text"]),
    }
    print(f"\n### {model.name}\n\n| | top-1 of {len(tests)} | with texts in fp32 | mean cosine to fp32, images | texts | visual.onnx |\n|---|---|---|---|---|---|")
    graphs, exact = {}, None
    for name, paths in contestants.items():
        visual, text = map(session, paths)
        graphs[name] = visual
        rows = np.concatenate([run(visual, images[i : i + 64]) for i in range(0, len(images), 64)])
        words = np.concatenate([run(text, ids(c[0])) for _, _, c in tests])
        exact = exact or (rows, words)
        top1, images_alone = (float(((rows @ w.T).argmax(1) == np.arange(len(tests))).mean()) for w in (words, exact[1]))
        cosines = [float((a * b).sum(1).mean()) for a, b in zip((rows, words), exact)]
        print(f"| {name} | {100 * top1:.2f} % | {100 * images_alone:.2f} % | {cosines[0]:.5f} | {cosines[1]:.5f} | {paths[0].stat().st_size / 1e6:.2f} MB |", flush=True)
    print(f"\nLeft in float: {[s['weight'] for s in report['left_in_float']] or 'nothing'}.")
    show_speed(graphs, preprocess["size"], rounds * 3)


def vit_b_32(programs: Path, rounds: int, folder: Path) -> None:
    import compare
    import random_models
    import torch

    config = random_models.openai_config("ViT-B-32")
    model = random_models.build(config, compare.SEED, torch.zeros(1, 3, 224, 224))
    random_models.write_checkpoint(model, config, folder / "checkpoint")
    [exported] = compare.export_by_torch(model, folder, ("image",))
    rng = np.random.default_rng(0)
    pictures = folder / "pictures"
    pictures.mkdir()
    for i in range(8):
        Image.fromarray(rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)).save(pictures / f"{i}.png")
    arrays = [pixels(p.read_bytes(), {"size": 224, "mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]})[None] for p in pictures.iterdir()]
    command = [programs / "clip-export", folder / "checkpoint", "-o", folder / "exported", "--only", "visual"]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    # Random weights are harder on 8 bits than trained ones; speed is what is measured here.
    command[3:] = [folder / "int8", "--only", "visual", "--precision", "int8", "--calibration-images", pictures]
    command += ["--min-cosine", "0.9", "--min-mean-cosine", "0.9", "--min-top1", "0"]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    ort = quantized_by_onnxruntime(exported, arrays, folder)
    print("\n### ViT-B/32, random weights")
    paths = {"INT8": folder / "int8" / "visual.onnx", "ONNX Runtime's INT8": ort, "fp32": folder / "exported" / "visual.onnx"}
    show_speed({name: session(path) for name, path in paths.items()}, 224, rounds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=Path, help="the folder of the built programs")
    parser.add_argument("--model", type=Path, nargs="*", default=[ROOT / "models" / "emoji-tiny", ROOT / "models" / "emoji-vit-tiny"])
    parser.add_argument("--vit-b-32", action="store_true", help="also ViT-B/32")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CLIP_DATA", ROOT.parent / "shared" / "data")))
    options = parser.parse_args()
    if not options.data.is_dir():
        print("skipped: data folder, see README")
        return 0
    print(f"ONNX Runtime {onnxruntime.__version__}, {THREADS} threads.")
    for model in options.model:
        with tempfile.TemporaryDirectory(prefix="clip-bench-") as folder:
            small(model, options.programs, options.data, options.rounds, Path(folder))
    if options.vit_b_32:
        with tempfile.TemporaryDirectory(prefix="clip-bench-") as folder:
            vit_b_32(options.programs, options.rounds, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
