"""Compares clip-export and clip-run for aarch64, under an emulator, with those of this machine; exits with 1 outside the tolerance.

    python tests/parity/aarch64.py target/release target/aarch64/aarch64-unknown-linux-gnu/release

`scripts/aarch64.sh test` calls it. Both export models/emoji-tiny in fp32, fp16 and INT8: the graphs of the first two must be the same, byte for byte, and
INT8's have the same nodes (its ranges are measured by ONNX Runtime, which computes a little differently there). Then both embed the pictures of
examples/images and the labels with this machine's folders, and classify. At last both have TensorRT for RTX build engines of an fp16 folder, for
a named GPU and portable ones: what the manifests say must be the same, and the sizes within 2 %. It needs NumPy.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "models" / "emoji-tiny"
LABELS = CHECKPOINT / "everyday-100.txt"
PICTURES = sorted(path for path in (ROOT / "examples" / "images").iterdir() if path.suffix in (".png", ".jpg"))
CALIBRATION = ["--calibration-images", ROOT / "examples" / "images", "--calibration-texts", LABELS, "--min-cosine=-1", "--min-mean-cosine=-1", "--min-top1=0"]
PRECISIONS = {"fp32": [], "fp16": [], "int8": CALIBRATION}
# Largest difference of a number of an embedding of length one, and least cosine. On arm64 ONNX Runtime computes in half precision, on x86-64 it
# widens fp16 to single. INT8 rounds to steps; a sum that falls on the other side of one is a step away.
ABSOLUTE = {"fp32": 1e-5, "fp16": 1e-2, "int8": 2e-2}
COSINE = {"fp32": 0.999999, "fp16": 0.9998, "int8": 0.999}
# How far the size of an engine may be from that of this machine.
SIZE = 0.02


class Machine:
    """The programs of a machine, and its libraries."""

    def __init__(self, programs: Path, libraries: str):
        self.programs = programs
        self.tensorrt = ROOT / ".deps" / f"tensorrt{libraries}" / "tensorrt_rtx_libs"
        library = ROOT / ".deps" / f"onnxruntime{libraries}" / "lib" / "libonnxruntime.so"
        self.environment = {**os.environ, "ORT_DYLIB_PATH": str(library)}

    def run(self, program: str, *arguments) -> str:
        command = [str(part) for part in (self.programs / program, *arguments)]
        result = subprocess.run(command, capture_output=True, text=True, env=self.environment, timeout=900)
        if result.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {result.returncode}: {result.stderr.strip()[-2000:]}")
        return result.stdout

    def export(self, to: Path, *options) -> Path:
        self.run("clip-export", CHECKPOINT, "-o", to, *options)
        return to

    def embeddings(self, folder: Path, to: Path) -> np.ndarray:
        self.run("clip-run", "embed", folder, "--images", *PICTURES, "-o", to / "images.npy", "--force")
        self.run("clip-run", "embed", folder, "--texts-file", LABELS, "-o", to / "texts.npy", "--force")
        return np.concatenate([np.load(to / "images.npy"), np.load(to / "texts.npy")])

    def labels(self, folder: Path) -> list:
        lines = self.run("clip-run", "classify", folder, *PICTURES, "--labels-file", LABELS, "--top", "1", "--json").splitlines()
        return [json.loads(line)["labels"][0]["label"] for line in lines]


class Comparison:
    """Counts what was found, and says it."""

    def __init__(self):
        self.failed = 0

    def check(self, is_fine: bool, what: str):
        self.failed += not is_fine
        print(f"{'ok    ' if is_fine else 'FAILED'} {what}", flush=True)


def encoders(folder: Path) -> dict:
    manifest = json.loads((folder / "clip.json").read_text())
    return {tower: manifest[tower] for tower in ("image", "text") if manifest.get(tower)}


def exported_alike(found: Comparison, precision: str, here: Path, there: Path):
    for tower, encoder in encoders(here).items():
        [graph, other] = [(folder / encoder["file"]).read_bytes() for folder in (here, there)]
        if precision == "int8":
            # Ranges are numbers of 4 bytes, so that they change no length.
            found.check(len(graph) == len(other), f"{precision}: {tower} graphs of {len(graph)} and {len(other)} bytes")
        else:
            found.check(graph == other, f"{precision}: {tower} graphs of {len(graph)} bytes are the same")


def run_alike(found: Comparison, precision: str, folder: Path, machines: list, scratch: Path):
    [here, there] = [machine.embeddings(folder, scratch) for machine in machines]
    difference, cosine = np.abs(here - there).max(), (here * there).sum(axis=1).min()
    is_fine = difference <= ABSOLUTE[precision] and cosine >= COSINE[precision]
    found.check(is_fine, f"{precision}: {len(here)} embeddings, {difference:.1e} apart at most, least cosine {cosine:.7f}")
    [here, there] = [machine.labels(folder) for machine in machines]
    found.check(here == there and len(here) == len(PICTURES), f"{precision}: the same first label for {len(here)} pictures")


def engines_alike(found: Comparison, machines: list, scratch: Path):
    if not all(machine.tensorrt.exists() for machine in machines):
        print("skipped: there is no TensorRT for RTX for both, `scripts/deps.sh tensorrt` and `tensorrt-aarch64` bring it")
        return
    for name, options in {"sm 120": ["--sm", "120"], "portable": []}.items():
        folders = [scratch / f"engines-{name}-{index}" for index in range(2)]
        for machine, folder in zip(machines, folders):
            machine.export(folder, "--trt", "fp16", "--rtx", "--trt-encoders", "both", "--trt-library", machine.tensorrt, *options)
        for tower, encoder in encoders(folders[0]).items():
            other = encoders(folders[1])[tower]
            sizes = [(folder / encoder["file"]).stat().st_size for folder in folders]
            facts = [
                {key: value for key, value in each["engine"].items() if key not in ("build", "graph")} | {"graph": each["engine"]["graph"]["sha256"]}
                for each in (encoder, other)
            ]
            is_fine = facts[0] == facts[1] and abs(sizes[1] / sizes[0] - 1) <= SIZE
            found.check(is_fine, f"{name}: {tower} engines of {sizes[0]} and {sizes[1]} bytes{'' if facts[0] == facts[1] else f', {facts}'}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("here", type=Path)
    parser.add_argument("there", type=Path)
    options = parser.parse_args()
    machines = [Machine(options.here, ""), Machine(options.there, "-aarch64")]
    found = Comparison()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        for precision, more in PRECISIONS.items():
            here, there = [
                machine.export(scratch / f"{precision}-{index}", "--precision", precision, *more) for index, machine in enumerate(machines)
            ]
            exported_alike(found, precision, here, there)
            run_alike(found, precision, here, machines, scratch)
        engines_alike(found, machines, scratch)
    print("aarch64: as here" if found.failed == 0 else f"aarch64: {found.failed} not as here")
    return 1 if found.failed else 0


if __name__ == "__main__":
    sys.exit(main())
