"""clip-tensorrt's layer over CUDA on the real driver: buffers, pinned memory, streams, events and graphs, by its own tests.

TensorRT is a double, which computes by ONNX Runtime between copies from and to the GPU; CUDA's driver is the machine's. With
--device cpu it is a double, too.
"""

import json
import re
import subprocess

import check
import place

# The test, and what it asks of TensorRT's double.
TESTS = [
    ("gpu", {}),
    ("builds", {}),
    ("runs", {}),
    ("makes_room", {}),
    ("refuses_inputs", {}),
    ("threads", {}),
    ("is_cancelled", {}),
    *(("fails", {"DOUBLE_TENSORRT_FAIL": step}) for step in ("build", "deserialize", "context", "enqueue")),
]
# Runs of `runs` that reach TensorRT; the other eight are replays of a graph.
ENQUEUED = 6


def run(arguments, figures: dict) -> None:
    doubles = [place.DOUBLES] + ([place.CUDA_DOUBLE] if arguments.device == "cpu" else [])
    path = ":".join(map(str, doubles))
    log = arguments.out / "calls.jsonl"
    failed = []
    for name, variables in TESTS:
        log.unlink(missing_ok=True)
        environment = place.environment(DOUBLE_ONNXRUNTIME=place.ONNXRUNTIME, DOUBLE_TENSORRT_LOG=log, **variables)
        environment["LD_LIBRARY_PATH"] = f"{path}:{environment['LD_LIBRARY_PATH']}"
        command = [place.DRIVER_TEST, "--ignored", "--exact", name, "--nocapture"]
        try:
            result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
            text, passed = result.stdout + result.stderr, result.returncode == 0 and "1 passed" in result.stdout
        except subprocess.TimeoutExpired:
            text, passed = "it was not done after 60 s", False
        if passed and name == "runs":
            enqueued = sum(json.loads(line)["method"] == "enqueueV3" for line in log.read_text().splitlines())
            passed, text = enqueued == ENQUEUED, f"{enqueued} runs reached TensorRT, not {ENQUEUED}: the graphs were not replayed"
        if found := re.search(r"device: (.*)", text):
            figures["device"] = found[1]
            print(f"  {found[1]}")
        label = " ".join([name, *(f"{variable}={value}" for variable, value in variables.items())])
        print(f"  {label:44} {'passed' if passed else 'FAILED'}", flush=True)
        if not passed:
            failed.append(label)
            print("    " + text.strip()[-2000:].replace("\n", "\n    "))
    log.unlink(missing_ok=True)
    figures["passed"] = [label for label, _ in TESTS if label not in failed]
    if failed:
        raise check.Failed(f"{len(failed)} of {len(TESTS)} tests: {', '.join(failed)}")


if __name__ == "__main__":
    check.finish("driver", run, __doc__)
