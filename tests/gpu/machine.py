"""What machine this is, and what of the pack is here."""

import ctypes
import json
import os
import platform
import subprocess
from datetime import date
from pathlib import Path

import place


def describe(device: str) -> dict:
    pack = json.loads((place.BASE / "pack.json").read_text())
    found = {"date": str(date.today()), "commit": pack["commit"], "python": platform.python_version(), "processor": processor()}
    found["cores"] = len(os.sched_getaffinity(0))
    try:
        import torch

        found["torch"] = torch.__version__
        found["cuda"] = torch.version.cuda
        if device != "cpu":
            found["gpu"] = torch.cuda.get_device_name(device)
            found["memory"] = torch.cuda.get_device_properties(device).total_memory
    # The other checks go on without PyTorch, and without a GPU that it can use.
    except Exception as error:
        found["torch_error"] = str(error)
    if device != "cpu":
        found["driver"] = driver()
        found["driver_cuda"] = driver_cuda()
    if place.ONNXRUNTIME_GPU.exists():
        found["onnxruntime"] = pack["onnxruntime_gpu"]
    found["missing"] = missing()
    return found


def words(found: dict) -> str:
    torch = f"PyTorch {found['torch']}" if "torch" in found else f"no PyTorch ({found['torch_error']})"
    gpu = f"{found.get('gpu', 'a GPU that PyTorch cannot use')}, driver {found['driver']}, CUDA {found['driver_cuda']}; " if "driver" in found else ""
    ort = f", ONNX Runtime {found['onnxruntime']}" if "onnxruntime" in found else ""
    return f"{found['date']}, {gpu}{found['cores']} cores of {found['processor']}; {torch}{ort}; Python {found['python']}; commit {found['commit']}"


def missing() -> list[str]:
    """What of the pack was not unpacked beside the base."""
    kept = place.BASE.parent / "parts"
    lines = []
    for bundle in json.loads((place.BASE / "pack.json").read_text())["bundles"]:
        if not (place.BASE.parent / bundle).exists():
            here = len(list(kept.glob(f"{bundle}-*.part")))
            lines.append(f"the bundle {bundle} was not unpacked ({here} of its parts are here)")
    return lines


def processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return "unknown"


def driver_cuda() -> str:
    """The version of CUDA that the driver serves."""
    version = ctypes.c_int()
    try:
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except OSError:
        return "unknown"
    return f"{version.value // 1000}.{version.value % 1000 // 10}"
