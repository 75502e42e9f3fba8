"""libclip from Python, by ctypes: pictures and frames are uint8 arrays, embeddings float32 arrays, and errors exceptions.

include/clip.h is the manual. The library is the one that CLIP_LIBRARY names, else libclip.so.0 where the system looks.
"""

import atexit
import collections
import contextlib
import ctypes
import os
import threading
import traceback
import weakref
from ctypes import POINTER, byref, c_char_p, c_float, c_int32, c_size_t, c_uint64, c_void_p

import numpy as np

Match = collections.namedtuple("Match", "label probability similarity")
# `error` is "" unless the engine failed; `is_dropped` says that the frame went for a newer one. Both have no matches.
Outcome = collections.namedtuple("Outcome", "tag sequence latency_ns error is_dropped label changed matches embedding")


class Error(RuntimeError):
    """What the library says of a call that failed; `name` is its status, such as CLIP_ERROR_FILE."""

    def __init__(self, status):
        super().__init__(_c.clip_last_error().decode())
        self.name = _c.clip_status_name(status).decode()


def _struct(name, *fields):
    return type(name, (ctypes.Structure,), {"_fields_": fields})


def _fields(type_, names):
    return [(name, type_) for name in names.split()]


# The structs of clip.h. A later library accepts a struct_size that is smaller than its own.
CMatch = _struct("clip_match", ("index", c_size_t), ("probability", c_float), ("similarity", c_float))
COpenOptions = _struct(
    "clip_open_options", *_fields(c_size_t, "struct_size threads"), ("onnxruntime", c_char_p),
    *_fields(c_size_t, "max_pixels trust_unchanged"), *_fields(c_char_p, "engine device"), ("rebuild", c_size_t),
    ("tensorrt", c_char_p), *_fields(c_size_t, "spinning fast_decode"),
)  # fmt: skip
CFrame = _struct(
    "clip_frame", *_fields(c_size_t, "struct_size width height"), ("planes", c_void_p * 3), ("strides", c_size_t * 3),
    *_fields(c_size_t, "crop_left crop_top crop_width crop_height"),
    *_fields(c_int32, "format matrix range orientation black white memory device"), ("fds", c_int32 * 3),
    ("index", c_int32), ("offsets", c_size_t * 3), ("handle", c_void_p),
)  # fmt: skip
CItem = _struct(
    "clip_item", ("track", c_uint64), ("label", c_size_t), ("name", c_char_p), *_fields(c_int32, "changed fresh"),
    ("matches", POINTER(CMatch)), ("count", c_size_t), ("embedding", POINTER(c_float)),
)  # fmt: skip
COutcome = _struct(
    "clip_outcome", *_fields(c_uint64, "tag sequence latency"), ("status", c_int32), ("error", c_char_p),
    ("labels", c_void_p), ("count", c_size_t), ("items", POINTER(CItem)),
)  # fmt: skip
OutcomeFunction = ctypes.CFUNCTYPE(None, c_void_p, POINTER(COutcome))
CStreamOptions = _struct(
    "clip_stream_options", *_fields(c_size_t, "struct_size capacity"), ("when_full", c_int32), ("smoothing", c_float),
    ("hold", c_size_t), ("rule", c_void_p), *_fields(c_size_t, "top refresh forget"), ("outcome", OutcomeFunction),
    ("user", c_void_p),
)  # fmt: skip

OK, DROPPED = 0, 1
# Each format's number, and for each plane: by what rows and columns are divided, and how many bytes such a column has.
FORMATS = {
    "rgb": (1, (1, 1, 3)), "bgr": (2, (1, 1, 3)), "rgba": (3, (1, 1, 4)), "bgra": (4, (1, 1, 4)),
    "rgbp": (5, (1, 1, 1), (1, 1, 1), (1, 1, 1)), "gray8": (6, (1, 1, 1)), "nv12": (8, (1, 1, 1), (2, 2, 2)),
    "nv21": (9, (1, 1, 1), (2, 2, 2)), "i420": (10, (1, 1, 1), (2, 2, 1), (2, 2, 1)), "yuyv": (11, (1, 2, 4)),
    "uyvy": (12, (1, 2, 4)),
}  # fmt: skip
WHEN_FULL = {"drop-oldest": 0, "drop-newest": 1, "block": 2}

