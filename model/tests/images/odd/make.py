"""Makes the pictures of this folder, of kinds that programs do write but seldom, and golden.jsonl: what Pillow makes of them.

    python model/tests/images/odd/make.py

A row has the picture's size and the SHA-256 of its packed RGB, by the rule that tests/parity/pictures.py states.
"""

import hashlib
import io
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here.parents[3] / "tests" / "parity"))
import pictures

WIDTH, HEIGHT = 21, 13
SHORT, LONG = 3, 4
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="%d"/></x:xmpmeta>'


def colours(channels=3, width=WIDTH, height=HEIGHT):
    """Gradients and a corner, uint8 [height, width, channels]."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [(x * (9 + 3 * c) + y * (5 + 7 * c) + 40 * c) % 256 for c in range(channels)]
    pixels = np.stack(planes, -1).astype(np.uint8)
    pixels[: height // 3, : width // 3] = [250, 20, 60, 130][:channels]
    return pixels


def encode(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif(orientation, kind):
    """EXIF data whose only entry is the orientation, stored as this type."""
    value = struct.pack("<HH" if kind == SHORT else "<I", *([orientation, 0] if kind == SHORT else [orientation]))
    return b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHI", 274, kind, 1) + value + bytes(4)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_with(png, name, data):
    """With another chunk after the header."""
    return png[:33] + chunk(name, data) + png[33:]


def interlaced():
    """A grey PNG in the order of Adam7, without its end."""
    grey = colours(1)[..., 0]
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = b"".join(b"\0" + row.tobytes() for x, y, across, down in passes for row in grey[y::down, x::across])
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))


def jpeg_with(jpeg, content):
    """With another APP1 segment."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def segments(jpeg):
    """Marker and content up to the scan, then the scan's data."""
    at = 2
    while True:
        marker, length = jpeg[at + 1], struct.unpack(">H", jpeg[at + 2 : at + 4])[0]
        yield marker, jpeg[at + 4 : at + 2 + length]
        at += 2 + length
        if marker == 0xDA:
            yield None, jpeg[at:-2]
            return


def segment(marker, content):
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg_unequal_sampling():
    """12 groups of 4 + 1 + 2 blocks, made of the 28 groups of three blocks of an RGB picture that share their tables."""
    out = b"\xff\xd8"
    for marker, content in segments(encode(Image.fromarray(colours(3, 56, 32)), "JPEG", keep_rgb=True)):
        if marker is None:
            out += content
            continue
        if marker == 0xC0:
            ids = content[6::3]
            content = struct.pack(">BHHB", 8, 48, 64, 3) + b"".join(bytes([i, s, 0]) for i, s in zip(ids, (0x22, 0x11, 0x12)))
        out += segment(marker, content)
    return out + b"\xff\xd9"


