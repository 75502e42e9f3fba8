"""Compares clip-model's decoding with Pillow's on folders of pictures, such as other decoders' own test suites.

    python tests/parity/pictures.py target/release/examples FOLDER... [--verbose]

Every file that Pillow opens as JPEG, PNG, GIF, BMP, WebP, TIFF or PNM is decoded by both. The reference is
`ImageOps.exif_transpose(Image.open(file))` as RGB, with transparent pixels over white and 16-bit grey by its high byte, as
preprocess.py states it. Counts, by format, the pictures that come out the same, come out different, are refused with a
reason, or make the decoder panic (or print anything, or end); exits with 1 after a panic.
"""

import argparse
import collections
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

FORMATS = {"JPEG": "JPEG", "MPO": "JPEG", "PNG": "PNG", "GIF": "GIF", "BMP": "BMP", "DIB": "BMP", "WEBP": "WebP", "TIFF": "TIFF", "PPM": "PNM"}
LARGEST_SIDE = 20_000


def over_white(rgba):
    """uint8 [height, width, 4] over white, rounded to nearest."""
    rgba = rgba.astype(np.int64)
    alpha = rgba[..., 3:]
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def high_byte(image):
    """16-bit grey, with its transparent value if it has one."""
    values = np.array(image).astype(np.int64)
    grey = (values >> 8)[..., None].repeat(3, -1).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return grey


def reference(path):
    """Format and RGB pixels, or None where Pillow does not decode the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(path)
            kind = FORMATS.get(image.format)
            if kind is None or max(image.size) > LARGEST_SIDE:
                return None
            image.load()
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I;16") or (image.mode == "I" and kind == "PNM"):
                return kind, high_byte(image)
            if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
                return kind, over_white(np.array(image.convert("RGBA")))
            return kind, np.array(image.convert("RGB"))
    except Exception:  # Pillow raises whatever it likes for files that it does not decode.
        return None


class Ours:
    """The example `preprocess` of clip-model, started anew after it has ended."""

    def __init__(self, program, folder):
        self.program, self.output = program, folder / "pixels"
        self.errors = open(folder / "stderr", "w+b")
        self.process = None

    def decode(self, path):
        """RGB pixels, or the reason for which there are none, and whether the decoder panicked."""
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen([self.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        before = self.errors.seek(0, 2)
        request = {"input": str(path), "output": str(self.output), "step": "decode"}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        self.errors.seek(before)
        printed = self.errors.read().decode(errors="replace").strip()
        if not line or printed:
            return printed or "ended without a word", True
        answer = json.loads(line)
        if "error" in answer:
            return answer["error"], False
        pixels = np.frombuffer(self.output.read_bytes(), np.uint8)
        return pixels.reshape(answer["height"], answer["width"], 3), False


def difference(found, expected):
    """In words, or None."""
    if found.shape != expected.shape:
        return f"{found.shape[1]}x{found.shape[0]} pixels, expected {expected.shape[1]}x{expected.shape[0]}"
    levels = np.abs(found.astype(np.int32) - expected.astype(np.int32)).max(-1)
    if not levels.any():
        return None
    return f"up to {levels.max()} levels on {100 * (levels > 0).mean():.2f} % of the pixels"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="the folder of the built examples, with `preprocess` of clip-model")
    parser.add_argument("folders", type=Path, nargs="+", help="folders with pictures, searched in depth")
    parser.add_argument("--verbose", action="store_true", help="list every picture, not only those that do not come out the same")
    arguments = parser.parse_args()

    counts = collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(arguments.examples / "preprocess", Path(folder))
        for path in sorted(path for folder in arguments.folders for path in folder.rglob("*") if path.is_file()):
            expected = reference(path)
            if expected is None:
                continue
            kind, pixels = expected
            found, panicked = ours.decode(path)
            if panicked:
                outcome, reason = "panicked", found
            elif isinstance(found, str):
                outcome, reason = "refused", found
            else:
                reason = difference(found, pixels)
                outcome = "different" if reason else "same"
            counts[kind][outcome] += 1
            if outcome != "same" or arguments.verbose:
                print(f"{kind} {outcome}: {path}{': ' + reason if reason else ''}")

    outcomes = ("same", "different", "refused", "panicked")
    total = sum(counts.values(), collections.Counter())
    for kind, row in [*sorted(counts.items()), ("all", total)]:
        print(f"{kind:5}", *(f"{row[outcome]:5} {outcome}" for outcome in outcomes))
    return 1 if total["panicked"] else 0


if __name__ == "__main__":
    sys.exit(main())
