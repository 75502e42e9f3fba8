"""Compares clip-model's preprocessing with Pillow and open_clip's transform; exits with 1 outside the tolerance.

    python tests/parity/preprocess.py target/release/examples [--data ../shared/data] [--verbose]

Pictures of odd shapes and of every kind are made here from a seed; photos come from the data folder. For each:
  decode     the decoded pixels against Pillow's                                   (reported)
  fit        the pixels after resize and crop, both resize modes and both filters  (at most 1 level off, 0.1 % of pixels)
  resize     the same, but of Pillow's own decoded pixels: our resampling alone    (must be equal)
  normalize  the tensor against torchvision's, of equal pixels                     (at most 1e-6)

The reference is `transform(image.convert("RGB"))`, with these stated differences, which the reference here follows:
transparent pixels over white (Pillow's convert drops the alpha channel), EXIF orientation applied (the reference ignores
it; both are compared), 16-bit grey by its high byte (Pillow clips some modes to 255).
"""

import argparse
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
from PIL import Image, ImageOps
from torchvision.transforms import ToTensor

SEED = 2103_00020
SIZE = 224
LARGEST_DIFFERENCE = 1
LARGEST_SHARE = 0.001
OPENAI_MEAN, OPENAI_STD = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD


@dataclass
class Case:
    name: str
    encoded: bytes
    # What must come out when orientation is applied; None: what Pillow decodes.
    rgb: np.ndarray | None = None


def picture(rng, width, height, channels=3):
    """Smooth colour, an edge, a disc and a little noise, uint8 [height, width, channels]."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = []
    for _ in range(channels):
        a, b, c, d = rng.uniform(-6, 6, 4)
        plane = 127 + 70 * np.sin(a * x / width + b * y / height + c) + 40 * np.cos(d * x * y / (width * height))
        cx, cy, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.1, 0.5) * min(width, height)
        plane = np.where((x - cx) ** 2 + (y - cy) ** 2 < r * r, 255 - plane, plane)
        plane = np.where(x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1) > 0, plane, plane * 0.6)
        planes.append(plane + rng.normal(0, 6, plane.shape))
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def encode(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png16(values):
    """A PNG of 16-bit samples, which Pillow does not write; uint16 [height, width, channels]."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def over_white(rgba):
    """uint8 [height, width, 4] over white, rounded to nearest."""
    rgba = rgba.astype(np.int64)
    alpha = rgba[..., 3:]
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def made_up(rng):
    cases = []

    def add(name, encoded, rgb=None):
        cases.append(Case(name, encoded, rgb))

    shapes = [(224, 224), (500, 375), (375, 500), (1, 1), (1, 4000), (4000, 1), (2, 3), (3000, 40), (37, 901)]
    shapes += [(223, 224), (225, 224), (1023, 767), (100, 100), (447, 449), (5, 224), (1600, 1200), (17, 16), (500, 1500), (400, 2100)]
    for width, height in shapes:
        add(f"{width}x{height}.png", encode(Image.fromarray(picture(rng, width, height)), "PNG"))
        add(f"{width}x{height}.jpg", encode(Image.fromarray(picture(rng, width, height)), "JPEG", quality=90))
    rgb = Image.fromarray(picture(rng, 331, 247))
    rgba = Image.fromarray(picture(rng, 331, 247, 4))
    grey = rgb.convert("L")
    palette = rgb.quantize(64)

    for sampling in ("4:4:4", "4:2:2", "4:2:0"):
        for progressive in (False, True):
            options = {"quality": 80, "subsampling": sampling, "progressive": progressive}
            add(f"{sampling}{'-progressive' * progressive}.jpg", encode(rgb, "JPEG", **options))
    for quality in (5, 50, 100):
        add(f"quality-{quality}.jpg", encode(rgb, "JPEG", quality=quality))
    add("restarts.jpg", encode(rgb, "JPEG", restart_marker_rows=1))
    add("rgb.jpg", encode(rgb, "JPEG", keep_rgb=True))
    add("grey.jpg", encode(grey, "JPEG"))
    add("cmyk.jpg", encode(rgb.convert("CMYK"), "JPEG"))
    add("cmyk-progressive.jpg", encode(rgb.convert("CMYK"), "JPEG", progressive=True))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
            if kind == "JPEG" or orientation in (3, 6):
                options = {"lossless": True} if kind == "WEBP" else {}
                add(f"orientation-{orientation}.{kind.lower()}", encode(rgb, kind, exif=exif, **options))

    add("grey.png", encode(grey, "PNG"))
    add("rgba.png", encode(rgba, "PNG"))
    add("grey-alpha.png", encode(rgba.convert("LA"), "PNG"))
    add("palette.png", encode(palette, "PNG"))
    add("palette-transparent.png", encode(palette, "PNG", transparency=bytes(range(0, 256, 4))))
    add("grey-transparent.png", encode(grey, "PNG", transparency=128))
    add("rgb-transparent.png", encode(rgb, "PNG", transparency=rgb.getpixel((9, 9))))
    add("bits.png", encode(rgb.convert("1"), "PNG"))
    add("palette-4-bits.png", encode(rgb.quantize(16), "PNG", bits=4))
    for channels in (1, 2, 3, 4):
        values = rng.integers(0, 65536, (131, 97, channels)).astype(np.uint16)
        high = (values >> 8).astype(np.uint8)
        colours = high[..., :1].repeat(3, -1) if channels < 3 else high[..., :3]
        if channels % 2 == 0:
            colours = over_white(np.concatenate([colours, high[..., -1:]], -1))
        add(f"16-bit-{channels}.png", png16(values), colours)

    add("lossy.webp", encode(rgb, "WEBP", quality=80))
    add("lossless.webp", encode(rgb, "WEBP", lossless=True))
    add("alpha.webp", encode(rgba, "WEBP", lossless=True, exact=True))
    frames = [Image.fromarray(picture(rng, 120, 90)) for _ in range(3)]
    for kind, options in (("WEBP", {"lossless": True}), ("GIF", {}), ("PNG", {})):
        add(f"animated.{kind.lower()}", encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options))
    add("palette.gif", encode(palette, "GIF"))
    add("transparent.gif", encode(palette, "GIF", transparency=5))
    add("interlaced.gif", encode(palette, "GIF", interlace=1))
    for mode in ("RGB", "L", "P", "1"):
        add(f"{mode}.bmp", encode(palette if mode == "P" else rgb.convert(mode), "BMP"))
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        add(f"{compression}.tiff", encode(rgb, "TIFF", compression=compression))
    add("rgba.tiff", encode(rgba, "TIFF"))
    add("grey.tiff", encode(grey, "TIFF"))
    add("bits.tiff", encode(rgb.convert("1"), "TIFF"))
    add("palette.tiff", encode(palette, "TIFF"))
    add("cmyk.tiff", encode(rgb.convert("CMYK"), "TIFF"))
    values = rng.integers(0, 65536, (97, 131)).astype(np.uint16)
    add("16-bit.tiff", encode(Image.fromarray(values), "TIFF"), (values >> 8).astype(np.uint8)[..., None].repeat(3, -1))
    return cases


