"""Measures beside PyTorch (open_clip) and ONNX Runtime on torch.onnx's own export, side by side in one run.

    python tests/bench/compare.py target/release/examples [--only SECTION...] [--rounds N] [--json FILE] [--data ../shared/data]
    python tests/bench/compare.py target/release/examples --only train --device cuda:0 [--pairs 256]

Everything is ViT-B/32 (and in training RN50) with random weights, the same for all. All programs stay alive and take turns: in each round each
one is measured once, in an order that changes from round to round, and a ratio compares two times of the same round.
Threads are pinned to the same number everywhere. Prints Markdown.

  image       the image tower, 1 and 16 pictures, from 8-bit pixels: all of them normalise on the way; then once more with
              the peers given the finished tensor, where only ours normalises
  text        1,000 short labels (ImageNet's class names), tokenizer included
  preprocess  a 12-megapixel JPEG to the finished tensor
  train       steps of 32 pairs (--pairs) in fp32 and bf16, no data loading: clip-train's step and open_clip's
              train_one_epoch; with --device cuda:N on a GPU, in fp32 without TF32, the batch's way there included
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from types import SimpleNamespace

os.environ["HF_HUB_OFFLINE"] = "1"

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "parity"))

import numpy as np
import onnxruntime
import open_clip
import torch
from open_clip.loss import ClipLoss
from open_clip.transform import image_transform
from open_clip_train.train import train_one_epoch
from PIL import Image
from safetensors.torch import save_file

import random_models

MODEL = "ViT-B-32"
SEED = 2103_00020
# Texts in one call of a peer.
CHUNK = 100


class Program:
    """One of our programs, kept alive: a line in, a time out."""

    def __init__(self, *command):
        arguments = [str(part) for part in command]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def time(self, request) -> float:
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        reply = self.process.stdout.readline()
        if not reply:
            raise RuntimeError(f"{self.process.args[0]} ended with {self.process.wait()}")
        return float(reply)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def timed(function):
    """A measurement of a call in this process."""

    def measure() -> float:
        started = time.perf_counter()
        function()
        return time.perf_counter() - started

    return measure


def rounds(contestants: dict, count: int, warm: int = 1) -> dict[str, list[float]]:
    """Measures all of them `count` times in turns; the one that begins changes."""
    names = list(contestants)
    for name in names:
        for _ in range(warm):
            contestants[name]()
    times = {name: [] for name in names}
    for number in range(count):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            # The threads of the one before go to sleep.
            time.sleep(0.05)
            times[name].append(contestants[name]())
    return times


class Report:
    """Collects rows, and prints them as they come."""

    def __init__(self):
        self.rows = []

    def add(self, what: str, times: dict[str, list[float]], per: int = 0) -> None:
        """The first of `times` is ours. With `per`, rates of so many pieces a time are shown in place of times."""
        ours, *peers = times
        entry = {"what": what, "seconds": times, "ratios": {}}
        for peer in peers:
            entry["ratios"][peer] = [b / a for a, b in zip(times[ours], times[peer])]
        self.rows.append(entry)
        cells = [spread(times[name], per) for name in times]
        ratios = [ratio(entry["ratios"][peer]) for peer in peers]
        print(f"| {what} | {' | '.join(cells)} | {' | '.join(ratios)} |", flush=True)

    @staticmethod
    def head(title: str, *names: str) -> None:
        ours, *peers = names
        columns = ["", *names, *(f"{ours} is faster than {peer} by" for peer in peers)]
        print(f"\n### {title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)


def spread(seconds: list[float], per: int) -> str:
    """Median (lowest to highest)."""
    if per:
        rates = sorted(per / value for value in seconds)
        return f"{statistics.median(rates):.2f}/s ({rates[0]:.2f} to {rates[-1]:.2f})"
    ms = sorted(1000 * value for value in seconds)
    digits = 0 if ms[0] >= 100 else 1
    return f"{statistics.median(ms):.{digits}f} ms ({ms[0]:.{digits}f} to {ms[-1]:.{digits}f})"


def ratio(values: list[float]) -> str:
    return f"{statistics.median(values):.2f}x ({min(values):.2f} to {max(values):.2f})"


# The peers


def onnx_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Tower(torch.nn.Module):
    """One tower with normalised embeddings, for torch.onnx."""

    def __init__(self, model, encode):
        super().__init__()
        self.model = model
        self.encode = encode

    def forward(self, x):
        return self.encode(x, normalize=True)


def export_by_torch(model, folder: Path, only: tuple[str, ...] = ("image", "text")) -> list[Path]:
    """torch.onnx's own export of the towers, with a free batch size."""
    size = model.visual.image_size[0]
    inputs = {
        "image": (model.encode_image, torch.zeros(2, 3, size, size)),
        "text": (model.encode_text, torch.zeros(2, model.context_length, dtype=torch.long)),
    }
    paths = []
    for name in only:
        encode, example = inputs[name]
        # Its parameters are those of the whole model; only the ones in use are exported.
        tower = Tower(model, encode).eval()
        path = folder / f"torch-{name}.onnx"
        batch = torch.export.Dim("batch", min=1, max=4096)
        torch.onnx.export(tower, (example,), str(path), dynamo=True, external_data=False, dynamic_shapes=({0: batch},), verbose=False)
        paths.append(path)
    return paths


