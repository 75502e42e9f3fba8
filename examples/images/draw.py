"""Draws the sample pictures of this folder: simple shapes, made for this project.

    .deps/venv/bin/python examples/images/draw.py      (needs Pillow: make .deps/python)

Each picture is drawn four times as large as it is saved, which smooths its edges.
"""

import math
from pathlib import Path

from PIL import Image, ImageDraw

HERE = Path(__file__).parent
SIDE = 256
SCALE = 4
LINE = (40, 36, 34)


class Canvas:
    """A picture in coordinates from 0 to 100, with an outline round every shape."""

    def __init__(self, background):
        self.image = Image.new("RGBA", (SIDE * SCALE, SIDE * SCALE), background)
        self.draw = ImageDraw.Draw(self.image)
        self.unit = SIDE * SCALE / 100

    def points(self, points):
        return [(x * self.unit, y * self.unit) for x, y in points]

    def line(self, points, width=2.4, fill=LINE):
        self.draw.line(self.points(points), fill=fill, width=round(width * self.unit), joint="curve")
        for x, y in points:
            self.disc(x, y, width / 2, fill=fill, outline=None)

    def polygon(self, points, fill, outline=LINE):
        self.draw.polygon(self.points(points), fill=fill)
        if outline:
            self.line([*points, points[0]], fill=outline)

    def ellipse(self, x0, y0, x1, y1, fill, outline=LINE):
        steps = [i * math.tau / 90 for i in range(90)]
        x, y, rx, ry = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2
        self.polygon([(x + rx * math.cos(t), y + ry * math.sin(t)) for t in steps], fill, outline)

    def disc(self, x, y, r, fill, outline=LINE):
        box = self.points([(x - r, y - r), (x + r, y + r)])
        if outline:
            self.ellipse(x - r, y - r, x + r, y + r, fill, outline)
        else:
            self.draw.ellipse([*box[0], *box[1]], fill=fill)

    def save(self, name, **options):
        small = self.image.resize((SIDE, SIDE), Image.LANCZOS)
        if name.endswith(".jpg"):
            small = small.convert("RGB")
        small.save(HERE / name, **options)


def arc(x, y, rx, ry, start, end, steps=60):
    """Points on an ellipse, angles in degrees, clockwise from three o'clock."""
    angles = [math.radians(start + (end - start) * i / steps) for i in range(steps + 1)]
    return [(x + rx * math.cos(t), y + ry * math.sin(t)) for t in angles]


def sun():
    c = Canvas((120, 190, 240, 255))
    for i in range(12):
        t = i * math.tau / 12
        tip = (50 + 44 * math.cos(t), 50 + 44 * math.sin(t))
        sides = [(50 + 31 * math.cos(t + d), 50 + 31 * math.sin(t + d)) for d in (-0.17, 0.17)]
        c.polygon([tip, *sides], (250, 180, 40))
    c.disc(50, 50, 26, (255, 214, 64))
    c.save("sun.jpg", quality=92)


def apple():
    c = Canvas((0, 0, 0, 0))
    left, right = arc(37, 58, 25, 31, 60, 320), arc(63, 58, 25, 31, 220, 480)
    c.polygon(left + right, (222, 46, 48))
    c.line([(50, 36), (51, 24), (57, 13)], 4, (110, 72, 40))
    c.polygon(arc(66, 22, 13, 7, 180, 540), (96, 172, 62))
    c.polygon(arc(33, 48, 5, 9, 0, 360), (244, 130, 124), None)
    c.save("apple.png")


def umbrella():
    c = Canvas((255, 255, 255, 255))
    c.line([(50, 14), (50, 80)], 3.5, (90, 70, 60))
    c.line(arc(58, 80, 8, 9, 180, 0), 3.5, (90, 70, 60))
    scallops = []
    for i in range(4):
        scallops += arc(81.5 - 21 * i, 52, 10.5, 7, 0, -180)
    c.polygon(arc(50, 52, 42, 36, 180, 360) + scallops, (132, 78, 190))
    for x in (29, 50, 71):
        c.line([(50, 16), (x, 51)], 1.4, (88, 46, 140))
    c.save("umbrella.png")


def house():
    c = Canvas((226, 240, 250, 255))
    c.draw.rectangle([*c.points([(0, 84)])[0], SIDE * SCALE, SIDE * SCALE], fill=(120, 184, 92))
    c.polygon([(66, 20), (76, 20), (76, 42), (66, 34)], (150, 90, 70))
    c.polygon([(20, 48), (80, 48), (80, 86), (20, 86)], (246, 226, 180))
    c.polygon([(50, 16), (90, 50), (10, 50)], (198, 66, 54))
    c.polygon([(43, 62), (57, 62), (57, 86), (43, 86)], (134, 86, 52))
    for x in (26, 63):
        c.polygon([(x, 58), (x + 11, 58), (x + 11, 70), (x, 70)], (140, 204, 240))
    c.save("house.jpg", quality=92)


def fish():
    c = Canvas((0, 0, 0, 0))
    c.polygon([(70, 50), (95, 28), (89, 50), (95, 72)], (240, 130, 40))
    c.polygon([(34, 32), (50, 14), (62, 32)], (240, 130, 40))
    c.ellipse(6, 26, 76, 74, (255, 166, 60))
    c.line(arc(18, 50, 16, 22, -60, 60), 1.6)
    c.polygon([(46, 54), (60, 48), (58, 64)], (240, 130, 40))
    c.disc(22, 44, 4.6, (255, 255, 255))
    c.disc(21, 44, 1.8, (30, 28, 28), None)
    c.save("fish.png")


def mushroom():
    c = Canvas((255, 255, 255, 255))
    c.polygon([(40, 52), (60, 52), (65, 84), *arc(50, 84, 15, 6, 0, 180)], (246, 232, 206))
    c.polygon(arc(50, 54, 40, 40, 180, 360) + arc(50, 54, 40, 7, 0, 180), (214, 50, 46))
    for x, y, r in ((32, 40, 7), (56, 28, 7.5), (72, 44, 6), (48, 48, 4.5)):
        c.disc(x, y, r, (255, 250, 244), None)
    c.save("mushroom.png")


def snowman():
    c = Canvas((150, 190, 224, 255))
    c.disc(50, 72, 24, (250, 252, 255))
    c.disc(50, 37, 17, (250, 252, 255))
    c.polygon([(38, 6), (62, 6), (62, 20), (38, 20)], (50, 48, 56))
    c.line([(32, 21), (68, 21)], 4)
    for x, y in ((44, 33), (56, 33), (50, 64), (50, 74), (50, 84)):
        c.disc(x, y, 2.2, (40, 40, 44), None)
    c.polygon([(50, 38), (66, 41), (50, 43)], (244, 140, 50))
    c.line([(28, 62), (8, 48)], 2.6, (110, 74, 46))
    c.line([(72, 62), (92, 48)], 2.6, (110, 74, 46))
    c.save("snowman.png")


def balloon():
    c = Canvas((255, 255, 255, 255))
    c.line([(50, 70), (46, 80), (53, 88), (49, 97)], 1.6, (90, 90, 96))
    c.polygon([(50, 64), (56, 72), (44, 72)], (206, 40, 52))
    c.ellipse(22, 4, 78, 68, (228, 48, 60))
    c.polygon(arc(37, 24, 6, 10, 0, 360), (250, 160, 160), None)
    c.save("balloon.png")


if __name__ == "__main__":
    for picture in (sun, apple, umbrella, house, fish, mushroom, snowman, balloon):
        picture()
