"""Serving on a CPU beside its peers: ViT-B/32 with random weights, the same for all, side by side in one run.

    python tests/bench/serve.py target/release [--only SECTION...] [--rounds N] [--photos N] [--threads N] [--profile] [--json FILE] [--data ../shared/data]

  photos  `clip-run embed` of photos of 640x480 pixels, the whole process with opening the model, beside fastembed and open_clip, which have theirs
          open already; all in fp32. open_clip loads with as many worker processes as there are threads, and once in a plain loop
  camera  a JPEG of 12 megapixels, from the file to the embedding, beside open_clip, in fp32
  tower   the image tower alone from the finished tensor, batch 1 and 16: our INT8 and fp32 in ONNX Runtime and in OpenVINO, beside OpenVINO in fp32,
          bf16 and INT8 by NNCF, and ONNX Runtime's own INT8, all three of torch.onnx's graph, and PyTorch in bf16. How near each is to
          fp32 is told by the cosines of embeddings of photos that no quantizer has seen

All take turns: in each round each is measured once, in an order that is shuffled, 50 ms after the one before, so that its threads sleep. A ratio compares
two times of the same round. The section photos needs scripts/deps.sh runtimes (fastembed), the section tower scripts/deps.sh nncf;
who is missing is left out, with a line that says so. With --profile, the nodes that our INT8 spends its time in. Prints Markdown.
"""

import argparse
import json
import logging
import os
import random
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

os.environ["HF_HUB_OFFLINE"] = "1"

ROOT = Path(__file__).resolve().parents[2]
DEPS = ROOT / ".deps"
sys.path[:0] = [str(ROOT / "tests" / "parity"), str(ROOT / "tests" / "bench")]
sys.path += [str(Path(folder)) for folder in (os.environ.get("CLIP_NNCF", DEPS / "nncf"), DEPS / "openvino", DEPS / "fastembed")]

import numpy as np
import onnxruntime
import torch
from open_clip.transform import image_transform
from PIL import Image

import compare
import int8
import random_models

SIDE = 224
BATCH = 32
CALIBRATION = 64
HELD_OUT = 64


def turns(contestants: dict, rounds: int, warm: int = 1) -> dict[str, list[float]]:
    """Measures each once a round, in a shuffled order."""
    order, shuffled = list(contestants), random.Random(compare.SEED)
    times = {name: [] for name in order}
    for name in order * warm:
        contestants[name]()
    for _ in range(rounds):
        shuffled.shuffle(order)
        for name in order:
            time.sleep(0.05)
            times[name].append(contestants[name]())
    return times


class Report:
    """Prints rows as they come, and keeps every time."""

    def __init__(self):
        self.rows = []

    def table(self, title: str, times: dict[str, list[float]], per: int, ours: tuple, notes: dict | None = None) -> None:
        """`per` images in each time, of which the first of `ours` is compared with the others that are none of ours."""
        medians = {name: statistics.median(found) for name, found in times.items()}
        notes = notes or {}
        head = "| | median (lowest to highest) | images/s | " + ("cosine to fp32, mean (least) | " if notes else "")
        print(f"\n### {title}\n\n{head}{ours[0]} is faster by |\n|{'---|' * (4 + bool(notes))}")
        ratios = {}
        for name in sorted(times, key=medians.get):
            ratios[name] = [theirs / mine for mine, theirs in zip(times[ours[0]], times[name])]
            cells = [name, compare.spread(times[name], 0), f"{per / medians[name]:.1f}"]
            cells += [notes.get(name, "")] if notes else []
            cells.append("" if name == ours[0] else compare.ratio(ratios[name]))
            print(f"| {' | '.join(cells)} |", flush=True)
        peers = [name for name in times if name not in ours]
        best = min(peers, key=medians.get) if peers else None
        if best:
            print(f"\nThe best peer is {best}: {ours[0]} is {compare.ratio(ratios[best])} as fast.", flush=True)
        self.rows.append({"what": title, "seconds": times, "ratios": ratios, "best_peer": best, "notes": notes})


