"""Camera frames to the normalised tensor on one thread, beside OpenCV and beside full-size RGB, side by side in one run.

    scripts/deps.sh python && scripts/deps.sh frames
    python tests/bench/frames.py target/release/examples [--rounds N] [--only FORMAT...] [--json FILE] [--data ../shared/data]

A photo as a frame in every format and three sizes becomes float32 [3, 224, 224]: shorter side to 224, the middle cut out, antialiased bicubic. All take turns, in an order that
changes from round to round; each turn is the median of five calls, and a ratio compares two turns of the same round.
  ours         Preprocess::apply_frame, from the planes
  RGB          what one writes without it: NV12 to full-size RGB in plain Rust, then Preprocess::apply
  area         OpenCV: cvtColor, the middle resized by INTER_AREA (antialiased), then normalised in planes
  linear       the same by INTER_LINEAR (not antialiased)
OpenCV has one thread, gets the middle cut out before it resizes, and changes the order of channels after that, where there is less of it. Prints Markdown.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(ROOT / ".deps" / "frames"))
# Before this folder, which has a module of the same name.
sys.path.insert(0, str(ROOT / "tests" / "parity"))
os.environ["HF_HUB_OFFLINE"] = "1"

import cv2
import numpy as np
from PIL import Image, ImageOps

import frames
import preprocess as pictures

SIZE = 224
SIZES = [(640, 480), (1920, 1080), (3840, 2160)]
CALLS = 5
YUV_CODES = {
    "nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21, "i420": cv2.COLOR_YUV2RGB_I420,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2, "uyvy": cv2.COLOR_YUV2RGB_UYVY,
}  # fmt: skip
LATER_CODES = {"bgr": cv2.COLOR_BGR2RGB, "rgba": cv2.COLOR_RGBA2RGB, "bgra": cv2.COLOR_BGRA2RGB, "gray8": cv2.COLOR_GRAY2RGB, "gray16": cv2.COLOR_GRAY2RGB}
MEAN = np.float32(pictures.OPENAI_MEAN) * 255
SCALE = np.float32(1) / (np.float32(pictures.OPENAI_STD) * 255)


class Ours:
    """The example program, kept alive: a request in, the median of its calls out."""

    def __init__(self, program: Path):
        self.process = subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def time(self, request: dict) -> float:
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or '{"error": "it ended"}')
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return statistics.median(answer["seconds"])


def opencv(frame: frames.Frame, interpolation: int):
    """A call of OpenCV's chain."""
    width, height = frame.width, frame.height
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    cut = lambda image: image[top : top + side, left : left + side]
    small = lambda image: cv2.resize(cut(image), (SIZE, SIZE), interpolation=interpolation)
    out = np.empty((3, SIZE, SIZE), np.float32)
    if frame.format == "i420":
        data = np.concatenate([plane.ravel() for plane in frame.planes]).reshape(height * 3 // 2, width)
    elif frame.format in ("nv12", "nv21"):
        data = np.concatenate(frame.planes)
    elif frame.format == "gray16":
        data = frame.planes[0].view(np.uint16)
    elif frame.format in ("rgbp", "gray8"):
        data = frame.planes[0]
    else:
        data = frame.planes[0].reshape(height, width, -1)

    def call():
        if frame.format == "rgbp":
            rgb = cv2.merge([small(plane) for plane in frame.planes])
        elif frame.format == "gray16":
            rgb = small(cv2.convertScaleAbs(data, alpha=255 / 65535))
        elif frame.format in YUV_CODES:
            rgb = small(cv2.cvtColor(data, YUV_CODES[frame.format]))
        else:
            rgb = small(data)
        if frame.format in LATER_CODES:
            rgb = cv2.cvtColor(rgb, LATER_CODES[frame.format])
        for channel in range(3):
            np.subtract(rgb[..., channel], MEAN[channel], out=out[channel])
            out[channel] *= SCALE[channel]

    def measure() -> float:
        times = []
        for _ in range(CALLS):
            started = time.perf_counter()
            call()
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    return measure


def rounds(contestants: dict, count: int) -> dict[str, list[float]]:
    times = {name: [] for name in contestants}
    names = list(contestants)
    for name in names:
        contestants[name]()
    for _ in range(count):
        random.shuffle(names)
        for name in names:
            time.sleep(0.02)
            times[name].append(contestants[name]())
    return times


def spread(seconds: list[float]) -> str:
    ms = sorted(1000 * value for value in seconds)
    return f"{statistics.median(ms):.2f} ms ({ms[0]:.2f} to {ms[-1]:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="the folder of the built examples, with `frames` of clip-model")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", nargs="+", default=frames.FORMATS, choices=frames.FORMATS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CLIP_DATA", ROOT.parent / "shared" / "data")))
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    random.seed(frames.SEED)

    if arguments.data.is_dir():
        largest = max(pictures.photos(arguments.data / "photos"), key=lambda case: len(case.encoded))
        photo = Image.fromarray(pictures.pillow_rgb(largest, True))
    else:
        photo = Image.fromarray(pictures.picture(np.random.default_rng(frames.SEED), 1920, 1080))
    ours = Ours(arguments.examples / "frames")
    rows = []
    print(f"OpenCV {cv2.__version__}, one thread, {arguments.rounds} rounds; median (lowest to highest)\n")
    print("| frame | ours | full-size RGB, then ours | OpenCV, area | OpenCV, linear | RGB / ours | area / ours | linear / ours |\n|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for width, height in SIZES:
            picture = np.asarray(ImageOps.fit(photo, (width, height), Image.Resampling.LANCZOS))
            for format in arguments.only:
                frame = frames.make(format, picture, format)
                path = Path(folder) / "frame"
                path.write_bytes(b"".join(plane.tobytes() for plane in frame.planes))
                request = {"input": str(path), "format": format, "width": width, "height": height, "rounds": CALLS}
                contestants = {"ours": lambda: ours.time(request)}
                if format == "nv12":
                    contestants["RGB"] = lambda: ours.time(request | {"through_rgb": True})
                contestants["area"] = opencv(frame, cv2.INTER_AREA)
                contestants["linear"] = opencv(frame, cv2.INTER_LINEAR)
                times = rounds(contestants, arguments.rounds)
                rows.append({"format": format, "width": width, "height": height, "seconds": times})
                cells = [spread(times[name]) if name in times else "" for name in ("ours", "RGB", "area", "linear")]
                for name in ("RGB", "area", "linear"):
                    ratios = [b / a for a, b in zip(times["ours"], times.get(name, []))]
                    cells.append(f"{statistics.median(ratios):.1f}x" if ratios else "")
                print(f"| {width}x{height} {format} | {' | '.join(cells)} |", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
