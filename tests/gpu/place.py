"""Where the things are that the checks run: this file lies in the bundle `base`, as scripts/gpu-check.sh lays it out; the other
bundles lie beside it, where they were unpacked."""

import os
import sys
from pathlib import Path

BASE = Path(__file__).resolve().parents[2]
PROGRAMS = BASE / "programs"
EXAMPLES = PROGRAMS / "examples"
# The compiled test of clip-tensorrt that runs on doubles of TensorRT.
DRIVER_TEST = PROGRAMS / "doubles"
# TensorRT's double; CUDA's driver has its own folder, so that it is only found when it is asked for.
DOUBLES = BASE / "doubles"
CUDA_DOUBLE = BASE / "doubles-cuda"
ONNXRUNTIME = BASE / "onnxruntime" / "libonnxruntime.so"
ONNXRUNTIME_GPU = BASE.parent / "onnxruntime-gpu" / "libonnxruntime.so"
RTX = BASE.parent / "tensorrt-rtx"
SHARDS = BASE / "shards"
PICTURES = BASE / "examples" / "images"
LABELS = BASE / "models" / "emoji-tiny" / "everyday-100.txt"
# Pure Python packages, for a machine that lacks them.
PYTHON = BASE / "python"


def environment(**more: object) -> dict[str, str]:
    """For programs of ours: they find ONNX Runtime, and the libraries of CUDA and libtorch that came with PyTorch."""
    folders = [folder for entry in sys.path for folder in library_folders(Path(entry))]
    folders += [Path("/usr/local/cuda/lib64")] + os.environ.get("LD_LIBRARY_PATH", "").split(":")
    path = ":".join(str(folder) for folder in folders if str(folder))
    own = {"LD_LIBRARY_PATH": path, "ORT_DYLIB_PATH": str(ONNXRUNTIME), "HF_HUB_OFFLINE": "1"}
    return os.environ | own | {name: str(value) for name, value in more.items()}


def library_folders(packages: Path) -> list[Path]:
    torch = packages / "torch" / "lib"
    return ([torch] if torch.is_dir() else []) + sorted(packages.glob("nvidia/*/lib"))