# Photos


def stock(data: Path, count: int) -> list[Image.Image]:
    """Photos of the data folder, or what stands in for them; enlarged to 640x480 pixels, since those there are small."""
    found = []
    for archive in ("stock-ai/stock-ai.tar", "coco-cc/coco-cc.tar"):
        path = data / "photos" / archive
        if path.exists():
            with tarfile.open(path) as tar:
                names = [name for name in tar.getnames() if name.endswith(".jpg")]
                found += [Image.open(BytesIO(tar.extractfile(name).read())).convert("RGB") for name in names[:count]]
    if not found:
        print("skipped: data folder, see README (made-up pictures in place of photos)")
        found = [compare.photo(320, 240).rotate(i) for i in range(50)]
    random.Random(compare.SEED).shuffle(found)
    return [found[i % len(found)].resize((640, 480), Image.Resampling.BICUBIC) for i in range(count)]


def photos(report: Report, bench) -> None:
    folder = bench.folder / "photos"
    folder.mkdir()
    paths = [folder / f"{i:05}.jpg" for i in range(bench.photos)]
    for path, photo in zip(paths, stock(bench.data, bench.photos)):
        photo.save(path, quality=90)
    transform = image_transform(SIDE, is_train=False)
    embeddings = {}

    def clip_run():
        out = bench.folder / "photos.npy"
        command = [bench.programs / "clip-run", "embed", bench.exported, "-o", out, "--force", "--threads", bench.threads, "--images", *paths]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        embeddings["clip-run embed"] = np.load(out)

    class Files(torch.utils.data.Dataset):
        def __len__(self):
            return len(paths)

        def __getitem__(self, i):
            return transform(Image.open(paths[i]))

    def open_clip(workers: int, name: str):
        loader = torch.utils.data.DataLoader(Files(), batch_size=BATCH, num_workers=workers)

        def run():
            with torch.inference_mode():
                embeddings[name] = torch.cat([bench.model.encode_image(batch, normalize=True) for batch in loader]).numpy()

        return run

    loading = f"open_clip, {bench.threads} loading processes"
    runs = {"clip-run embed": clip_run, loading: open_clip(bench.threads, loading), "open_clip, plain loop": open_clip(0, "open_clip, plain loop")}
    model = fastembed(bench)
    if model:
        runs["fastembed"] = lambda: embeddings.update({"fastembed": np.stack(list(model.embed([str(path) for path in paths], batch_size=BATCH)))})
    times = turns({name: compare.timed(run) for name, run in runs.items()}, bench.rounds or 3, warm=0)
    exact = embeddings["open_clip, plain loop"]
    report.table(f"{len(paths):,} photos of 640x480, fp32", times, len(paths), ("clip-run embed",), {name: cosines(found, exact) for name, found in embeddings.items()})


def fastembed(bench):
    try:
        from fastembed.image.onnx_embedding import OnnxImageEmbedding
    except ImportError:
        print("skipped: fastembed, which scripts/deps.sh runtimes brings")
        return None
    folder = bench.folder / "fastembed"
    export(bench, folder, "--layout", "fastembed")
    return OnnxImageEmbedding("Qdrant/clip-ViT-B-32-vision", specific_model_path=str(folder / "vision"), threads=bench.threads)


def cosines(found: np.ndarray, exact: np.ndarray) -> str:
    rows = [a / np.linalg.norm(a, axis=1, keepdims=True) for a in (found.astype(np.float64), exact.astype(np.float64))]
    products = (rows[0] * rows[1]).sum(1)
    return f"{products.mean():.5f} ({products.min():.5f})"


# A large picture


