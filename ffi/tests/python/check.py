"""What examples/python/clip.py promises, by runtime/tests/colours: check.py MODEL ABI PICTURE, with a picture of blue."""

import ctypes
import re
import sys
import threading

import clip
import numpy as np

model_path, abi_path, picture_path = sys.argv[1:]
abi = open(abi_path, encoding="utf-8").read()


def raises(kind, contains, function, *arguments, **named):
    try:
        function(*arguments, **named)
    except kind as error:
        assert contains in str(error), f"{error} does not say {contains}"
        return error
    raise AssertionError(f"{function} {arguments} was accepted")


# The structs are those of ffi/abi.txt, field by field.
structs = [value for value in vars(clip).values() if isinstance(value, type) and issubclass(value, ctypes.Structure)]
assert len(structs) == 6, structs
for struct in structs:
    name = struct.__name__
    assert f"struct {name} {ctypes.sizeof(struct)} bytes\n" in abi, name
    expected = re.findall(rf"^field {name}\.(\w+) .* at (\d+), (\d+) bytes$", abi, re.MULTILINE)
    fields = [(field, getattr(struct, field)) for field, _ in struct._fields_]
    assert expected == [(field, str(at.offset), str(at.size)) for field, at in fields], name
# And so are the functions: what they return, and what kind of thing each argument is.
kinds = {"clip_status": "s", "void": "f", "size_t": "n", "uint64_t": "u"}
for name, types in clip.SIGNATURES.items():
    returns, arguments = re.search(rf"^function (.*?) ?(?<=[ *]){name}\((.*)\)$", abi, re.MULTILINE).groups()
    arguments = [] if arguments == "void" else arguments.split(", ")
    for letter, type_ in zip(types, [returns, *arguments], strict=True):
        allowed = "tp" if type_.replace(" ", "") == "constchar*" else "p" if type_.endswith("*") else kinds[type_]
        assert letter in allowed, (name, type_, letter)
for name, (number, *_) in clip.FORMATS.items():
    assert f"constant CLIP_FORMAT_{name.upper()} {number}\n" in abi, name
for name, number in clip.WHEN_FULL.items():
    assert re.search(rf"constant CLIP_{name.upper().replace('-', '_')} {number}\n", abi), name

# Pictures, with rows that lie apart and without.
model = clip.Model(model_path, threads=1)
labels = model.labels(["red", "green", "blue"], ["a photo of {}"])
assert (model.name, model.embed_dim, labels.names) == ("colours", 4, ["red", "green", "blue"])
wide = np.zeros((6, 9, 3), np.uint8)
wide[1:5, 2:7] = (0, 9, 255)
view = wide[1:5, 2:7]
assert np.shares_memory(view, wide) and clip.frame(view).planes[0] == view.ctypes.data
found = model.classify(view, labels)
assert [found[0].label, len(found)] == ["blue", 3] and abs(sum(m.probability for m in found) - 1) < 1e-6, found
assert model.classify(view, labels, format="bgr", top=1)[0].label == "red"
assert found == model.classify(view.copy(), labels) == model.classify_many([wide, view], labels)[1]
picture = model.read(picture_path)
assert picture.shape == (2, 2, 3) and picture.dtype == np.uint8 and (picture == (0, 9, 255)).all()
raises(ValueError, "read-only", picture.fill, 1)
pixels = picture[:1]
del picture
assert (pixels == (0, 9, 255)).all()

# Embeddings.
images, texts = model.embed([view, wide]), model.embed_texts(["blue", "red"])
assert images.shape == (2, 4) and images.dtype == np.float32 and np.allclose(np.linalg.norm(images, axis=1), 1)
assert np.allclose(images[0] @ labels.embeddings().T, [m.similarity for m in sorted(found, key=lambda m: labels.names.index(m.label))])
assert texts.shape == (2, 4) and (images[0] @ texts[0]) > (images[0] @ texts[1])

# Frames with several planes: blue in BT.601, limited range.
y, uv = np.full((4, 8), 41, np.uint8), np.tile(np.array([240, 110], np.uint8), (2, 4))
u, v = np.ascontiguousarray(uv[:, ::2]), np.ascontiguousarray(uv[:, 1::2])
for planes, format in [((y, uv), "nv12"), ((y, uv[:, ::-1].copy()), "nv21"), ((y, u, v), "i420")]:
    assert model.classify(planes, labels, format=format)[0].label == "blue", format
