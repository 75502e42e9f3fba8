"""clip-train on the emoji shards: stopped halfway by a signal, resumed, and the loss must have fallen.

    python train.py fp32|bf16 --out FOLDER [--device cuda:0]
"""

import json
import math
import re
import signal
import subprocess
import sys
import time

import check
import place

SETTINGS = """
[model]
embed_dim = 128
resnet = {{ image_size = 64, layers = [1, 1, 1, 1], width = 24 }}
text = {{ context_length = 32, vocab_size = 1200, width = 128, heads = 2, layers = 2 }}

[data]
tokenizer = "train"
cache_mb = 400

[optim]
batch = 64
steps = {steps}
lr = 2e-3
warmup = 10
clip = 1.0
precision = "{precision}"

[run]
log_every = 5
checkpoint_every = 10
"""


def run(arguments, figures: dict, precision: str) -> None:
    if not (place.SHARDS / "val-100.tar").exists():
        raise check.Skipped("no emoji shards here: they are cut from the data folder, see README")
    steps = 40 if arguments.device == "cpu" else 300
    folder, said = arguments.out / f"run-{precision}", arguments.out / f"run-{precision}.stderr"
    log, settings = folder / "log.jsonl", arguments.out / f"{precision}.toml"
    settings.write_text(SETTINGS.format(steps=steps, precision=precision))
    command = [place.PROGRAMS / "clip-train", "--config", settings, "--data", *sorted(place.SHARDS.glob("train-*.tar"))]
    command += ["--val", place.SHARDS / "val-100.tar", "-o", folder, "--device", arguments.device]

    def start(*more: str) -> subprocess.Popen:
        with open(said, "w") as stderr:
            return subprocess.Popen([*map(str, command), *more], stderr=stderr, env=place.environment())

    child = start()
    try:
        # The third line of the log is step 15, so that the state of step 10 is written.
        while child.poll() is None and not (log.exists() and log.read_text().count("\n") >= 3):
            time.sleep(0.02)
        child.send_signal(signal.SIGTERM)
        # 143 where a program turns the signal into a status.
        if (status := child.wait()) not in (-signal.SIGTERM, 143):
            raise check.Failed(f"the first run was to be stopped halfway, but ended with status {status}: {said.read_text()[-1500:]}")
        child = start("--resume")
        if child.wait() != 0:
            raise check.Failed(f"--resume ended with status {child.returncode}: {said.read_text()[-1500:]}")
    finally:
        child.kill()
    found = re.search(r"^going on at step (\d+)\b", said.read_text(), re.MULTILINE)
    reached = int(found[1]) if found else 0
    if not 10 <= reached < steps:
        raise check.Failed(f"resumed at step {reached} of {steps}")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lines = [line for line in lines if "loss" in line]
    losses = [line["loss"] for line in lines]
    first, last = losses[0], sum(losses[-3:]) / 3
    figures |= {"resumed": reached, "steps": steps, "first_loss": first, "last_loss": last}
    figures["samples_per_second"] = lines[-1]["samples_per_second"]
    print(f"  stopped, and resumed at step {reached} of {steps}")
    print(f"  loss {first:.3f} -> {last:.3f}, {figures['samples_per_second']:.0f} samples/s")
    # The step at which it was stopped has a line, too.
    if not set(range(5, steps + 1, 5)) <= {line["step"] for line in lines}:
        raise check.Failed("steps are missing from the log")
    if not all(map(math.isfinite, losses)) or not last < first - 0.2:
        raise check.Failed(f"the loss has not fallen: {losses}")


if __name__ == "__main__":
    precision = sys.argv.pop(1)
    check.finish(f"train-{precision}", lambda *given: run(*given, precision), __doc__)
