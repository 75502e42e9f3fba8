"""Runs the checks that need a GPU, one after the other, each within its time; what one does leaves the others alone.

    python run.py [DEVICE] --out FOLDER [--only CHECK...] [--minutes 9.5] [--json]

Prints what the checks say and one line for each; FOLDER gets results.json, section.md (for BENCHMARKS.md) and log.txt. Exit status 0
when no check failed, 1 when one did or ran out of time.
"""

import argparse
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import check
import machine
import place
import section

HERE = Path(__file__).parent
TESTS = HERE.parent


@dataclass
class Check:
    name: str
    # The program, with its arguments.
    program: list
    # The time it may take at most.
    seconds: int
    # Python packages without which it cannot run.
    needs: list = field(default_factory=list)


# How much longer everything may take where there is no GPU.
SLOWER = 6
OPEN_CLIP = ["torch", "numpy", "open_clip", "safetensors", "transformers"]


def checks(device: str, out: Path) -> list[Check]:
    def own(script: str, *more: str) -> list:
        return [HERE / script, *more, "--device", device, "--out", out]

    towers = [TESTS / "parity" / "cuda.py", place.EXAMPLES, "--device", device]
    training = [TESTS / "bench" / "compare.py", place.EXAMPLES, "--only", "train", "--device", device]
    training += ["--pairs", "256", "--rounds", "30", "--json", out / "training.json"]
    all = [
        Check("driver", own("driver.py"), 60),
        Check("embeddings", own("embeddings.py"), 150, OPEN_CLIP),
        Check("train-fp32", own("train.py", "fp32"), 60, ["torch"]),
        Check("train-bf16", own("train.py", "bf16"), 60, ["torch"]),
        Check("speed", own("speed.py"), 240, OPEN_CLIP),
        Check("towers", towers, 100, [*OPEN_CLIP, "onnx", "PIL", "torchvision"]),
        Check("engines", own("engines.py"), 150, OPEN_CLIP),
    ]
    if device != "cpu":
        all.append(Check("training", training, 160, [*OPEN_CLIP, "onnxruntime", "open_clip_train"]))
    return all


def run(one: Check, seconds: float, log) -> dict:
    """Runs a check, shows what it says as it says it, and gives its result."""
    started = time.monotonic()
    result = {"name": one.name, "status": "failed", "reason": None}
    missing = [name for name in one.needs if importlib.util.find_spec(name) is None]
    if missing:
        result |= {"status": "skipped", "reason": f"this Python lacks {', '.join(missing)}"}
    elif seconds < 5:
        result["reason"] = "ran out of time before it began"
    else:
        command = [sys.executable, "-u", *map(str, one.program)]
        if str(HERE) in str(one.program[0]):
            command += ["--seconds", str(int(seconds - 3))]
        result |= wait(command, seconds, log)
    result["seconds"] = round(time.monotonic() - started, 1)
    return result


def wait(command: list[str], seconds: float, log) -> dict:
    # A group of its own, since checks start programs, too.
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        env=place.environment(),
    )
    late = threading.Event()

    def end() -> None:
        late.set()
        kill(child)

    timer = threading.Timer(seconds, end)
    timer.start()
    last = ""
    try:
        for line in child.stdout:
            last = line.strip() or last
            print(line, end="", file=log, flush=True)
            show(line.rstrip("\n"))
        status = child.wait()
    finally:
        timer.cancel()
        # Programs that it left behind.
        kill(child)
    if late.is_set():
        return {"status": "failed", "reason": f"ran out of time after {seconds:.0f} s"}
    if status == check.SKIPPED:
        return {"status": "skipped", "reason": last.removeprefix("skipped: ")}
    if status != 0:
        return {"status": "failed", "reason": last.removeprefix("FAILED: ")}
    return {"status": "passed"}


def lend_packages(folder: Path) -> None:
    """Has Python find those of the carried packages that it lacks: its own ones stay in use."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for package in place.PYTHON.iterdir() if place.PYTHON.exists() else []:
        if importlib.util.find_spec(package.name) is None:
            (folder / package.name).symlink_to(package)
    sys.path.append(str(folder))
    os.environ["PYTHONPATH"] = ":".join(filter(None, [os.environ.get("PYTHONPATH"), str(folder)]))


def kill(child: subprocess.Popen) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def show(line: str) -> None:
    print(line, file=sys.stderr if show.json else sys.stdout, flush=True)


show.json = False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("device", nargs="?", default="cuda:0", help="cuda:N, or cpu to try the checks out without a GPU")
    parser.add_argument("--out", type=Path, default=Path("target/gpu-check/out"))
    names = [one.name for one in checks("cuda:0", Path())]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--minutes", type=float, default=9.5, help="time for all of them")
    parser.add_argument("--json", action="store_true", help="print the results as one JSON object, and the lines on standard error")
    arguments = parser.parse_args()
    show.json = arguments.json
    slower = SLOWER if arguments.device == "cpu" else 1
    end = time.monotonic() + 60 * slower * arguments.minutes
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    lend_packages(out / "python")
    found = machine.describe(arguments.device)
    show(machine.words(found))
    for line in found["missing"]:
        show(f"missing: {line}")
    results = []
    with open(out / "log.txt", "w") as log:
        for one in checks(arguments.device, out):
            if one.name not in arguments.only:
                continue
            show(f"== {one.name} on {arguments.device}")
            print(f"== {one.name}", file=log)
            (out / f"{one.name}.json").unlink(missing_ok=True)
            result = run(one, min(slower * one.seconds, end - time.monotonic()), log)
            if (out / f"{one.name}.json").exists():
                result["figures"] = json.loads((out / f"{one.name}.json").read_text())
            results.append(result)
            show(line_of(result))
    report = {"device": arguments.device, "machine": found, "checks": results}
    (out / "results.json").write_text(json.dumps(report, indent=1))
    (out / "section.md").write_text(section.text(report))
    counts = {status: sum(result["status"] == status for result in results) for status in ("passed", "failed", "skipped")}
    show("== " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    for result in results:
        show(line_of(result))
    show(f"results: {out / 'results.json'}")
    if arguments.json:
        print(json.dumps(report))
    return 1 if counts["failed"] else 0


def line_of(result: dict) -> str:
    reason = f": {result['reason']}" if result["reason"] else ""
    return f"{result['name']}: {result['status']} after {result['seconds']:.0f} s{reason}"


if __name__ == "__main__":
    sys.exit(main())