def camera(report: Report, bench) -> None:
    path = bench.folder / "camera.jpg"
    picture = stock(bench.data, 1)[0].resize((4000, 3000), Image.Resampling.BICUBIC)
    # Enlarged photos are smooth; a sensor's are not.
    noise = np.random.default_rng(0).normal(0, 4, (3000, 4000, 3))
    Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8)).save(path, quality=90)
    transform = image_transform(SIDE, is_train=False)

    @torch.inference_mode()
    def open_clip():
        return bench.model.encode_image(transform(Image.open(path))[None], normalize=True).numpy()

    program = compare.Program(bench.programs / "examples" / "time_runtime", bench.exported, bench.threads)
    runs = {"libclip": lambda: program.time({"embed": str(path)}), "open_clip": compare.timed(open_clip)}
    times = turns(runs, bench.rounds or 15, warm=2)
    program.close()
    report.table(f"JPEG of 4000x3000 ({path.stat().st_size / 1e6:.1f} MB) to its embedding, fp32", times, 1, ("libclip",))


# The image tower


def openvino_run(source, precision: str, threads: int):
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
    compiled = core.compile_model(source, "CPU", settings)
    request = compiled.create_infer_request()
    return lambda batch: request.infer([batch], share_inputs=True)[0]


def nncf_model(graph: Path, batches: list[np.ndarray]):
    import nncf
    import openvino

    dataset = nncf.Dataset(batches, lambda batch: [batch])
    return nncf.quantize(openvino.Core().read_model(str(graph)), dataset, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(batches))


def towers(bench) -> dict:
    """What computes embeddings of a batch, by name."""
    folder = bench.folder
    [graph] = compare.export_by_torch(bench.model, folder, ("image",))
    transform = image_transform(SIDE, is_train=False)
    pictures = stock(bench.data, CALIBRATION + HELD_OUT)
    tensors = [transform(picture).numpy()[None] for picture in pictures]
    bench.held_out = np.concatenate(tensors[CALIBRATION:])
    calibration = folder / "calibration"
    calibration.mkdir()
    for i, picture in enumerate(pictures[:CALIBRATION]):
        picture.save(calibration / f"{i:03}.png")
    # Random weights are harder on 8 bits than trained ones: what they cost is measured here, and no reason to refuse.
    export(bench, folder / "int8", "--only", "visual", "--precision", "int8", "--calibration-images", calibration, "--min-cosine=-1", "--min-mean-cosine=-1", "--min-top1=0")
    bench.int8 = folder / "int8" / "visual.onnx"

    def onnx(path: Path):
        session = compare.onnx_session(path, bench.threads)
        name = session.get_inputs()[0].name
        return lambda batch: session.run(None, {name: batch})[0]

    half = random_models.build(bench.config, compare.SEED, torch.zeros(1, 3, SIDE, SIDE)).to(torch.bfloat16)

    @torch.inference_mode()
    def pytorch(batch):
        return half.encode_image(torch.from_numpy(batch).bfloat16(), normalize=True).float().numpy()

    runs = {
        "ours INT8, ONNX Runtime": onnx(bench.int8),
        "ours fp32, ONNX Runtime": onnx(bench.exported / "visual.onnx"),
        "ONNX Runtime's INT8": onnx(int8.quantized_by_onnxruntime(graph, tensors[:CALIBRATION], folder)),
        "PyTorch bf16": pytorch,
    }
    try:
        import openvino
    except ImportError:
        print("skipped: OpenVINO, which scripts/deps.sh nncf brings")
        return runs
    print(f"OpenVINO {openvino.__version__}.")
    runs["ours INT8, OpenVINO"] = openvino_run(str(bench.int8), "f32", bench.threads)
    runs["ours INT8, OpenVINO with bf16"] = openvino_run(str(bench.int8), "bf16", bench.threads)
    runs["OpenVINO fp32"] = openvino_run(str(graph), "f32", bench.threads)
    runs["OpenVINO bf16"] = openvino_run(str(graph), "bf16", bench.threads)
    try:
        import nncf
    except ImportError:
        print("skipped: NNCF, which scripts/deps.sh nncf brings")
        return runs
    print(f"NNCF {nncf.__version__}.")
    quantized = nncf_model(graph, tensors[:CALIBRATION])
    runs["OpenVINO INT8 by NNCF"] = openvino_run(quantized, "f32", bench.threads)
    runs["OpenVINO INT8 by NNCF with bf16"] = openvino_run(quantized, "bf16", bench.threads)
    return runs