# The sections


def image(report: Report, bench) -> None:
    report.head("Image tower, fp32", "libclip", "PyTorch (open_clip)", "ONNX Runtime (torch.onnx export)")
    size = bench.model.visual.image_size[0]
    session = onnx_session(bench.exported[0], bench.threads)
    name = session.get_inputs()[0].name
    for batch, more in ((1, 3), (16, 1)):
        pixels = torch.randint(256, (batch, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(SEED))

        @torch.inference_mode()
        def pytorch():
            return bench.model.encode_image(normalized(pixels), normalize=True).numpy()

        def ort():
            return session.run(None, {name: normalized(pixels).numpy()})[0]

        tensor = normalized(pixels)

        @torch.inference_mode()
        def pytorch_alone():
            return bench.model.encode_image(tensor, normalize=True).numpy()

        def ort_alone():
            return session.run(None, {name: tensor.numpy()})[0]

        assert np.abs(pytorch() - ort()).max() < 1e-4 and np.array_equal(ort(), ort_alone())
        for what, peers in ((f"batch {batch}", (pytorch, ort)), (f"batch {batch}, peers from the tensor", (pytorch_alone, ort_alone))):
            ours = {"libclip": lambda: bench.runtime.time({"images": batch})}
            theirs = dict(zip(("PyTorch", "ONNX Runtime"), map(timed, peers)))
            report.add(what, rounds(ours | theirs, bench.rounds * more, warm=3))


def normalized(pixels: torch.Tensor) -> torch.Tensor:
    """[B, S, S, 3] bytes to [B, 3, S, S] numbers, as torchvision's ToTensor and Normalize do, the whole batch at once."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD))
    return pixels.permute(0, 3, 1, 2).contiguous().float().div_(255).sub_(mean).div_(std)


def text(report: Report, bench) -> None:
    report.head("Text tower with tokenizer, fp32", "libclip", "PyTorch (open_clip)", "ONNX Runtime (torch.onnx export)")
    labels = bench.labels
    session = onnx_session(bench.exported[1], bench.threads)
    name = session.get_inputs()[0].name

    def chunks():
        for start in range(0, len(labels), CHUNK):
            yield open_clip.tokenize(labels[start : start + CHUNK])

    def pytorch():
        with torch.inference_mode():
            return [bench.model.encode_text(ids, normalize=True) for ids in chunks()]

    def ort():
        return [session.run(None, {name: ids.numpy()})[0] for ids in chunks()]

    times = rounds(
        {"libclip": lambda: bench.runtime.time({"texts": labels}), "PyTorch": timed(pytorch), "ONNX Runtime": timed(ort)},
        max(3, bench.rounds // 3),
    )
    report.add(f"{len(labels):,} labels", times)


def preprocess(report: Report, bench) -> None:
    report.head("Decode and preprocess", "libclip", "Pillow and torchvision (open_clip)")
    size = bench.model.visual.image_size[0]
    transform = image_transform(size, is_train=False)
    for width, height in ((4000, 3000), (500, 375)):
        path = bench.folder / f"{width}.jpg"
        photo(width, height).save(path, "JPEG", quality=90)
        times = rounds(
            {"libclip": lambda: bench.runtime.time({"file": str(path)}), "Pillow": timed(lambda: transform(Image.open(path)))},
            bench.rounds * 2,
            warm=2,
        )
        report.add(f"JPEG, {width}x{height}", times)


def photo(width: int, height: int) -> Image.Image:
    """Something with the detail of a photo: noise at every scale."""
    rng = np.random.default_rng(SEED)
    total = np.zeros((height, width, 3))
    for step in (4, 16, 64, 256):
        shape = (height // step + 2, width // step + 2, 3)
        small = Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8))
        total += np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)) / 4
    return Image.fromarray(total.astype(np.uint8))


def train(report: Report, bench) -> None:
    # Libraries and memory of a GPU are set up in the first steps.
    warm = 1 if bench.device == "cpu" else 5
    report.head("Training, samples per second", "clip-train", "PyTorch (open_clip)")
    captions = random.Random(SEED).sample(bench.captions, bench.pairs)
    ids = open_clip.tokenize(captions)
    longest = int(ids.argmax(dim=1).max()) + 1
    for name in bench.models:
        config = random_models.openai_config(name)
        size = config["vision_cfg"]["image_size"]
        checkpoint = bench.folder / f"checkpoint-{name}"
        random_models.write_checkpoint(random_models.build(config, SEED, torch.zeros(1, 3, size, size)), config, checkpoint)
        pictures = torch.randint(256, (bench.pairs, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(SEED))
        pixels = random_models.normalized(pictures)
        batch = bench.folder / "batch.safetensors"
        save_file({"pictures": pictures, "ids": ids[:, :longest].contiguous()}, batch)
        for ours, theirs in (("fp32", "fp32"), ("bf16", "amp_bf16")):
            optim = json.dumps({"precision": ours})
            program = Program(bench.examples / "time_steps", checkpoint, batch, optim, bench.threads, bench.device)
            epoch = timed(open_clip_epoch(config, pixels, ids, theirs, bench.device))
            times = rounds({"clip-train": lambda: program.time(1), "PyTorch": epoch}, max(3, bench.rounds // 3), warm)
            program.close()
            report.add(f"{name}, {ours}, {bench.pairs} pairs, longest caption {longest} tokens", times, per=bench.pairs)


def open_clip_epoch(config: dict, pixels: torch.Tensor, ids: torch.Tensor, precision: str, device: str, checkpointing: bool = False):
    """open_clip's own loop over one batch, until the device has finished."""
    torch.manual_seed(SEED)
    model = open_clip.model.CLIP(**config, output_dict=True).to(device)
    model.set_grad_checkpointing(checkpointing)
    plain = [p for p in model.parameters() if p.ndim < 2]
    rest = [p for p in model.parameters() if p.ndim >= 2]
    groups = [{"params": plain, "weight_decay": 0.0}, {"params": rest, "weight_decay": 0.2}]
    optimizer = torch.optim.AdamW(groups, lr=1e-6, betas=(0.9, 0.98), eps=1e-6)

    class Loader(list):
        num_batches = 1
        num_samples = len(pixels)

    data = {"train": SimpleNamespace(dataloader=Loader([(pixels, ids)]), set_epoch=lambda epoch: None)}
    arguments = SimpleNamespace(
        device=device, precision=precision, distill=False, accum_freq=1, skip_scheduler=True, horovod=False, grad_clip_norm=None,
        rank=0, local_rank=0, world_size=1, distributed=False, log_local=False, log_every_n_steps=1, batch_size=len(pixels), wandb=False, save_logs=False,
    )
    loss = ClipLoss()

    def epoch():
        train_one_epoch(model, data, loss, 0, optimizer, None, None, None, arguments)
        if device != "cpu":
            torch.cuda.synchronize(device)

    epoch.model, epoch.optimizer = model, optimizer
    return epoch


SECTIONS = {"image": image, "text": text, "preprocess": preprocess, "train": train}

# What stands in for ImageNet's class names and captions without the data folder.
ADJECTIVES = "great white northern African little black electric golden wild red".split()
NOUNS = "shark owl grey fox piano bus stop retriever mushroom tree frog water bottle".split()


def label_list(data: Path) -> list[str]:
    file = data / "clip" / "imagenet_classes.txt"
    if file.exists():
        return file.read_text().split("\n")[:1000]
    print("skipped: data folder, see README (made-up labels in place of ImageNet's)")
    return [f"{a} {b} {c}" for a in ADJECTIVES for b in NOUNS for c in NOUNS][:1000]


def caption_list(labels: list[str]) -> list[str]:
    """About as long as real captions: 10 to 15 tokens."""
    return [f"a photo of a {a} beside a {b} on a sunny day." for a, b in zip(labels, labels[1:])]


def machine(threads: int, device: str) -> str:
    cpu = platform.processor() or "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    flags = torch.backends.cpu.get_cpu_capability()
    versions = f"open_clip {open_clip.__version__}, PyTorch {torch.__version__.split('+')[0]}, ONNX Runtime {onnxruntime.__version__}"
    gpu = "" if device == "cpu" else f", training on {torch.cuda.get_device_name(device)}"
    return f"{date.today()}, {cpu} ({flags}), {os.cpu_count()} cores, {threads} threads{gpu}; {versions}"


def check_device(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Refuses a device that is not there, and sections that would not run on it."""
    if arguments.device == "cpu":
        return
    kind, _, number = arguments.device.partition(":")
    if kind != "cuda" or not number.isdigit():
        parser.error(f"--device {arguments.device} is not known, expected cpu or cuda:N")
    if list(arguments.only) != ["train"]:
        parser.error(f"--device {arguments.device} is for --only train: the other sections run on the CPU")
    # Before anything touches CUDA, and inherited by our program: both sides then compute fp32 as fp32.
    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
    if int(number) >= torch.cuda.device_count():
        parser.error(f"PyTorch sees {torch.cuda.device_count()} CUDA devices, so --device {arguments.device} is not there")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="the folder of the built examples; the programs lie in the one above")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--labels", type=int, default=1000, help="fewer for a quick look")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N; a GPU for the section train alone")
    parser.add_argument("--pairs", type=int, default=32, help="batch of the section train")
    parser.add_argument("--models", nargs="+", default=["ViT-B-32", "RN50"], help="networks of the section train, by open_clip's names")
    parser.add_argument("--json", type=Path, help="where every single time is written")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CLIP_DATA", ROOT.parent / "shared" / "data")))
    arguments = parser.parse_args()
    check_device(parser, arguments)
    if "train" in arguments.only and not 2 <= arguments.pairs < arguments.labels:
        parser.error(f"--pairs {arguments.pairs}: expected at least 2 and fewer than --labels, {arguments.labels}")
    torch.set_num_threads(arguments.threads)
    torch.set_num_interop_threads(1)

    with tempfile.TemporaryDirectory(prefix="clip-bench-") as folder:
        folder = Path(folder)
        config = random_models.openai_config(MODEL)
        size = config["vision_cfg"]["image_size"]
        bench = SimpleNamespace(
            folder=folder, examples=arguments.examples, threads=arguments.threads, rounds=arguments.rounds, config=config,
            device=arguments.device, pairs=arguments.pairs, models=arguments.models,
            model=random_models.build(config, SEED, torch.zeros(1, 3, size, size)), checkpoint=folder / "checkpoint",
        )
        bench.labels = label_list(arguments.data)[: arguments.labels]
        bench.captions = caption_list(bench.labels)
        random_models.write_checkpoint(bench.model, config, bench.checkpoint)
        others = {"image", "text", "preprocess"} & set(arguments.only)
        if others:
            exported = folder / "exported"
            subprocess.run([arguments.examples.parent / "clip-export", bench.checkpoint, "-o", exported], check=True, stdout=subprocess.DEVNULL)
            bench.runtime = Program(arguments.examples / "time_runtime", exported, arguments.threads)
        if {"image", "text"} & others:
            bench.exported = export_by_torch(bench.model, folder)

        print(f"\nMeasured {machine(arguments.threads, arguments.device)}.")
        print("Medians of all rounds (lowest to highest); a ratio compares times of the same round.")
        report = Report()
        for name in arguments.only:
            SECTIONS[name](report, bench)
        if others:
            bench.runtime.close()
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"machine": machine(arguments.threads, arguments.device), "rows": report.rows}, indent=1))
        print(f"\nEvery single time is in {arguments.json}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
