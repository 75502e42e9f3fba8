"""Makes the pictures of this folder, and golden.jsonl: what Pillow and torchvision make of them.

    python model/tests/images/make.py

The hashes are SHA-256 of packed RGB: `decoded` of the whole picture (over white, orientation applied), the others of the
picture at 32 pixels after open_clip's resize and crop.
"""

import hashlib
import io
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here.parents[2] / "tests" / "parity"))
import preprocess as parity

SIZE = 32


def pictures(rng):
    """Name, encoded bytes, and the pixels where Pillow alone does not give them."""

    def image(width, height, channels=3):
        return Image.fromarray(parity.picture(rng, width, height, channels))

    def orientation(value):
        exif = Image.Exif()
        exif[0x0112] = value
        return exif

    encode = parity.encode
    rgb, rgba = image(45, 31), image(45, 31, 4)
    flat = Image.new("RGB", (1, 4000), (10, 200, 90))
    flat.paste((250, 20, 60), (0, 1990, 1, 2010))
    yield "portrait.png", encode(image(20, 45), "PNG"), None
    yield "panorama.png", encode(image(300, 9), "PNG"), None
    yield "one-pixel.png", encode(image(1, 1), "PNG"), None
    yield "1x4000.png", encode(flat, "PNG"), None
    yield "tall.jpg", encode(image(50, 190), "JPEG"), None
    yield "colour.jpg", encode(rgb, "JPEG", quality=85), None
    yield "progressive.jpg", encode(rgb, "JPEG", progressive=True, subsampling="4:2:2"), None
    yield "grey.jpg", encode(rgb.convert("L"), "JPEG"), None
    yield "cmyk.jpg", encode(rgb.convert("CMYK"), "JPEG"), None
    yield "rotated.jpg", encode(rgb, "JPEG", exif=orientation(6)), None
    yield "rotated.tiff", encode(rgb, "TIFF", exif=orientation(8), compression="tiff_lzw"), None
    yield "grey.png", encode(rgb.convert("L"), "PNG"), None
    yield "grey-alpha.png", encode(rgba.convert("LA"), "PNG"), None
    yield "rgba.png", encode(rgba, "PNG"), None
    palette = rgb.quantize(16)
    yield "palette-transparent.png", encode(palette, "PNG", transparency=bytes(range(0, 256, 16))), None
    values = rng.integers(0, 65536, (31, 45, 3)).astype(np.uint16)
    yield "16-bit.png", parity.png16(values), (values >> 8).astype(np.uint8)
    frames = [image(33, 20) for _ in range(3)]
    yield "animated.gif", encode(frames[0], "GIF", save_all=True, append_images=frames[1:]), None
    yield "lossy.webp", encode(rgb, "WEBP", quality=80), None
    yield "alpha.webp", encode(rgba, "WEBP", lossless=True, exact=True), None
    yield "palette.bmp", encode(palette, "BMP"), None
    yield "cmyk.tiff", encode(rgb.convert("CMYK"), "TIFF", compression="tiff_adobe_deflate"), None


def sha256(pixels):
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def main():
    parity.SIZE = SIZE
    lines = []
    for name, encoded, rgb in pictures(np.random.default_rng(parity.SEED)):
        (here / name).write_bytes(encoded)
        pixels = parity.pillow_rgb(parity.Case(name, encoded, rgb), orient=True)
        row = {"file": name, "width": pixels.shape[1], "height": pixels.shape[0], "decoded": sha256(pixels)}
        for mode, interpolation in (("shortest", "bicubic"), ("squash", "bilinear")):
            image = Image.fromarray(pixels)
            for step in parity.reference_transform(mode, interpolation)[0]:
                image = step(image)
            row[mode] = sha256(np.array(image))
        lines.append(json.dumps(row) + "\n")
    (here / "golden.jsonl").write_text("".join(lines))


if __name__ == "__main__":
    main()