yuyv = np.tile(np.array([41, 240, 41, 110], np.uint8), (4, 4)).reshape(4, 8, 2)
assert model.classify(yuyv, labels, format="yuyv")[0].label == "blue"

# What cannot be used is said, by the library in its own words or before its memory would be read beyond the array.
error = raises(clip.Error, "clip.json", clip.Model, model_path + "/none")
assert error.name == "CLIP_ERROR_FILE"
assert raises(clip.Error, "", model.stored_labels).name == "CLIP_ERROR_MISSING"
assert raises(clip.Error, "", model.classify, np.zeros((4, 4, 3), np.uint8), labels).name == "CLIP_ERROR_ENGINE"
raises(clip.Error, "threads", clip.Model, model_path, threads=5000)
raises(TypeError, "thread", clip.Model, model_path, thread=1)
raises(TypeError, "a list", model.embed_texts, "red")
raises(ValueError, "ascontiguousarray", model.embed, [wide[:, ::2]])
raises(ValueError, "ascontiguousarray", model.embed, [wide[::-1]])
raises(ValueError, "uint8", model.embed, [wide.astype(np.float32)])
raises(ValueError, "uint8", model.embed, [wide[:0]])
raises(ValueError, "formats", model.embed, [wide], format="png")
raises(ValueError, "2 planes", model.embed, [wide], format="nv12")
raises(ValueError, "plane 1", model.embed, [(y, uv[:1])], format="nv12")
raises(ValueError, "(height, width, 4)", model.embed, [wide], format="rgba")
raises(ValueError, "(height, width, 3)", model.embed, [wide.reshape(6, 27)])
raises(ValueError, "not 4 of 8", model.embed, [y[:, :7].copy()], format="yuyv")

# A stream: outcomes in order, in another thread; what its function raises comes out.
outcomes, threads = [], set()


def told(outcome):
    outcomes.append(outcome)
    threads.add(threading.get_ident())


with clip.Stream(model, labels, told, when_full="block", smoothing=0.5) as stream:
    for tag in range(20):
        colour = (0, 9, 255) if tag < 10 else (255, 9, 0)
        assert stream.push(np.full((4, 4, 3), colour, np.uint8), tag)
    stream.flush()
    assert [outcome.tag for outcome in outcomes] == list(range(20)) and threading.get_ident() not in threads
    assert [outcomes[0].label, outcomes[-1].label] == ["blue", "red"] and outcomes[0].changed and not outcomes[1].changed
    assert outcomes[0].matches[0].label == "blue" and outcomes[0].latency_ns > 0
    assert np.allclose(outcomes[0].embedding, model.embed([np.full((4, 4, 3), (0, 9, 255), np.uint8)])[0], atol=1e-6)
    stream.set_labels(model.labels(["green", "red"]))
    stream.push(np.full((4, 4, 3), (255, 9, 0), np.uint8), 20)
    stream.flush()  # Frames that the engine runs together fail together.
    stream.push(np.zeros((4, 4, 3), np.uint8), 21)
    stream.flush()
    assert outcomes[20].label == "red" and len(outcomes[20].matches) == 2
    assert outcomes[21].error and outcomes[21].label is None and not outcomes[21].is_dropped, outcomes[21]
raises(ValueError, "the stream is closed", stream.push, view)
failing = clip.Stream(model, labels, lambda outcome: 1 / 0)
failing.push(view)
raises(ZeroDivisionError, "", failing.flush)
failing.close()
failing.close()
raises(ValueError, "the stream is closed", failing.push, view)
raises(TypeError, "has no 'smothing'", clip.Stream, model, labels, told, smothing=0.8)
raises(ValueError, "hold is -1", clip.Stream, model, labels, told, hold=-1)
raises(ValueError, "character of zero", model.embed_texts, ["a\0b"])
# A stream that is closed while others push waits for them, and refuses what comes later.
for _ in range(20):
    shared, refused = clip.Stream(model, labels, told), []

    def push_on():
        try:
            while True:
                shared.push(view)
        except ValueError as error:
            refused.append(str(error))

    pushers = [threading.Thread(target=push_on) for _ in range(4)]
    for pusher in pushers:
        pusher.start()
    shared.close()
    for pusher in pushers:
        pusher.join()
    assert refused == ["the stream is closed"] * 4, refused
# Those that are open at the end of the program are closed then.
forgotten = clip.Stream(model, labels, told)
forgotten.push(view)
print("all is well")