def tower(report: Report, bench) -> None:
    runs = towers(bench)
    with torch.inference_mode():
        exact = bench.model.encode_image(torch.from_numpy(bench.held_out), normalize=True).numpy()
    notes = {name: cosines(np.concatenate([run(bench.held_out[i : i + 16]) for i in range(0, HELD_OUT, 16)]), exact) for name, run in runs.items()}
    for batch in (1, 16):
        values = np.ascontiguousarray(bench.held_out[:batch])
        timed = {name: compare.timed(lambda run=run: run(values)) for name, run in runs.items()}
        times = turns(timed, (bench.rounds or 15) * (2 if batch == 1 else 1), warm=3)
        ours = [name for name in runs if name.startswith("ours INT8")]
        ours.sort(key=lambda name: statistics.median(times[name]))
        report.table(f"Image tower, batch {batch}", times, batch, (*ours, "ours fp32, ONNX Runtime"), notes)
        if bench.profile:
            profile(bench.int8, values, bench.threads)


def profile(graph: Path, values: np.ndarray, threads: int, runs: int = 30) -> None:
    """Where ONNX Runtime spends its time in a graph, by kind of node."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.enable_profiling = True
    options.profile_file_prefix = str(graph.with_suffix(""))
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    for _ in range(runs):
        session.run(None, {name: values})
    events = json.loads(Path(session.end_profiling()).read_text())
    spent, nodes = Counter(), Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            kind = event["args"]["op_name"]
            spent[kind] += event["dur"] / 1000 / runs
            nodes[kind] += 1
    print(f"\n| node of our INT8, batch {len(values)} | how many | ms a run | share |\n|---|---|---|---|")
    for kind, ms in spent.most_common(12):
        print(f"| {kind} | {nodes[kind] // runs} | {ms:.2f} | {100 * ms / spent.total():.0f} % |")
    print(f"| all | {nodes.total() // runs} | {spent.total():.2f} | |", flush=True)


SECTIONS = {"photos": photos, "camera": camera, "tower": tower}


def export(bench, to: Path, *options) -> None:
    command = [bench.programs / "clip-export", bench.checkpoint, "-o", to, *options]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def cpu() -> str:
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = {"avx512f": "AVX-512", "avx512_vnni": "VNNI", "avx512_bf16": "BF16", "amx_int8": "AMX"}
    return ", ".join(f"{name}{'' if f' {flag} ' in flags or f' {flag}' + chr(10) in flags else ' missing'}" for flag, name in names.items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=Path, help="the folder of the built programs, with their examples")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--rounds", type=int, help="3 of photos, 15 of the others, 30 of the tower at batch 1, where it is not given")
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--json", type=Path, help="where every single time is written")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CLIP_DATA", ROOT.parent / "shared" / "data")))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    # What the quantizers say about layers that they handle well.
    logging.disable(logging.WARNING)
    torch.set_num_interop_threads(1)
    with tempfile.TemporaryDirectory(prefix="clip-bench-") as folder:
        folder = Path(folder)
        config = random_models.openai_config(compare.MODEL)
        model = random_models.build(config, compare.SEED, torch.zeros(1, 3, SIDE, SIDE))
        bench = SimpleNamespace(**vars(arguments), folder=folder, config=config, model=model, checkpoint=folder / "checkpoint", exported=folder / "exported")
        random_models.write_checkpoint(model, config, bench.checkpoint)
        export(bench, bench.exported)
        machine = f"{compare.machine(arguments.threads, 'cpu')}; {cpu()}"
        print(f"\nMeasured {machine}.")
        report = Report()
        for name in arguments.only:
            SECTIONS[name](report, bench)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"machine": machine, "rows": report.rows}, indent=1))
        print(f"\nEvery single time is in {arguments.json}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