# What each function returns and takes: s a status (an exception unless it is OK or DROPPED), p a pointer, t a text, n a
# size, f nothing; u 64 bits.
_TYPES = {"s": c_int32, "p": c_void_p, "t": c_char_p, "n": c_size_t, "f": None, "u": c_uint64}
SIGNATURES = {
    "clip_last_error": "t", "clip_status_name": "ts", "clip_version": "t",
    "clip_model_open": "stpp", "clip_model_free": "fp", "clip_model_name": "tp", "clip_model_engine": "tp",
    "clip_model_embed_dim": "np", "clip_labels_new": "sppnpnp", "clip_labels_stored": "spp",
    "clip_labels_load": "sptp", "clip_labels_save": "spt", "clip_labels_free": "fp", "clip_labels_count": "np",
    "clip_labels_name": "tpn", "clip_labels_embeddings": "sppn", "clip_image_open": "sptp", "clip_image_frame": "spp",
    "clip_image_free": "fp", "clip_classify_frames": "sppnpnpnp", "clip_embed_frames": "sppnpn",
    "clip_embed_texts": "sppnpn", "clip_stream_open": "spppp", "clip_stream_push": "sppu", "clip_stream_flush": "sp",
    "clip_stream_set_labels": "spp", "clip_stream_free": "fp",
}  # fmt: skip


def _checked(status, _function, _arguments):
    if status not in (OK, DROPPED):
        raise Error(status)
    return status


_c = ctypes.CDLL(os.environ.get("CLIP_LIBRARY", "libclip.so.0"))
for _name, _types in SIGNATURES.items():
    _function = getattr(_c, _name)
    _function.restype, *_function.argtypes = (_TYPES[letter] for letter in _types)
    if _types[0] == "s":
        _function.errcheck = _checked


def version():
    """The library's version, such as "0.1.0"."""
    return _c.clip_version().decode()


def _texts(texts):
    if isinstance(texts, str):
        raise TypeError("a list of texts is needed, not one text")
    if any("\0" in text for text in texts):
        raise ValueError("a text has a character of zero, where C would end it")
    return (c_char_p * len(texts))(*(text.encode() for text in texts)), len(texts)


def _sized(struct, **fields):
    known = [name for name, _ in struct._fields_]
    for name, value in fields.items():
        if name not in known:
            raise TypeError(f"{struct.__name__} has no {name!r}, but {', '.join(known[1:])}")
        if isinstance(value, int) and value < 0:
            raise ValueError(f"{name} is {value}, expected 0 or more")
    return struct(struct_size=ctypes.sizeof(struct), **fields)


