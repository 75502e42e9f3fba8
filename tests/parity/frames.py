"""Compares clip-model's way from a camera's frame to a model's pixels with full-size RGB and Pillow; exits with 1 outside the tolerance.

    python tests/parity/frames.py target/release/examples [--data ../shared/data] [--verbose]

Frames are made of photos of the data folder and of pictures made here from a seed, in all formats, colour matrices and ranges, also of small odd sizes, with
strides, crops and orientations. The references go by way of RGB at full size, are cropped and turned there, and resized by Pillow:
  linear    planes to RGB in NumPy as the formats are defined, each colour sample repeated, neither rounded nor cut to 0..255 before Pillow has resized it
            in floating point: RGB and grey must be equal to the cut way below; YUV at most 1 level off, on at most 2 % of the samples
  cut       the same, but rounded and cut at full size, as every conversion does it
  swscale   FFmpeg's conversion (PyAV, `make .deps/frames`), exact rounding, chroma repeated

Where a frame has colours that RGB does not have, the two ways differ: full-size RGB is cut before it is resized, ours after. Cameras' frames have such colours at the
edges of saturated things, since a colour sample there is a mean of two sides. So the cut ways are compared with a limit on the share of samples alone (more than
2 levels on at most 1 % of all samples), and photos with what the original picture, before it was made into planes, gives: ours must be as near to it as
the cut way, within 1 %.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(ROOT / ".deps" / "frames"))

import numpy as np
from PIL import Image, ImageOps

import preprocess as pictures

try:
    import av
except ImportError:
    av = None

SEED = 2103_00020
SIZE = 224
KR_KB = {601: (0.299, 0.114), 709: (0.2126, 0.0722), 2020: (0.2627, 0.0593)}
YUV = ["nv12", "nv21", "i420", "yuyv", "uyvy"]
FORMATS = ["rgb", "bgr", "rgba", "bgra", "rgbp", "gray8", "gray16"] + YUV
FFMPEG = {
    "rgb": "rgb24", "bgr": "bgr24", "rgba": "rgba", "bgra": "bgra", "gray8": "gray",
    "nv12": "nv12", "nv21": "nv21", "i420": "yuv420p", "yuyv": "yuyv422", "uyvy": "uyvy422",
}  # fmt: skip
TURNS = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"}


@dataclass
class Frame:
    """Planes, uint8 [rows, stride], and what our program is told of them."""

    name: str
    format: str
    width: int
    height: int
    planes: list
    matrix: int = 709
    full: bool = False
    levels: tuple = (0, 65535)
    crop: tuple | None = None
    orientation: int = 1
    mode: str = "shortest"
    interpolation: str = "bicubic"
    # The picture that it was made of.
    source: np.ndarray | None = None


def to_rgb(matrix: int, full: bool) -> np.ndarray:
    """Y, U, V less their zeros to red, green, blue: ITU-T H.273."""
    red, blue = KR_KB[matrix]
    green = 1 - red - blue
    luma, chroma = (1, 1) if full else (255 / 219, 255 / 224)
    u, v = 2 * (1 - blue) * chroma, 2 * (1 - red) * chroma
    return np.array([[luma, 0, v], [luma, -u * blue / green, -v * red / green], [luma, u, 0]])


def halved(plane: np.ndarray, rows: bool) -> np.ndarray:
    """The mean of two columns and, with `rows`, two rows; of an odd size the last stands for itself."""
    height, width = plane.shape
    plane = np.pad(plane, ((0, height % 2 if rows else 0), (0, width % 2)), mode="edge")
    plane = (plane[:, 0::2] + plane[:, 1::2]) / 2
    return (plane[0::2] + plane[1::2]) / 2 if rows else plane


def byte(plane: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)


def padded(plane: np.ndarray, pad: int) -> np.ndarray:
    """Rows that are followed by `pad` bytes of something else."""
    return np.pad(plane, ((0, 0), (0, pad)), constant_values=201)


def make(name: str, rgb: np.ndarray, format: str, pad: int = 0, **more) -> Frame:
    """A frame of a picture, uint8 [height, width, 3]."""
    height, width, _ = rgb.shape
    frame = Frame(name, format, width, height, [], **more)
    packed = lambda channels: np.ascontiguousarray(channels).reshape(height, -1)
    grey = np.asarray(Image.fromarray(rgb).convert("L"))
    if format in ("rgb", "bgr"):
        planes = [packed(rgb if format == "rgb" else rgb[..., ::-1])]
    elif format in ("rgba", "bgra"):
        ordered = rgb if format == "rgba" else rgb[..., ::-1]
        planes = [packed(np.dstack([ordered, grey[..., None]]))]
    elif format == "rgbp":
        planes = [packed(rgb[..., channel]) for channel in range(3)]
    elif format == "gray8":
        planes = [grey]
    elif format == "gray16":
        low, high = min(frame.levels), max(frame.levels)
        # Beyond both levels, too.
        values = low + (grey.astype(float) - 20) / 215 * (high - low)
        planes = [np.clip(values, 0, 65535).astype("=u2").view(np.uint8)]
    else:
        zero = np.array([0 if frame.full else 16, 128, 128])
        y, u, v = np.moveaxis(rgb.astype(float) @ np.linalg.inv(to_rgb(frame.matrix, frame.full)).T + zero, -1, 0)
        y, (u, v) = byte(y), (byte(halved(plane, format in ("nv12", "nv21", "i420"))) for plane in (u, v))
        if format == "i420":
            planes = [y, u, v]
        elif format in ("nv12", "nv21"):
            both = np.dstack([u, v] if format == "nv12" else [v, u])
            planes = [y, both.reshape(both.shape[0], -1)]
        else:
            y = np.pad(y, ((0, 0), (0, width % 2)), mode="edge")
            order = [y[:, 0::2], u, y[:, 1::2], v] if format == "yuyv" else [u, y[:, 0::2], v, y[:, 1::2]]
            planes = [np.dstack(order).reshape(height, -1)]
    frame.planes = [padded(plane, pad) for plane in planes]
    return frame


def exact(frame: Frame, cut: bool = True) -> np.ndarray:
    """RGB at full size, as the formats are defined; of YUV without `cut` neither rounded nor cut."""
    width, height, planes = frame.width, frame.height, frame.planes
    first = planes[0]
    if frame.format in ("rgb", "bgr", "rgba", "bgra"):
        step = len(frame.format)
        rgb = first[:, : step * width].reshape(height, width, step)[..., :3]
        return np.ascontiguousarray(rgb if frame.format.startswith("rgb") else rgb[..., ::-1])
    if frame.format == "rgbp":
        return np.dstack([plane[:, :width] for plane in planes])
    if frame.format == "gray8":
        return np.dstack([first[:, :width]] * 3)
    if frame.format == "gray16":
        black, white = frame.levels
        values = np.ascontiguousarray(first[:, : 2 * width]).view("=u2").astype(float)
        # Halves up.
        return np.dstack([np.floor(np.clip((values - black) / (white - black), 0, 1) * 255 + 0.5).astype(np.uint8)] * 3)
    columns = (width + 1) // 2
    if frame.format == "i420":
        y, u, v = first[:, :width], planes[1][:, :columns], planes[2][:, :columns]
    elif frame.format in ("nv12", "nv21"):
        both = planes[1][:, : 2 * columns]
        y, u, v = first[:, :width], both[:, 0::2], both[:, 1::2]
        u, v = (u, v) if frame.format == "nv12" else (v, u)
    else:
        row = first[:, : 4 * columns]
        at = 0 if frame.format == "yuyv" else 1
        y, u, v = row[:, at::2][:, :width], row[:, 1 - at :: 4], row[:, 3 - at :: 4]
    if len(u) != height:
        u, v = u.repeat(2, 0)[:height], v.repeat(2, 0)[:height]
    u, v = u.repeat(2, 1)[:, :width], v.repeat(2, 1)[:, :width]
    yuv = np.dstack([y, u, v]).astype(float) - [0 if frame.full else 16, 128, 128]
    rgb = yuv @ to_rgb(frame.matrix, frame.full).T
    return byte(rgb) if cut else rgb


def swscale(frame: Frame) -> np.ndarray | None:
    """RGB at full size by FFmpeg, with its exact rounding; None for what it is not asked."""
    if av is None or frame.format not in FFMPEG:
        return None
    # Of an odd size it would take colour samples from places of its own: what is left over is repeated, and cut away again.
    odd = (frame.height % 2, frame.width % 2) if frame.format in YUV else (0, 0)
    given = av.VideoFrame(frame.width + odd[1], frame.height + odd[0], FFMPEG[frame.format])
    for plane, ours in zip(given.planes, frame.planes):
        to = np.zeros((plane.height, plane.line_size), np.uint8)
        row = min(plane.line_size, ours.shape[1])
        to[: len(ours), :row] = ours[:, :row]
        if plane.height > len(ours):
            to[-1] = to[-2]
        if odd[1] and plane.width == given.width and frame.format in ("nv12", "nv21", "i420"):
            to[:, frame.width] = to[:, frame.width - 1]
        plane.update(to.tobytes())
    given.colorspace = {601: 5, 709: 1, 2020: 9}[frame.matrix]
    given.color_range = 2 if frame.full else 1
    kinds = av.video.reformatter.Interpolation
    flags = kinds.POINT | kinds.ACCURATE_RND | kinds.FULL_CHR_H_INT | kinds.FULL_CHR_H_INP
    converted = av.video.reformatter.VideoReformatter().reformat(
        given, format="rgb24", src_colorspace=given.colorspace, dst_colorspace=given.colorspace,
        src_color_range=given.color_range, dst_color_range=2, interpolation=flags,
    )  # fmt: skip
    return np.ascontiguousarray(converted.to_ndarray()[: frame.height, : frame.width])


def fitted(frame: Frame, rgb: np.ndarray) -> np.ndarray:
    """Cropped, turned, and as Pillow and torchvision fit it; uint8 in 8 bits, others in floating point, cut at the end."""
    if rgb.dtype != np.uint8:
        return byte(np.dstack([fit_image(frame, Image.fromarray(plane.astype(np.float32))) for plane in np.moveaxis(rgb, -1, 0)]))
    return fit_image(frame, Image.fromarray(rgb))


def fit_image(frame: Frame, image: Image.Image) -> np.ndarray:
    if frame.crop:
        left, top, width, height = frame.crop
        image = image.crop((left, top, left + width, top + height))
    if frame.orientation in TURNS:
        image = image.transpose(getattr(Image.Transpose, TURNS[frame.orientation]))
    steps, _ = pictures.reference_transform(frame.mode, frame.interpolation)
    for step in steps:
        # The step between is open_clip's conversion to RGB.
        if type(step).__module__.startswith("torchvision"):
            image = step(image)
    return np.asarray(image)


def ours(program: Path, frames: list[Frame], folder: Path) -> list[np.ndarray]:
    requests = []
    for i, frame in enumerate(frames):
        (folder / f"{i}").write_bytes(b"".join(plane.tobytes() for plane in frame.planes))
        request = {"input": f"{folder}/{i}", "output": f"{folder}/{i}.out", "format": frame.format}
        request |= {"width": frame.width, "height": frame.height, "matrix": frame.matrix, "full": frame.full}
        request |= {"strides": [plane.shape[1] for plane in frame.planes] + [0] * (3 - len(frame.planes))}
        request |= {"levels": frame.levels, "crop": frame.crop, "orientation": frame.orientation}
        request |= {"preprocess": {"size": SIZE, "resize_mode": frame.mode, "interpolation": frame.interpolation}}
        requests.append(request)
    for request, answer in zip(requests, pictures.run_ours(program, requests)):
        if "error" in answer:
            sys.exit(f"{request}: {answer['error']}")
    return [np.frombuffer((folder / f"{i}.out").read_bytes(), np.uint8).reshape(SIZE, SIZE, 3) for i in range(len(frames))]


def made_up(rng) -> list[Frame]:
    """Small odd sizes in every format, with padding, crops and all orientations, matrices and ranges in turns."""
    frames = []
    sizes = [(1, 1), (2, 1), (3, 2), (5, 7), (17, 16), (37, 901), (901, 37), (223, 225), (333, 251), (447, 449), (641, 479)]
    number = 0
    for width, height in sizes:
        picture = pictures.picture(rng, width, height)
        for format in FORMATS:
            number += 1
            crop = None
            if number % 3 == 0 and width > 4 and height > 4:
                left, top = number % (width // 2), number % (height // 2)
                crop = (left, top, width - left - number % 2, height - top - number % 3)
            frames.append(
                make(
                    f"{format} {width}x{height} number {number}", picture, format, pad=number % 4 * 2, crop=crop,
                    orientation=number % 8 + 1, matrix=[601, 709, 2020][number % 3], full=number % 4 < 2,
                    levels=[(0, 65535), (5000, 9000), (60000, 300)][number % 3],
                    mode=["shortest", "squash"][number // 2 % 2], interpolation=["bicubic", "bilinear"][number // 3 % 2],
                )  # fmt: skip
            )
    return frames


def of_photos(data: Path) -> list[Frame]:
    """Photos as they are and at 1920x1080, in all formats, matrices and ranges in turns."""
    frames = []
    chosen = sorted((case for case in pictures.photos(data / "photos") if case.name.endswith(("jpg", "jpeg"))), key=lambda c: -len(c.encoded))
    for number, case in enumerate(chosen[:24]):
        rgb = pictures.pillow_rgb(case, True)
        large = np.asarray(ImageOps.fit(Image.fromarray(rgb), (1920, 1080), Image.Resampling.LANCZOS))
        for of, picture in (("", rgb), (" at 1080p", large)):
            for format in FORMATS[number % 2 :: 2] if of else FORMATS[1 - number % 2 :: 2]:
                matrix, full = [601, 709, 2020][number % 3], number % 4 == 0
                frames.append(make(f"{format} {case.name}{of}", picture, format, matrix=matrix, full=full, source=picture))
    return frames


class Tally:
    """Differences of one comparison: at most `limit` levels, and more than `few` levels on at most `share` of all samples."""

    def __init__(self, name: str, limit: int, few: int, share: float):
        self.name, self.limit, self.few, self.share = name, limit, few, share
        self.frames = self.equal = self.largest = self.samples = 0
        self.beyond = np.zeros(256, int)
        self.outside = []

    def add(self, name: str, found: np.ndarray, expected: np.ndarray) -> None:
        difference = np.abs(found.astype(int) - expected.astype(int))
        largest = int(difference.max())
        self.frames += 1
        self.samples += difference.size
        counts = np.bincount(difference.ravel(), minlength=256)
        self.beyond += counts.sum() - np.cumsum(counts)
        self.equal += largest == 0
        self.largest = max(self.largest, largest)
        if largest > self.limit:
            self.outside.append(f"{name}: up to {largest} levels")

    def report(self, verbose: bool) -> int:
        shares = ", ".join(f"more than {few} on {self.beyond[few] / self.samples:.1e}" for few in (0, 1, 2, 4))
        print(f"{self.name}: {self.frames} frames, {self.equal} equal; up to {self.largest} levels; {shares} of all samples; {len(self.outside)} outside")
        for line in self.outside[: None if verbose else 5]:
            print(f"    {line}")
        wrong = len(self.outside)
        if self.beyond[self.few] > self.share * self.samples:
            print(f"    more than {self.few} levels on more than {self.share:g} of the samples")
            wrong += 1
        return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="the folder of the built examples, with `frames` of clip-model")
    default = Path(os.environ.get("CLIP_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--verbose", action="store_true", help="list every frame outside the tolerance")
    arguments = parser.parse_args()

    groups = {"made up": made_up(np.random.default_rng(SEED))}
    if arguments.data.is_dir():
        groups["photos"] = of_photos(arguments.data)
    else:
        print(f"skipped: photos of the data folder ({arguments.data} is not there), see README")
    if av is None:
        print("skipped: FFmpeg's swscale (make .deps/frames brings it)")

    wrong = 0
    for group, frames in groups.items():
        with tempfile.TemporaryDirectory() as folder:
            found = ours(arguments.examples / "frames", frames, Path(folder))
        flat = Tally(f"{group}, RGB and grey", 0, 0, 0.0)
        linear = Tally(f"{group}, YUV, linear", 1, 0, 0.02)
        cut = Tally(f"{group}, YUV, cut at full size", 255, 2, 0.01)
        others = [Tally(f"{group}, RGB and grey, swscale", 0, 0, 0.0), Tally(f"{group}, YUV, swscale", 255, 2, 0.01)]
        errors = {"ours": [], "cut at full size": []}
        for frame, pixels in zip(frames, found):
            expected = fitted(frame, exact(frame))
            if frame.format in YUV:
                linear.add(frame.name, pixels, fitted(frame, exact(frame, cut=False)))
                cut.add(frame.name, pixels, expected)
                if frame.source is not None:
                    original = fitted(frame, frame.source).astype(float)
                    for name, what in (("ours", pixels), ("cut at full size", expected)):
                        errors[name].append(np.square(what - original).mean())
            else:
                flat.add(frame.name, pixels, expected)
            rgb = swscale(frame)
            if rgb is not None:
                others[frame.format in YUV].add(frame.name, pixels, fitted(frame, rgb))
        wrong += sum(tally.report(arguments.verbose) for tally in (flat, linear, cut, *others) if tally.frames)
        if errors["ours"]:
            of_ours, of_cut = (float(np.sqrt(np.mean(errors[name]))) for name in ("ours", "cut at full size"))
            print(f"{group}: from the pictures that the frames were made of, ours are {of_ours:.3f} levels off (root mean square), those cut at full size {of_cut:.3f}")
            wrong += of_ours > 1.01 * of_cut
    print("equal within the tolerance" if not wrong else f"{wrong} outside the tolerance")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
