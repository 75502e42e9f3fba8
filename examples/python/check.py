"""Compares clip.py with the library:  check.py MODEL_FOLDER ffi/abi.txt PICTURE"""

import re
import sys

import numpy

import clip

folder, abi, picture = sys.argv[1:]
lines = open(abi, encoding="utf-8").read()
for name, struct in clip.STRUCTS.items():
    fields = re.findall(rf"^field {name}\.(\w+) .* at (\d+), (\d+) bytes$", lines, re.M)
    own = [(field, str(getattr(struct, field).offset), str(getattr(struct, field).size)) for field, _ in struct._fields_]
    assert own == fields, (name, own, fields)
    assert f"struct {name} {clip.c.sizeof(struct)} bytes\n" in lines, name

model = clip.Model(folder)
names = ["fish", "mushroom", "house"]
labels = model.labels(names, ["a photo of a {}."])
assert [labels[i] for i in range(len(labels))] == names

# The picture's pixels as an array, then with rows that are longer than they need, as BGR, and upside down and back.
frame = model.frame(picture)
shape = (frame.height, frame.width, 3)
pixels = numpy.ctypeslib.as_array((clip.c.c_uint8 * (shape[0] * shape[1] * 3)).from_address(frame.planes[0])).reshape(shape).copy()
found = model.classify(picture, labels)
assert found[0][0] == "fish" and abs(sum(match[1] for match in found) - 1) < 1e-5, found
wide = numpy.zeros((shape[0], shape[1] + 7, 3), numpy.uint8)
wide[:, : shape[1]] = pixels
for array, format in [(pixels, None), (wide[:, : shape[1]], None), (numpy.ascontiguousarray(pixels[:, :, ::-1]), clip.BGR)]:
    assert model.classify(array, labels, format=format) == found, found

rows, texts = model.embed([pixels, pixels]), model.embed_texts(["a photo of a fish."])
assert rows.dtype == numpy.float32 and abs(numpy.linalg.norm(rows, axis=1) - 1).max() < 1e-5 and (rows[0] == rows[1]).all()
assert abs((rows[0] @ texts[0]) - found[0][2]) < 1e-5, (rows[0] @ texts[0], found)

told = []
with clip.Stream(model, labels, lambda *outcome: told.append(outcome), when_full=clip.BLOCK) as stream:
    assert all(stream.push(pixels, tag) for tag in range(20))
    stream.flush()
assert [outcome[0] for outcome in told] == list(range(20)) and all(outcome[1] == "fish" for outcome in told), told

for wrong, part in [(lambda: clip.Model("/nowhere"), "/nowhere"), (lambda: model.labels([]), "label")]:
    try:
        wrong()
    except clip.Error as error:
        assert part in str(error) and error.status.startswith("CLIP_ERROR_"), error
    else:
        raise AssertionError(part)
for wrong in [pixels.astype(float), pixels[:, ::-1], pixels[:, :, ::-1]]:
    try:
        model.classify(wrong, labels)
    except TypeError:
        continue
    raise AssertionError(wrong.strides)
print("ok")
