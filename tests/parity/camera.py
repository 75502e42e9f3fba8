"""The graph for a camera's frames in ONNX Runtime and OpenVINO, against frames converted at full size, Pillow and the image encoder; exits with 1 beyond the limits.

    python tests/parity/camera.py target/release/examples

For each of CAMERAS, clip-export makes a model folder of models/emoji-tiny. Photos become frames of the format by NumPy, whose conversion back to RGB at full
size (each colour sample repeated over its pixels), cut, turned and resized by Pillow, is the reference. The pixels that the graph makes are cut out of it in
front of the tower; its embeddings are those of visual.onnx on the reference's pixels.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / ".deps" / "openvino"))

import numpy as np
import onnx
import onnx.utils
import onnxruntime
import openvino
from PIL import Image

PHOTOS = ["house.jpg", "sun.jpg", "apple.png"]
LEVELS, SHARE, COSINE, ENGINES = 2, 0.005, 0.999, 1e-4
# Format, width, height, pitch of the first plane, crop, turn (Pillow's name), options.
CAMERAS = [
    ("nv12", 640, 360, 704, None, None, []),
    ("nv21", 641, 361, 642, (40, 11, 500, 350), "ROTATE_270", ["--camera-turn", "right", "--camera-crop", "40,11,500x350"]),
    ("i420", 320, 480, 320, None, "ROTATE_180", ["--camera-turn", "half"]),
    ("yuyv", 480, 320, 960, None, "ROTATE_90", ["--camera-turn", "left"]),
    ("uyvy", 321, 241, 700, None, "FLIP_LEFT_RIGHT", ["--camera-turn", "mirror"]),
    ("rgb", 333, 200, 1000, None, None, []),
    ("bgr", 200, 333, 600, None, "TRANSPOSE", ["--camera-turn", "transpose"]),
    ("rgba", 640, 480, 2560, (100, 0, 480, 480), None, ["--camera-crop", "100,0,480x480"]),
    ("bgra", 97, 131, 400, None, "FLIP_TOP_BOTTOM", ["--camera-turn", "flip"]),
    ("rgbp", 300, 200, 320, None, "TRANSVERSE", ["--camera-turn", "transverse"]),
    ("gray8", 640, 512, 640, None, None, []),
    ("gray16", 640, 512, 1280, None, None, ["--camera-levels", "1000:30000"]),
    ("nv12", 640, 360, 640, None, None, ["--precision", "fp16"]),
]
# BT.601, limited: what is taken for granted of frames of up to 576 rows.
BLACK = np.array([16.0, 128.0, 128.0])
TO_RGB = np.array([[255 / 219, 0, 1.402 * 255 / 224], [255 / 219, -0.344136 * 255 / 224, -0.714136 * 255 / 224], [255 / 219, 1.772 * 255 / 224, 0]])

failures = []


def check(holds: bool, what: str) -> None:
    if not holds:
        failures.append(what)
        print(f"    FAILED: {what}")


def bytes_of(numbers: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(numbers), 0, 255).astype(np.uint8)


def padded(rows: np.ndarray, pitch: int) -> np.ndarray:
    return np.pad(rows, ((0, 0), (0, pitch - rows.shape[1])), constant_values=0xA5)


def chroma(samples: np.ndarray, down: int) -> np.ndarray:
    """Means over what each sample stands for; of an odd size, over what is left."""
    height, width = samples.shape
    samples = np.pad(samples, ((0, height % down), (0, width % 2)), mode="edge")
    return samples.reshape(-1, down, samples.shape[1] // 2, 2).mean((1, 3))


def frame(rgb: np.ndarray, format: str, pitch: int) -> tuple[list[np.ndarray], np.ndarray]:
    """The planes, and the picture that is in them at full size."""
    height, width = rgb.shape[:2]
    if format in ("rgb", "bgr", "rgba", "bgra"):
        order = {"rgb": [0, 1, 2], "bgr": [2, 1, 0], "rgba": [0, 1, 2, 1], "bgra": [2, 1, 0, 1]}[format]
        return [padded(rgb[:, :, order].reshape(height, -1), pitch)], rgb
    if format == "rgbp":
        return [padded(rgb[:, :, c], pitch) for c in range(3)], rgb
    if format == "gray8":
        gray = bytes_of(rgb.mean(2))
        return [padded(gray, pitch)], np.repeat(gray[:, :, None], 3, 2)
    if format == "gray16":
        levels = np.rint(1000 + rgb.mean(2) / 255 * 29000).astype("<u2")
        seen = bytes_of((levels.astype(float) - 1000) / 29000 * 255)
        return [padded(levels.view(np.uint8), pitch)], np.repeat(seen[:, :, None], 3, 2)
    yuv = rgb.astype(float) @ np.linalg.inv(TO_RGB).T + BLACK
    down = 1 if format in ("yuyv", "uyvy") else 2
    y, u, v = bytes_of(yuv[:, :, 0]), bytes_of(chroma(yuv[:, :, 1], down)), bytes_of(chroma(yuv[:, :, 2], down))
    wide = [np.repeat(np.repeat(c, down, 0), 2, 1)[:height, :width] for c in (u, v)]
    seen = bytes_of((np.stack([y, *wide], 2).astype(float) - BLACK) @ TO_RGB.T)
    if format == "i420":
        return [padded(y, pitch), *(padded(c, (pitch + 1) // 2) for c in (u, v))], seen
    if format in ("nv12", "nv21"):
        pair = (u, v) if format == "nv12" else (v, u)
        return [padded(y, pitch), padded(np.stack(pair, 2).reshape(u.shape[0], -1), pitch)], seen
    even = np.pad(y, ((0, 0), (0, width % 2)), mode="edge")
    columns = [even[:, 0::2], u, even[:, 1::2], v] if format == "yuyv" else [u, even[:, 0::2], v, even[:, 1::2]]
    return [padded(np.stack(columns, 2).reshape(height, -1), pitch)], seen


def fitted(picture: Image.Image, size: int) -> np.ndarray:
    """As torchvision resizes and cuts."""
    width, height = picture.size
    short = min(width, height)
    wide, high = (size if side == short else int(size * side / short) for side in (width, height))
    left, top = int(round((wide - size) / 2.0)), int(round((high - size) / 2.0))
    return np.asarray(picture.resize((wide, high), Image.BICUBIC).crop((left, top, left + size, top + size)))


def in_onnxruntime(path: Path, inputs: dict) -> np.ndarray:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, inputs)[0]


def in_openvino(path: Path, inputs: dict) -> np.ndarray:
    model = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return next(iter(model(inputs).values()))


def pixels(path: Path, inputs: list[str]) -> Path:
    """The part of the graph that makes pixels, as a graph of its own."""
    model = onnx.load(path)
    last = [node for node in model.graph.node if node.op_type == "Clip" and node.input[1] == "least"][-1]
    part = onnx.utils.Extractor(model).extract_model(inputs, [last.output[0]])
    onnx.save(part, path.with_name("pixels.onnx"))
    return path.with_name("pixels.onnx")


def compare(camera: tuple, folder: Path) -> None:
    format, width, height, pitch, crop, turn, options = camera
    program = ROOT / "target" / "release" / "clip-export"
    name = f"{format}:{width}x{height}:{pitch}"
    command = [program, ROOT / "models" / "emoji-tiny", "-o", folder, "--only", "visual", "--camera", name, *options]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    manifest = json.loads((folder / "clip.json").read_text())
    names, size = manifest["camera"]["inputs"], manifest["preprocess"]["size"]
    onnx.checker.check_model(folder / "camera.onnx", full_check=True)
    part = pixels(folder / "camera.onnx", names)
    mean, std = (np.array(manifest["preprocess"][key], np.float32) for key in ("mean", "std"))
    most, share, cosine, apart = 0.0, 0.0, 1.0, 0.0
    for photo in PHOTOS:
        picture = Image.open(ROOT / "examples" / "images" / photo).convert("RGB").resize((width, height), Image.LANCZOS)
        planes, seen = frame(np.asarray(picture), format, pitch)
        reference = Image.fromarray(seen)
        if crop:
            left, top, wide, high = crop
            reference = reference.crop((left, top, left + wide, top + high))
        if turn:
            reference = reference.transpose(getattr(Image.Transpose, turn))
        expected = fitted(reference, size)
        inputs = {name: plane[None] for name, plane in zip(names, planes, strict=True)}
        normalised = ((expected / np.float32(255) - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)
        target = in_onnxruntime(folder / "visual.onnx", {"image": normalised})[0]
        embeddings = []
        for run in (in_onnxruntime, in_openvino):
            made = run(part, inputs)[0].transpose(1, 2, 0)
            difference = np.abs(made - expected.astype(float))
            most, share = max(most, difference.max()), max(share, (difference > 1.01).mean())
            embeddings.append(run(folder / "camera.onnx", inputs)[0])
            cosine = min(cosine, float(embeddings[-1] @ target))
        apart = max(apart, np.abs(embeddings[0] - embeddings[1]).max())
    what = f"{name} {' '.join(options)}".strip()
    print(f"  {what}: at most {most:.0f} levels, {100 * share:.3f} % above 1, lowest cosine {cosine:.6f}, engines {apart:.1e} apart")
    check(most <= LEVELS + 0.01 and share <= SHARE, f"{what}: pixels")
    check(cosine >= COSINE, f"{what}: embeddings")
    # In half precision the two round at other places.
    check(apart <= (50 if "fp16" in options else 1) * ENGINES, f"{what}: engines")


for camera in CAMERAS:
    with tempfile.TemporaryDirectory() as folder:
        compare(camera, Path(folder) / "model")
print(f"camera: {len(CAMERAS)} graphs, {len(failures)} failures")
sys.exit(bool(failures))