def frame(pixels, format="rgb"):
    """A frame over an array of uint8, or over a tuple of them for a format with several planes: nothing is copied.

    The first axis is that of rows, which may lie apart, as in `picture[10:50, 20:80]`; within a row, bytes follow each other.
    """
    if format not in FORMATS:
        raise ValueError(f"{format!r} is none of the formats {', '.join(FORMATS)}")
    number, *layout = FORMATS[format]
    planes = pixels if isinstance(pixels, (tuple, list)) else (pixels,)
    if len(planes) != len(layout):
        raise ValueError(f"{format} has {len(layout)} planes, not {len(planes)}")
    result = _sized(CFrame, format=number)
    for i, (plane, (rows, columns, size)) in enumerate(zip(planes, layout)):
        if not isinstance(plane, np.ndarray) or plane.dtype != np.uint8 or plane.ndim < 2 or plane.size == 0:
            raise ValueError("a plane is an array of uint8 with rows and columns, none of them 0")
        if (rows, columns) == (1, 1) and size > 1 and plane.shape[2:] != (size,):
            raise ValueError(f"a picture in {format} has the shape (height, width, {size}), not {plane.shape}")
        if not plane[0].flags.c_contiguous:
            raise ValueError("the bytes of a row do not follow each other; numpy.ascontiguousarray copies them so")
        length = plane[0].size
        stride = plane.strides[0] if len(plane) > 1 else length
        if stride < length:
            raise ValueError("rows overlap or go upwards; numpy.ascontiguousarray copies them one below the other")
        if i == 0:
            result.height, result.width = len(plane), length * columns // size
        expected = -(-result.height // rows), -(-result.width // columns) * size
        if (len(plane), length) != expected:
            raise ValueError(f"plane {i} of {format} has {len(plane)} rows of {length} bytes, not {expected[0]} of {expected[1]}")
        result.planes[i], result.strides[i] = plane.ctypes.data, stride
    result.pixels = planes  # They live as long as the frame.
    return result


def _frames(pictures, format):
    frames = [frame(picture, format) for picture in pictures]
    return (c_void_p * len(frames))(*map(ctypes.addressof, frames)), frames


class _Handle:
    """A pointer of the library's, freed with the last use of this object; at the end of the process by that, since others may still use it."""

    def __init__(self, free, function, *arguments):
        pointer = c_void_p()
        function(*arguments, byref(pointer))
        self._as_parameter_ = pointer
        weakref.finalize(self, free, pointer).atexit = False


class Labels(_Handle):
    """Encoded labels, which Model.labels, stored_labels and load_labels make."""

    def __init__(self, model, function, *arguments):
        super().__init__(_c.clip_labels_free, function, model, *arguments)
        self.names = [_c.clip_labels_name(self, i).decode() for i in range(_c.clip_labels_count(self))]
        self.embed_dim = model.embed_dim

    def save(self, path):
        _c.clip_labels_save(self, os.fsencode(path))

    def embeddings(self):
        """float32 [labels, embed_dim], rows of length 1."""
        out = np.empty((len(self.names), self.embed_dim), np.float32)
        _c.clip_labels_embeddings(self, out.ctypes.data, out.size)
        return out


class Model(_Handle):
    """A model folder of clip-export. `options` are the fields of clip_open_options: threads=1, device="cuda:0"."""

    def __init__(self, path, **options):
        fields = {key: value.encode() if isinstance(value, str) else value for key, value in options.items()}
        unknown = set(fields) - {name for name, _ in COpenOptions._fields_}
        if unknown:
            raise TypeError(f"clip_open_options has no field {', '.join(sorted(unknown))}")
        super().__init__(_c.clip_model_free, _c.clip_model_open, os.fsencode(path), byref(_sized(COpenOptions, **fields)))
        self.name, self.engine = _c.clip_model_name(self).decode(), _c.clip_model_engine(self).decode()
        self.embed_dim = _c.clip_model_embed_dim(self)

    def labels(self, names, templates=()):
        """Encodes labels, each put in the place of {} in every template: ["cat", "dog"], ["a photo of a {}."]."""
        return Labels(self, _c.clip_labels_new, *_texts(names), *_texts(templates))

    def stored_labels(self):
        return Labels(self, _c.clip_labels_stored)

    def load_labels(self, path):
        return Labels(self, _c.clip_labels_load, os.fsencode(path))

    def read(self, path):
        """Decodes a picture: uint8 [height, width, 3], the library's own memory, not to be written to."""
        image, view = _Handle(_c.clip_image_free, _c.clip_image_open, self, os.fsencode(path)), _sized(CFrame)
        _c.clip_image_frame(image, byref(view))
        memory = (ctypes.c_uint8 * (view.width * 3 * view.height)).from_address(view.planes[0])
        memory.image = image  # It lives as long as the array.
        pixels = np.frombuffer(memory, np.uint8).reshape(view.height, view.width, 3)
        pixels.flags.writeable = False
        return pixels

    def classify(self, picture, labels, top=5, format="rgb"):
        """The labels that fit a picture best, best first, as Match."""
        return self.classify_many([picture], labels, top, format)[0]

    def classify_many(self, pictures, labels, top=5, format="rgb"):
        """The same for several pictures in one go: a list for each."""
        pointers, frames = _frames(pictures, format)
        matches, count = (CMatch * (len(frames) * top))(), c_size_t()
        _c.clip_classify_frames(self, pointers, len(frames), labels, top, matches, len(matches), byref(count))
        rows = (matches[i * top : i * top + count.value] for i in range(len(frames)))
        return [[Match(labels.names[m.index], m.probability, m.similarity) for m in row] for row in rows]

    def embed(self, pictures, format="rgb"):
        """float32 [pictures, embed_dim], rows of length 1."""
        pointers, frames = _frames(pictures, format)
        out = np.empty((len(frames), self.embed_dim), np.float32)
        _c.clip_embed_frames(self, pointers, len(frames), out.ctypes.data, out.size)
        return out

    def embed_texts(self, texts):
        """float32 [texts, embed_dim], rows of length 1."""
        pointers, n = _texts(texts)
        out = np.empty((n, self.embed_dim), np.float32)
        _c.clip_embed_texts(self, pointers, n, out.ctypes.data, out.size)
        return out


_open_streams = set()


class Stream:
    """One camera's frames, in order. `function` is told of each Outcome in a thread of the library's; what it raises comes
    out of the next push, flush or close. `options` are the fields of clip_stream_options: smoothing=0.8, hold=3.
    It lives until it is closed, as `with` does; what other threads call then waits until they are done, or raises ValueError.
    """

    def __init__(self, model, labels, function, when_full="drop-oldest", **options):
        self._dim, self._function, self._raised = model.embed_dim, function, []
        self._told = OutcomeFunction(self._tell)
        fields = _sized(CStreamOptions, when_full=WHEN_FULL[when_full], outcome=self._told, **options)
        self._as_parameter_ = c_void_p()
        self._calls, self._is_closed, self._changed = 0, False, threading.Condition()
        _c.clip_stream_open(model, labels, byref(fields), byref(self._as_parameter_))
        _open_streams.add(self)

    @contextlib.contextmanager
    def _call(self):
        """Around each call: the library's stream stays while it runs."""
        with self._changed:
            if self._is_closed:
                raise ValueError("the stream is closed")
            self._calls += 1
        try:
            yield
        finally:
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()

    def push(self, picture, tag=0, format="rgb"):
        """Takes a frame, whose memory is the caller's again then. False where there was no room for it."""
        self._raise()
        with self._call():
            return _c.clip_stream_push(self, byref(frame(picture, format)), tag) == OK

    def flush(self):
        """Waits until each frame that was pushed before has its outcome."""
        with self._call():
            _c.clip_stream_flush(self)
        self._raise()

    def set_labels(self, labels):
        with self._call():
            _c.clip_stream_set_labels(self, labels)

    def close(self):
        """Ends the stream; frames that wait come back as dropped."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            self._changed.wait_for(lambda: self._calls == 0)
        _open_streams.discard(self)
        _c.clip_stream_free(self)
        self._as_parameter_ = c_void_p()
        self._raise()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def _raise(self):
        if self._raised:
            raise self._raised.pop(0)

    def _tell(self, _user, pointer):
        try:
            told = pointer.contents
            label, changed, matches, embedding = None, False, [], None
            if told.count:
                item = told.items[0]
                name = lambda index: _c.clip_labels_name(told.labels, index).decode()  # noqa: E731
                label, changed = item.name and item.name.decode(), bool(item.changed)
                matches = [Match(name(m.index), m.probability, m.similarity) for m in item.matches[: item.count]]
                embedding = np.array(item.embedding[: self._dim], np.float32) if item.count else None
            error = "" if told.status in (OK, DROPPED) else told.error.decode()
            is_dropped = told.status == DROPPED
            self._function(Outcome(told.tag, told.sequence, told.latency, error, is_dropped, label, changed, matches, embedding))
        except BaseException as raised:  # noqa: BLE001: no exception goes through C.
            self._raised.append(raised)


@atexit.register
def _close_streams():
    for stream in list(_open_streams):
        try:
            stream.close()
        except BaseException:  # noqa: BLE001: the others are to be closed, too, before the interpreter is gone.
            traceback.print_exc()
