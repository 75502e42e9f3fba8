"""clip-run by ONNX Runtime on the GPU against the same on the CPU: embeddings of pictures and texts, with random weights.

fp32 is compared with itself, fp16 on the GPU with fp32 on the CPU; the limits are those of CONTRIBUTING.md and of clip-export.
"""

import check
import models
import place

CASES = [
    # Architecture, number format, largest difference, smallest cosine.
    ("ViT-B-32", "fp32", 1e-3, 0.9999),
    ("ViT-B-32", "fp16", None, 0.999),
    ("RN50", "fp32", 1e-3, 0.9999),
]
TEXTS = ["a photo of a cat", "two dogs on a sofa", "a red car in front of an old house beside a tree", "x"]


def run(arguments, figures: dict) -> None:
    import numpy as np

    needs_gpu_library(arguments.device)
    out, program = arguments.out, place.PROGRAMS / "clip-run"
    pictures = sorted(path for path in place.PICTURES.iterdir() if path.suffix in (".jpg", ".png", ".webp"))
    rows, failed = [], []

    def embeddings(folder, device: str, library) -> dict:
        found = {}
        for what, given in (("images", pictures), ("texts", TEXTS)):
            file = out / "embeddings.npy"
            file.unlink(missing_ok=True)
            command = [program, "embed", folder, "--engine", "onnx", "--device", device, f"--{what}", *given, "-o", file]
            check.output(command, env=place.environment(ORT_DYLIB_PATH=library))
            found[what] = np.load(file).astype(np.float64)
            file.unlink()
        return found

    for name, precision, absolute, cosine in CASES:
        try:
            expected = embeddings(models.folder(name, "fp32", out), "cpu", place.ONNXRUNTIME)
            folder = models.folder(name, precision, out)
            info = [program, "info", folder, "--engine", "onnx", "--device", arguments.device]
            said = check.output(info, env=place.environment(ORT_DYLIB_PATH=place.ONNXRUNTIME_GPU))
            if arguments.device != "cpu" and "CUDA device" not in said:
                raise check.Failed(f"clip-run info names no CUDA device: {said}")
            found = embeddings(folder, arguments.device, place.ONNXRUNTIME_GPU)
        except check.Failed as error:
            failed.append(f"{name}, {precision}: {error}")
            print(f"  {name}, {precision}: FAILED: {error}", flush=True)
            continue
        for what in expected:
            here, there = expected[what], found[what]
            difference = np.abs(here - there).max()
            nearest = ((here * there).sum(1) / np.linalg.norm(here, axis=1) / np.linalg.norm(there, axis=1)).min()
            # Not a number is no match, either.
            good = nearest >= cosine and (absolute is None or difference <= absolute)
            rows.append({"model": name, "precision": precision, "what": what, "difference": float(difference), "cosine": float(nearest)})
            words = f"max abs difference {difference:.1e}, 1 - cosine {1 - nearest:.1e}"
            print(f"  {name:9} {precision}, {len(here)} {what:6}  {words}{'' if good else '  FAILED'}", flush=True)
            if not good:
                failed.append(f"{name}, {precision}, {what}: {words}")
    figures["rows"] = rows
    if failed:
        raise check.Failed("; ".join(failed))


def needs_gpu_library(device: str) -> None:
    """Skips the check where ONNX Runtime cannot do it."""
    if not place.ONNXRUNTIME_GPU.exists():
        raise check.Skipped("ONNX Runtime with CUDA is not here: the bundle onnxruntime-gpu was not unpacked")


if __name__ == "__main__":
    check.finish("embeddings", run, __doc__)
