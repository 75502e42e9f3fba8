"""Export beside optimum-onnx: wall time and peak memory, in one run, from the same checkpoint folder to ONNX files.

    scripts/deps.sh python && scripts/deps.sh optimum
    python tests/bench/export.py target/release [--model ViT-B-32 ...] [--runs N] [--precision fp32 fp16] [--folder /tmp]

Each model has random weights and is written once as a Hugging Face folder, which `clip-export FOLDER -o OUT` and
`optimum-cli export onnx --model FOLDER --task zero-shot-image-classification OUT` export in turns, each into a new folder, with what they do by default: both run
the result once in ONNX Runtime; in fp16 ours is also compared with single precision. Checkpoints lie in the page cache.
Memory is resident memory, pages of mapped files included: a process's peak is the kernel's own record of it (VmHWM), that of
the tree is the highest sum over all its processes of samples 10 ms apart. A program that would take the machine's last
gigabyte is ended, and that is its result. Prints Markdown.
"""

import argparse
import multiprocessing
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]
OPTIMUM = ROOT / ".deps" / "optimum"
SEED = 2103_00020
INTERVAL = 0.01
# Left to the rest of the machine.
RESERVE = 1 << 30
MODELS = ["ViT-B-32", "ViT-L-14", "ViT-H-14"]
PRECISIONS = ["fp32", "fp16"]
# Both encoders in one graph, as optimum-onnx exports a CLIPModel.
TASK = "zero-shot-image-classification"


def write_checkpoint(name: str, folder: Path) -> None:
    sys.path.insert(0, str(ROOT / "tests" / "parity"))
    import formats
    import open_clip
    import random_models
    import torch

    # ViT-H/14 was trained with GELU, OpenAI's models with its approximation.
    config = {**open_clip.get_model_config(name), "quick_gelu": name != "ViT-H-14"}
    size = config["vision_cfg"]["image_size"]
    model = random_models.build(config, SEED, torch.zeros(1, 3, size, size))
    formats.save_hugging_face(SimpleNamespace(model=model, config=config), folder)


@dataclass
class Run:
    """What one export took, bytes and seconds."""

    seconds: float = 0.0
    tree: int = 0
    # The program's own process, and the largest of the others.
    own: int = 0
    other: int = 0
    written: int = 0
    failure: str = ""


@dataclass
class Meter:
    """Watches a process and all that come from it."""

    root: int
    peaks: dict[int, int] = field(default_factory=dict)
    tree: int = 0

    def sample(self) -> None:
        total = 0
        for process in family(self.root):
            peak, now = memory(process)
            self.peaks[process] = max(self.peaks.get(process, 0), peak)
            total += now
        self.tree = max(self.tree, total)


def family(root: int) -> list[int]:
    found = [root]
    for process in found:
        try:
            for thread in Path(f"/proc/{process}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
        except OSError:
            pass  # It has ended.
    return found


def memory(process: int) -> tuple[int, int]:
    """The most that it has held, and what it holds now."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    values = {line.split(":")[0]: line.split() for line in lines}
    return tuple(int(values[key][1]) << 10 if key in values else 0 for key in ("VmHWM", "VmRSS"))


def available() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))


def measure(command: list, output: Path, environment: dict) -> Run:
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        child = subprocess.Popen(list(map(str, command)), stdout=said, stderr=said, env=environment, start_new_session=True)
        meter, run = Meter(child.pid), Run()
        while child.poll() is None:
            meter.sample()
            if available() < RESERVE and not run.failure:
                run.failure = "ended, as it took the machine's last gigabyte"
                os.killpg(child.pid, signal.SIGKILL)
            time.sleep(INTERVAL)
        run.seconds = time.perf_counter() - started
        said.seek(0)
        lines = [line.strip() for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    if child.returncode != 0:
        run.failure = run.failure or f"failed: {lines[-1][:300] if lines else child.returncode}"
    run.own, run.tree = meter.peaks.pop(child.pid, 0), meter.tree
    run.other = max(meter.peaks.values(), default=0)
    if output.exists():
        run.written = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
        shutil.rmtree(output)
    return run


def contestants(programs: Path, checkpoint: Path, output: Path, precision: str) -> dict[str, tuple[list, dict]]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "ORT_DISABLE_TELEMETRY": "1"}
    ours = [programs / "clip-export", checkpoint, "-o", output, "--precision", precision]
    code = "import sys; from optimum.commands.optimum_cli import main; sys.exit(main())"
    theirs = [sys.executable, "-c", code, "export", "onnx", "--model", checkpoint, "--task", TASK, "--dtype", precision, output]
    return {
        "clip-export": (ours, environment),
        "optimum-onnx": (theirs, {**environment, "PYTHONPATH": str(OPTIMUM)}),
    }


def size(number: float) -> str:
    return f"{number / 1e9:.2f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def show(label: str, program: str, runs: list[Run]) -> None:
    fine = [run for run in runs if not run.failure]
    if not fine:
        run = max(runs, key=lambda run: run.tree)
        print(f"| {label} | {program} | {run.failure} after {run.seconds:.1f} s | {size(run.tree)} | {size(run.own)} | {size(run.other)} | |", flush=True)
        return
    seconds = [run.seconds for run in fine]
    own, other, tree, written = (statistics.median(getattr(run, key) for run in fine) for key in ("own", "other", "tree", "written"))
    time_ = f"{statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})"
    print(f"| {label} | {program} | {time_} | {size(tree)} | {size(own)} | {size(other) if other else 'none'} | {size(written)} |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=Path, help="the folder of the built programs")
    parser.add_argument("--model", nargs="*", default=MODELS)
    parser.add_argument("--precision", nargs="*", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where checkpoints and results lie for a while: 12 GB for ViT-H/14")
    options = parser.parse_args()
    if not OPTIMUM.exists():
        print("skipped: scripts/deps.sh optimum brings the other side")
        return 0
    theirs = [next(OPTIMUM.glob(f"{name}-*.dist-info")).name.removesuffix(".dist-info") for name in ("optimum_onnx", "transformers")]
    print(f"{date.today()}, {platform.platform()}, {os.cpu_count()} cores; {', '.join(theirs).replace('-', ' ')}, "
          f"PyTorch {version('torch')}, ONNX Runtime {version('onnxruntime')}. Medians (lowest to highest) of {options.runs} runs.\n")
    print("| | exporter | wall time | peak of all processes | its own process | largest other process | written |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in options.model:
        with tempfile.TemporaryDirectory(prefix="clip-bench-", dir=options.folder) as folder:
            checkpoint, output = Path(folder) / "checkpoint", Path(folder) / "output"
            # In a process of its own, whose memory is free again afterwards.
            writer = multiprocessing.get_context("spawn").Process(target=write_checkpoint, args=(name, checkpoint))
            writer.start()
            writer.join()
            if writer.exitcode != 0:
                return 1
            for precision in options.precision:
                programs = contestants(options.programs, checkpoint, output, precision)
                runs = {program: [] for program in programs}
                for _ in range(options.runs):
                    for program, (command, environment) in programs.items():
                        runs[program].append(measure(command, output, environment))
                for program in programs:
                    show(f"{name}, {precision}", program, runs[program])
    return 0


if __name__ == "__main__":
    sys.exit(main())