def photos(data):
    """The photos of the data folder, of each kind the first hundred."""
    cases = []
    for archive in sorted(data.rglob("*.tar")):
        with tarfile.open(archive) as tar:
            members = [m for m in tar if m.name.rsplit(".", 1)[-1] in ("jpg", "jpeg", "png", "webp")]
            for member in members[:100]:
                cases.append(Case(f"{archive.stem}/{member.name}", tar.extractfile(member).read()))
    return cases


def pillow_rgb(case, orient):
    image = Image.open(io.BytesIO(case.encoded))
    if orient:
        image = ImageOps.exif_transpose(image)
    if case.rgb is not None:
        return case.rgb
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return over_white(np.array(image.convert("RGBA")))
    return np.array(image.convert("RGB"))


def run_ours(program, requests):
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    result = subprocess.run([program], input=lines, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{program}: {result.stderr}")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(answers) == len(requests)
    return answers


def reference_transform(mode, interpolation):
    transform = open_clip.image_transform(
        SIZE, is_train=False, mean=OPENAI_MEAN, std=OPENAI_STD, resize_mode=mode, interpolation=interpolation
    )
    names = [type(step).__name__ if not callable(getattr(step, "__name__", None)) else step for step in transform.transforms]
    until = next(i for i, step in enumerate(transform.transforms) if isinstance(step, ToTensor))
    assert type(transform.transforms[-1]).__name__ == "Normalize", names
    return transform.transforms[:until], transform.transforms[until:]


class Tally:
    """Differences of one comparison over all pictures."""

    def __init__(self, name, limit, share, required=True):
        self.name, self.limit, self.share, self.required = name, limit, share, required
        self.pictures = self.equal = self.largest = 0
        self.largest_share = 0.0
        self.outside = []

    def add(self, name, found, expected):
        self.pictures += 1
        if found.shape != expected.shape:
            self.outside.append(f"{name}: shape {found.shape}, expected {expected.shape}")
            return
        difference = np.abs(found.astype(np.int32) - expected.astype(np.int32)).max(-1)
        largest, share = int(difference.max()), float((difference > 0).mean())
        self.equal += largest == 0
        self.largest, self.largest_share = max(self.largest, largest), max(self.largest_share, share)
        if largest > self.limit or share > self.share:
            self.outside.append(f"{name}: up to {largest} levels, {100 * share:.3f} % of pixels")

    def report(self, verbose):
        print(
            f"{self.name}: {self.pictures} pictures, {self.equal} equal; up to {self.largest} levels, up to "
            f"{100 * self.largest_share:.3f} % of a picture's pixels; {len(self.outside)} outside "
            f"{self.limit} level(s) and {100 * self.share:g} %{'' if self.required else ' (reported only)'}"
        )
        for line in self.outside[: None if verbose else 5]:
            print(f"    {line}")
        return len(self.outside) if self.required else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="the folder of the built examples, with `preprocess` of clip-model")
    root = Path(__file__).resolve().parents[2]
    default = Path(os.environ.get("CLIP_DATA", root.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--verbose", action="store_true", help="list every picture outside the tolerance")
    arguments = parser.parse_args()
    program = arguments.examples / "preprocess"

    cases = made_up(np.random.default_rng(SEED))
    print(f"{len(cases)} pictures made from seed {SEED}")
    if arguments.data.is_dir():
        real = photos(arguments.data)
        print(f"{len(real)} pictures of the data folder")
        cases += real
    else:
        print(f"skipped: photos of the data folder ({arguments.data} is not there), see README")

    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for i, case in enumerate(cases):
            (folder / f"{i}").write_bytes(case.encoded)
            Image.fromarray(pillow_rgb(case, True)).save(folder / f"{i}.pillow.png", compress_level=1)

        def ours(step, suffix="", chosen=range(len(cases)), **preprocess):
            fields = {"size": SIZE, **preprocess}
            requests = [
                {"input": f"{folder}/{i}{suffix}", "output": f"{folder}/{i}.out", "step": step, "preprocess": fields} for i in chosen
            ]
            rows = []
            for start in range(0, len(requests), 32):
                part = requests[start : start + 32]
                for request, answer in zip(part, run_ours(program, part)):
                    if "error" in answer:
                        rows.append(answer["error"])
                        continue
                    data = Path(request["output"]).read_bytes()
                    if step == "normalize":
                        rows.append(np.frombuffer(data, np.float32).reshape(3, SIZE, SIZE))
                    else:
                        rows.append(np.frombuffer(data, np.uint8).reshape(answer["height"], answer["width"], 3))
            return rows

        decoded = ours("decode")
        failed = [f"    {case.name}: {row}" for case, row in zip(cases, decoded) if isinstance(row, str)]
        if failed:
            print("not decoded:", *failed, sep="\n")
            wrong += len(failed)
        good = [i for i, row in enumerate(decoded) if not isinstance(row, str)]

        for orient in (True, False):
            rows = decoded if orient else ours("decode", apply_exif_orientation=False)
            chosen = good if orient else [i for i in good if cases[i].name.startswith("orientation")]
            tally = Tally(f"decode, orientation {'applied' if orient else 'ignored'}", 1, 0.001, required=False)
            for i in chosen:
                tally.add(cases[i].name, rows[i], pillow_rgb(cases[i], orient))
            wrong += tally.report(arguments.verbose)

        for mode in ("shortest", "squash"):
            for interpolation in ("bicubic", "bilinear"):
                pixels, tensor = reference_transform(mode, interpolation)
                options = {"resize_mode": mode, "interpolation": interpolation}
                expected = []
                for i in range(len(cases)):
                    image = Image.open(folder / f"{i}.pillow.png").convert("RGB")
                    for step in pixels:
                        image = step(image)
                    expected.append(image)
                alone = Tally(f"resize, {mode}, {interpolation}", 0, 0.0)
                both = Tally(f"fit, {mode}, {interpolation}", LARGEST_DIFFERENCE, LARGEST_SHARE)
                for i, found in enumerate(ours("fit", ".pillow.png", **options)):
                    alone.add(cases[i].name, found, np.array(expected[i]))
                for i, found in zip(good, ours("fit", chosen=good, **options)):
                    both.add(cases[i].name, found, np.array(expected[i]))
                wrong += alone.report(arguments.verbose) + both.report(arguments.verbose)
                if (mode, interpolation) == ("shortest", "bicubic"):
                    largest = 0.0
                    for i, found in enumerate(ours("normalize", ".pillow.png", **options)):
                        image = expected[i]
                        for step in tensor:
                            image = step(image)
                        largest = max(largest, float(np.abs(found - image.numpy()).max()))
                    print(f"normalize: {len(cases)} pictures, max abs difference {largest:.2e} (at most 1e-6)")
                    wrong += largest > 1e-6

    print("equal within the tolerance" if not wrong else f"{wrong} outside the tolerance")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
