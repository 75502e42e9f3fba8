"""Compares the trainer's network on a GPU with itself on the CPU; exits with 1 beyond the limits. `make gpu` runs it.

    python tests/parity/cuda.py target/release/examples [--device cuda:0] [--data ../shared/data]

One ViT and one ResNet with random weights (random_models.py), fp32; the same batches as in towers.py, whose CPU side is
compared with open_clip there. TF32, which rounds the operands of convolutions to 10 bits, is off.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

# For the libraries of the GPU side: forward inherits it.
os.environ["NVIDIA_TF32_OVERRIDE"] = "0"

import numpy as np

import random_models
import towers

ARCHITECTURES = ("ViT-B-32", "RN50")
ABSOLUTE = 1e-3
COSINE = 0.9999
IMAGE_BATCHES = [8, 3, 1]
TEXT_BATCHES = [8] * 9 + [5, 3, 1, 1]


def compare_architecture(name: str, inputs: towers.Inputs, examples: Path, device: str, folder: Path) -> None:
    config = random_models.openai_config(name)
    pixels = inputs.pixels(config["vision_cfg"]["image_size"])
    seed = towers.SEED + random_models.ARCHITECTURES.index(name)
    checkpoint = folder / "checkpoint"
    random_models.write_checkpoint(random_models.build(config, seed, pixels[:2]), config, checkpoint)

    def rows(on: str):
        since = time.monotonic()
        both = towers.libtorch_rows(examples, checkpoint, folder, pixels, inputs.ids, IMAGE_BATCHES, TEXT_BATCHES, device=on)
        return both, time.monotonic() - since

    (expected, cpu_seconds), (found, seconds) = rows("cpu"), rows(device)
    columns = []
    for what, here, there in zip(("images", "texts"), expected, found):
        # The batches in front have every row once.
        count = len(pixels if what == "images" else inputs.ids)
        reference = np.concatenate([part for _, part in here])[:count]
        towers.check_sensitivity(f"{name}, {what}", reference)
        label = f"{name}, {device} against cpu"
        columns.append(towers.compare(label, what, *towers.gather(there, reference), absolute=ABSOLUTE, cosine=COSINE))
    print(f"  {name + ', ' + device + ' ~ cpu':32} {columns[0]}   {columns[1]}   {seconds:5.0f} s, cpu {cpu_seconds:.0f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="the folder of the built examples")
    root = Path(__file__).resolve().parents[2]
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CLIP_DATA", root.parent / "shared" / "data")))
    parser.add_argument("--device", default="cuda:0", help="cuda:N; with cpu, the comparison tries itself out")
    arguments = parser.parse_args()

    inputs = towers.Inputs(arguments.data)
    print(f"limits: max abs difference {ABSOLUTE:.0e}, 1 - cosine {1 - COSINE:.0e}; seed {towers.SEED}; TF32 off")
    print(f"  {'':32} {'images':^19}   {'texts':^19}")
    print(f"  {'':32} {'max abs':>9} {'1 - cos':>9}   {'max abs':>9} {'1 - cos':>9}")
    for name in ARCHITECTURES:
        with tempfile.TemporaryDirectory(prefix="clip-parity-") as folder:
            compare_architecture(name, inputs, arguments.examples, arguments.device, Path(folder))
    print(f"{len(towers.failures)} failures")
    return 1 if towers.failures else 0


if __name__ == "__main__":
    sys.exit(main())