def jpeg_three_scans():
    """A baseline scan for each component, from three grey pictures with the same tables."""
    parts = [list(segments(encode(Image.fromarray(colours()[..., c]), "JPEG", quality=90))) for c in range(3)]
    out = b"\xff\xd8"
    for marker, content in parts[0][:-2]:
        if marker == 0xC0:
            content = content[:5] + bytes([3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
        out += segment(marker, content)
    for n, part in enumerate(parts):
        out += segment(0xDA, bytes([1, n + 1, 0, 0, 63, 0])) + part[-1][1]
    return out + b"\xff\xd9"


def tiff(data, order="<", chunks=None, **tags):
    """A TIFF of these pixels: a strip, or `chunks` (tiles where tags say so); tags are t256=(SHORT, 21) or lists."""
    chunks = chunks or [data]
    offsets = (324, 325) if "t322" in tags else (273, 279)
    head = 8
    at = [head + sum(map(len, chunks[:n])) for n in range(len(chunks))]
    entries = {int(name[1:]): value for name, value in tags.items()}
    entries[offsets[0]], entries[offsets[1]] = (LONG, at), (LONG, [len(c) for c in chunks])
    body = b"".join(chunks)
    body += bytes(len(body) % 2)
    start = head + len(body)
    directory = struct.pack(order + "H", len(entries))
    far = start + 2 + 12 * len(entries) + 4
    extra = b""
    for tag in sorted(entries):
        kind, values = entries[tag]
        values = values if isinstance(values, (list, tuple)) else [values]
        packed = struct.pack(order + {SHORT: "H", LONG: "I"}[kind] * len(values), *values)
        directory += struct.pack(order + "HHI", tag, kind, len(values))
        if len(packed) > 4:
            directory += struct.pack(order + "I", far + len(extra))
            extra += packed
        else:
            directory += packed.ljust(4, b"\0")
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "I", start) + body + directory + bytes(4) + extra


def described(photometric, bits, samples=1, compression=1, **more):
    tags = {"t256": (SHORT, WIDTH), "t257": (SHORT, HEIGHT), "t258": (SHORT, [bits] * samples), "t259": (SHORT, compression)}
    return {**tags, "t262": (SHORT, photometric), "t277": (SHORT, samples), "t278": (SHORT, HEIGHT), **more}


def packed(values, bits):
    """Rows of values with `bits` bits each, padded to bytes."""
    rows = (((values[..., None] >> np.arange(bits - 1, -1, -1)) & 1).reshape(len(values), -1) for _ in "1")
    return np.packbits(next(rows).astype(np.uint8), axis=1).tobytes()


def tiffs(rgb):
    grey, alpha = rgb[..., 0], colours(4)[..., 3]
    image = Image.fromarray(rgb)
    palette = image.quantize(200)
    yield "palette.tif", encode(palette, "TIFF")
    for bits in (1, 2, 4):
        levels = (grey >> (8 - bits)).astype(np.uint8)
        map_ = [(65535 * n * (c + 1) // 3 // 2**bits) for c in range(3) for n in range(2**bits)]
        yield f"palette-{bits}.tif", tiff(packed(levels, bits), **described(3, bits, t320=(SHORT, map_)))
        for photometric, name in ((0, "white-is-zero"), (1, "grey")):
            yield f"{name}-{bits}.tif", tiff(packed(levels, bits), **described(photometric, bits))
    reversed_ = bytes(int(f"{byte:08b}"[::-1], 2) for byte in packed(grey >> 4, 4))
    yield "fill-order.tif", tiff(reversed_, **described(1, 4, t266=(SHORT, 2)))
    both = np.stack([grey, alpha], -1)
    yield "grey-alpha.tif", tiff(both.tobytes(), **described(1, 8, 2, t338=(SHORT, 2)))
    yield "palette-alpha.tif", tiff(
        np.stack([grey >> 4, alpha], -1).tobytes(), **described(3, 8, 2, t338=(SHORT, 2), t320=(SHORT, [n * 85 for n in range(768)]))
    )
    yield "rgb-extra.tif", tiff(colours(4).tobytes(), **described(2, 8, 4, t338=(SHORT, 0)))
    yield "float.tif", encode(Image.fromarray(grey.astype(np.float32) * 1.5 - 60), "TIFF")
    yield "signed-16.tif", tiff((grey.astype(np.int16) * 2 - 99).tobytes(), **described(1, 16, t339=(SHORT, 2)))
    for name in ("group3", "group4", "tiff_ccitt"):
        yield f"{name}.tif", encode(image.convert("1"), "TIFF", compression=name)
    yield "group3-2d.tif", encode(image.convert("1"), "TIFF", compression="group3", tiffinfo={292: 1})
    yield "bigtiff.tif", encode(image, "TIFF", big_tiff=True)
    yield "bigtiff-long-orientation.tif", encode(image, "TIFF", big_tiff=True, tiffinfo={274: 6})
    yield "predictor.tif", encode(image, "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    wide = colours(4).astype(np.uint16) * 257
    for order in "<>":
        name = "little" if order == "<" else "big"
        data = wide.astype(order + "u2")
        yield f"rgba16-associated-{name}.tif", tiff(data.tobytes(), order, **described(2, 16, 4, t338=(SHORT, 1)))
        differences = np.diff(wide[..., :3], axis=1, prepend=0).astype(order + "u2")
        yield f"predictor16-{name}.tif", tiff(zlib.compress(differences.tobytes()), order, **described(2, 16, 3, 8, t317=(SHORT, 2)))
        tiles = []
        for c in range(3):
            plane = np.zeros((16, 32), order + "u2")
            plane[:HEIGHT, :WIDTH] = wide[..., c]
            tiles += [plane[:, :16].tobytes(), plane[:, 16:].tobytes()]
        more = {"t284": (SHORT, 2), "t322": (SHORT, 16), "t323": (SHORT, 16)}
        # Compressed, because Pillow's own reader of what is not cannot read such.
        tiles = [zlib.compress(tile) for tile in tiles]
        yield f"tiled-planar16-{name}.tif", tiff(b"", order, tiles, **described(2, 16, 3, 8, **more))
    units = [
        bytes([*rgb[y : y + 2, x : x + 2, 0].ravel(), rgb[y, x, 1], rgb[y, x, 2]]) for y in range(0, HEIGHT - 1, 2) for x in range(0, WIDTH - 1, 2)
    ]
    even = {"t256": (SHORT, WIDTH - 1), "t257": (SHORT, HEIGHT - 1)}
    yield "ycbcr-2x2.tif", tiff(zlib.compress(b"".join(units)), **{**described(6, 8, 3, 8, t530=(SHORT, [2, 2])), **even})
    yield "jpeg-ycbcr.tif", encode(image, "TIFF", compression="jpeg", quality=80)
    yield "cmyk16.tif", tiff(wide.tobytes(), **described(5, 16, 4))


def bmp_header(bits, compression=0, size=40, colours_=0, height=HEIGHT, masks=b""):
    header = struct.pack("<IiiHHIIiiII", size, WIDTH, height, 1, bits, compression, 0, 2835, 2835, colours_, 0) + masks
    return header.ljust(size, b"\0") if len(header) < size else header


def bmp(header, palette, pixels):
    at = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", at + len(pixels), 0, 0, at) + header + palette + pixels


def bmps(rgb):
    rows = lambda values: b"".join(row.tobytes().ljust(-(-row.nbytes // 4) * 4, b"\0") for row in values[::-1])
    fives = rgb.astype(np.uint16) >> 3
    high = fives[..., 0] << 10 | fives[..., 1] << 5 | fives[..., 2] | 0x8000
    masks = struct.pack("<4I", 0x7C00, 0x3E0, 0x1F, 0x8000)
    yield "a1r5g5b5.bmp", bmp(bmp_header(16, 3, 56, masks=masks), b"", rows(high & np.where(rgb[..., 0] > 99, 0x7FFF, 0xFFFF)))
    six = fives[..., 0] << 11 | (rgb[..., 1].astype(np.uint16) >> 2) << 5 | fives[..., 2]
    yield "r5g6b5.bmp", bmp(bmp_header(16, 3, masks=struct.pack("<3I", 0xF800, 0x7E0, 0x1F)), b"", rows(six))
    rgba = colours(4)
    bgra = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    yield "bgra.bmp", bmp(bmp_header(32, 3, 108, masks=bgra), b"", rows(rgba[..., [2, 1, 0, 3]]))
    palette = b"".join(bytes([n * 3 % 256, 255 - n, n * 7 % 256, 0]) for n in range(256))
    runs = b"\x05\x21\0\x04\x01\x02\x03\x04\0\0" + b"\0\x02\x03\x02" + b"\x09\x77" + b"\0\0" + b"\0\x02\x05\x01" + b"\x40\x11" + b"\0\0"
    runs += b"".join(bytes([WIDTH, 9 * n, 0, 0]) for n in range(7)) + b"\0\x02\x00\x09"
    yield "rle8-gaps.bmp", bmp(bmp_header(8, 1), palette, runs)
    nibbles = b"\x05\x21\0\x05\x12\x34\x50\0\0\0" + b"\0\x02\x03\x02" + b"\x09\x7a" + b"\0\0" + b"\0\x02\x00\x0b"
    yield "rle4-gaps.bmp", bmp(bmp_header(4, 2), palette[:64], nibbles)
    indices = rows(rgb[..., 0])
    yield "picture.dib", bmp_header(8) + palette + indices
    core = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, 8)
    yield "os2-1.bmp", bmp(core, b"".join(palette[4 * n : 4 * n + 3] for n in range(256)), indices)
    yield "os2-2.bmp", bmp(bmp_header(8, 0, 64), palette, indices)
    yield "top-down.bmp", bmp(bmp_header(8, height=-HEIGHT), palette, indices)
    yield "short-palette.bmp", bmp(bmp_header(8, colours_=100), palette[:400], indices)


def gifs(rgb):
    gif = bytearray(encode(Image.fromarray(rgb).quantize(32), "GIF"))
    at = gif.index(b",", 13 + 3 * 2 ** ((gif[10] & 7) + 1))
    beyond, smaller = bytearray(gif), bytearray(gif)
    beyond[at + 1 : at + 5] = struct.pack("<HH", 9, 4)
    yield "frame-beyond.gif", bytes(beyond)
    smaller[6:10] = struct.pack("<HH", 40, 30)
    smaller[at + 1 : at + 5] = struct.pack("<HH", 9, 4)
    yield "frame-smaller.gif", bytes(smaller)
    clear = smaller[:at] + b"!\xf9\x04\x01\0\0\x03\0" + smaller[at:]
    yield "frame-smaller-transparent.gif", bytes(clear)
    colours_ = 3 * 2 ** ((gif[10] & 7) + 1)
    bare = gif[:13] + gif[13 + colours_ :]
    bare[10] &= 0x7F
    yield "no-palette.gif", bytes(bare)


def pnms(rgb):
    grey = rgb[..., 0]
    size = b"\n# a comment\n%d %d\n" % (WIDTH, HEIGHT)
    words = lambda values: b" ".join(b"%d" % v for v in values.ravel())
    bits = (grey > 128).astype(np.uint8)
    yield "plain.pbm", b"P1" + size + b"\n".join(b"".join(b"%d" % v for v in row) for row in bits)
    yield "raw.pbm", b"P4" + size + packed(bits, 1)
    yield "plain.pgm", b"P2" + size + b"100\n" + words(grey % 101)
    yield "plain.ppm", b"P3" + size + b"255\n" + words(rgb)
    yield "raw.pgm", b"P5" + size + b"255\n" + grey.tobytes()
    yield "raw15.ppm", b"P6" + size + b"15\n" + (rgb >> 4).tobytes()
    wide = grey.astype(">u2") * 200
    yield "raw16.pgm", b"P5" + size + b"65535\n" + wide.astype(">u2").tobytes()
    yield "raw1000.ppm", b"P6" + size + b"1000\n" + (rgb.astype(np.uint16) * 3).astype(">u2").tobytes()
    for scale, order in ((b"-1.0", "<"), (b"1.0", ">")):
        yield f"floats{'-big' * (order == '>')}.pfm", b"Pf\n%d %d\n" % (WIDTH, HEIGHT) + scale + b"\n" + (grey * 1.5 - 60).astype(order + "f4").tobytes()


def files():
    rgb = colours()
    image = Image.fromarray(rgb)
    jpeg, png = encode(image, "JPEG", quality=90), encode(image, "PNG")
    for kind, name in ((SHORT, "short"), (LONG, "long")):
        yield f"orientation-{name}.jpg", jpeg_with(jpeg, b"Exif\0\0" + exif(6, kind))
        yield f"orientation-{name}.png", png_with(png, b"eXIf", exif(5, kind))
        for prefix in (b"", b"Exif\0\0"):
            yield f"orientation-{name}{'-prefix' * bool(prefix)}.webp", encode(image, "WEBP", lossless=True, exif=prefix + exif(7, kind))
    yield "orientation-xmp.jpg", jpeg_with(jpeg, b"http://ns.adobe.com/xap/1.0/\0" + XMP % 8)
    yield "orientation-xmp.png", png_with(png, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP % 3)
    yield "orientation-xmp.webp", encode(image, "WEBP", lossless=True, xmp=XMP % 2)
    yield "orientation-text.png", png_with(png, b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n      26\n" + exif(8, SHORT).hex().encode()))
    yield "no-end.png", png[:-12]
    yield "no-checksum.png", png[:-17]
    yield "interlaced-no-end.png", interlaced()
    wide = (colours(1, WIDTH, HEIGHT)[..., 0].astype(">u2") * 257).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 0, 0, 0, 0))
    transparent = chunk(b"tRNS", struct.pack(">H", int(wide[5, 15])))
    yield "grey16-transparent.png", png[:8] + header + transparent + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    yield "sampling-unequal.jpg", jpeg_unequal_sampling()
    yield "three-scans.jpg", jpeg_three_scans()
    for make in (tiffs, bmps, gifs, pnms):
        yield from make(rgb)


def main():
    lines = []
    for name, encoded in files():
        path = here / name
        path.write_bytes(encoded)
        found = pictures.reference(path)
        if found is None:
            sys.exit(f"Pillow does not open {name}")
        pixels = found[1]
        row = {"file": name, "width": pixels.shape[1], "height": pixels.shape[0]}
        lines.append(json.dumps({**row, "decoded": hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest()}) + "\n")
    (here / "golden.jsonl").write_text("".join(lines))


if __name__ == "__main__":
    main()
