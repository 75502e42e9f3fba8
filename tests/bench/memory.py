"""Memory of training ViT-B/32 beside open_clip's loop: whole programs, from start to end, with their checkpoints.

    python tests/bench/memory.py target/release [--only peak largest] [--json FILE]

  peak     three steps of 32 pairs in bf16 and a checkpoint after each: clip-train, and open_clip's train_one_epoch with
           torch.save of model and optimizer as open_clip_train does it
  largest  the largest batch, in bf16, of which two steps stay below 8 GB: open_clip's loop plain and with its gradient checkpointing,
           and clip-train with micro-batches, gradient checkpointing and moments in bf16 at four times the first of these. Found from measured batches, on whose
           line the next one is, until a batch is within a twentieth of the limit.

Peaks are the kernel's (ru_maxrss): everything that the program held, libraries included. Prints Markdown.
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

import torch
from PIL import Image

import compare

GIGABYTE = 1e9
LIMIT = 8 * GIGABYTE
STEPS = {"peak": 3, "largest": 2}


def shard(path: Path, pairs: int) -> None:
    """Noise in JPEG with captions of natural length."""
    captions = compare.caption_list(compare.label_list(compare.ROOT.parent / "shared" / "data"))
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for number in range(pairs):
            picture = io.BytesIO()
            compare.photo(256, 224).save(picture, "JPEG", quality=90)
            for name, content in ((f"{number:05}.jpg", picture.getvalue()), (f"{number:05}.txt", captions[number % len(captions)].encode())):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))


def peak(command: list) -> float:
    """The most memory that a program held, bytes."""
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise RuntimeError(f"{command[0]} ended with {status}: {errors[-600:]}")
    return usage.ru_maxrss * 1024.0


def ours(programs: Path, folder: Path, pairs: int, steps: int, optim: str, every: int) -> float:
    out = folder / "run"
    settings = folder / "train.toml"
    settings.write_text(
        f'[model]\nname = "ViT-B/32"\n[optim]\nbatch = {pairs}\nsteps = {steps}\nwarmup = 0\nprecision = "bf16"\n{optim}\n'
        f"[data]\nshuffle_buffer = 1\n[run]\ncheckpoint_every = {every}\n"
    )
    try:
        return peak([programs / "clip-train", "--config", settings, "--data", folder / "pairs.tar", "-o", out])
    finally:
        subprocess.run(["rm", "-rf", out], check=True)


def theirs(folder: Path, pairs: int, steps: int, save: bool, checkpointing: bool) -> float:
    """open_clip's loop in a process of its own."""
    return peak([sys.executable, __file__, "--loop", folder / "state.pt", pairs, steps, int(save), int(checkpointing)])


def loop(file: str, pairs: int, steps: int, save: bool, checkpointing: bool) -> None:
    import open_clip

    import random_models

    torch.set_num_threads(2)
    config = random_models.openai_config("ViT-B-32")
    captions = compare.caption_list(compare.label_list(compare.ROOT.parent / "shared" / "data"))
    ids = open_clip.tokenize([captions[number % len(captions)] for number in range(pairs)])
    pixels = torch.randn(pairs, 3, 224, 224)
    epoch = compare.open_clip_epoch(config, pixels, ids, "amp_bf16", "cpu", checkpointing)
    for _ in range(steps):
        epoch()
        if save:
            # As open_clip_train's main does it.
            torch.save({"epoch": 0, "name": "", "state_dict": epoch.model.state_dict(), "optimizer": epoch.optimizer.state_dict()}, file)


def largest(measure, first: int, second: int) -> tuple[int, float]:
    """A batch whose peak is below the limit and at most a twentieth below it, and the peak: where the line through the last two
    measured peaks meets the limit, until that is so."""
    (before, low), (batch, high) = ((pairs, measure(pairs)) for pairs in (first, second))
    for _ in range(6):
        if 0.95 * LIMIT <= high <= LIMIT:
            return batch, high
        aim = int(batch + (0.98 * LIMIT - high) * (batch - before) / (high - low))
        (before, low), (batch, high) = (batch, high), (aim, measure(aim))
    raise RuntimeError(f"no batch found whose peak is near {LIMIT / GIGABYTE:.0f} GB: the last were {before}, {batch}")


def main() -> int:
    if sys.argv[1:2] == ["--loop"]:
        file, *numbers = sys.argv[2:]
        loop(file, *(int(number) for number in numbers))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=Path, help="the folder of the built programs")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = {}
    print(f"\nMeasured {compare.machine(2, 'cpu')}.")
    with tempfile.TemporaryDirectory(prefix="clip-bench-") as folder:
        folder = Path(folder)
        shard(folder / "pairs.tar", 64)
        if "peak" in arguments.only:
            found["peak"] = {
                "clip-train": ours(arguments.programs, folder, 32, STEPS["peak"], "", 1),
                "open_clip": theirs(folder, 32, STEPS["peak"], True, False),
            }
            print("\n| ViT-B/32, bf16, 32 pairs, checkpoints included | peak memory |\n|---|---|")
            for name, value in found["peak"].items():
                print(f"| {name} | {value / GIGABYTE:.2f} GB |")
        if "largest" in arguments.only:
            steps = STEPS["largest"]
            print("\n| ViT-B/32, bf16, below 8 GB | pairs in a batch | peak memory |\n|---|---|---|", flush=True)
            found["largest"] = {}
            for name, checkpointing, sizes in (("open_clip", False, (32, 64)), ("open_clip --grad-checkpointing", True, (64, 128))):
                batch, value = largest(lambda pairs: theirs(folder, pairs, steps, False, checkpointing), *sizes)
                found["largest"][name] = {"batch": batch, "peak": value}
                print(f"| {name} | {batch} | {value / GIGABYTE:.2f} GB |", flush=True)
            batch = 4 * found["largest"]["open_clip"]["batch"]
            optim = 'micro_batch = 32\ncheckpointing = true\nmoments = "bf16"'
            value = ours(arguments.programs, folder, batch, steps, optim, 1000)
            found["largest"]["clip-train"] = {"batch": batch, "peak": value}
            print(f"| clip-train, four times open_clip's | {batch} | {value / GIGABYTE:.2f} GB |", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": compare.machine(2, "cpu"), **found}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
