"""libclip through ctypes: pictures and arrays in, labels and embeddings out. NumPy is needed for arrays alone.

    model = clip.Model("emoji")
    labels = model.labels(["cat", "dog"], ["a photo of a {}."])
    print(model.classify(image, labels, top=3))     # an array of uint8, height x width x 3, RGB, or the path of a picture

What each function does, and what threads may do, is written in include/clip.h. A call that fails raises clip.Error with the library's sentence.
"""

import ctypes as c
import os

_size, _i32, _u64, _f32, _text, _at = c.c_size_t, c.c_int32, c.c_uint64, c.c_float, c.c_char_p, c.c_void_p
NONE, RGB, BGR, RGBA, BGRA, GRAY8, DROPPED = _size(-1).value, 1, 2, 3, 4, 6, 1
DROP_OLDEST, DROP_NEWEST, BLOCK = 0, 1, 2
_lib = c.CDLL(os.environ.get("CLIP_LIBRARY", "libclip.so.0"))


class Struct(c.Structure):
    """A struct of clip.h; one that starts with its size has it set."""

    def __init__(self, **fields):
        super().__init__(**fields)
        if self._fields_[0][0] == "struct_size":
            self.struct_size = c.sizeof(self)


class OpenOptions(Struct):
    _fields_ = [("struct_size", _size), ("threads", _size), ("onnxruntime", _text), ("max_pixels", _size), ("trust_unchanged", _size),
                ("engine", _text), ("device", _text), ("rebuild", _size), ("tensorrt", _text), ("spinning", _size), ("fast_decode", _size)]


class Match(Struct):
    _fields_ = [("index", _size), ("probability", _f32), ("similarity", _f32)]


class Rule(Struct):
    _fields_ = [("struct_size", _size), ("min_probability", _f32), ("min_similarity", _f32)]


class Frame(Struct):
    _fields_ = [("struct_size", _size), ("width", _size), ("height", _size), ("planes", _at * 3), ("strides", _size * 3), ("crop_left", _size),
                ("crop_top", _size), ("crop_width", _size), ("crop_height", _size), ("format", _i32), ("matrix", _i32), ("range", _i32),
                ("orientation", _i32), ("black", _i32), ("white", _i32), ("memory", _i32), ("device", _i32), ("fds", _i32 * 3), ("index", _i32),
                ("offsets", _size * 3), ("handle", _at)]


class Item(Struct):
    _fields_ = [("track", _u64), ("label", _size), ("name", _text), ("changed", _i32), ("fresh", _i32), ("matches", c.POINTER(Match)),
                ("count", _size), ("embedding", c.POINTER(_f32))]


class Outcome(Struct):
    _fields_ = [("tag", _u64), ("sequence", _u64), ("latency", _u64), ("status", _i32), ("error", _text), ("labels", _at), ("count", _size),
                ("items", c.POINTER(Item))]


_Told = c.CFUNCTYPE(None, _at, c.POINTER(Outcome))


class StreamOptions(Struct):
    _fields_ = [("struct_size", _size), ("capacity", _size), ("when_full", _i32), ("smoothing", _f32), ("hold", _size), ("rule", c.POINTER(Rule)),
                ("top", _size), ("refresh", _size), ("forget", _size), ("outcome", _Told), ("user", _at)]


STRUCTS = {"clip_open_options": OpenOptions, "clip_match": Match, "clip_rule": Rule, "clip_frame": Frame, "clip_item": Item,
           "clip_outcome": Outcome, "clip_stream_options": StreamOptions}

for _name, _result, _arguments in [
    ("last_error", _text, []), ("status_name", _text, [_i32]), ("model_free", None, [_at]), ("labels_free", None, [_at]), ("image_free", None, [_at]),
    ("stream_free", None, [_at]), ("model_embed_dim", _size, [_at]), ("labels_count", _size, [_at]), ("labels_name", _text, [_at, _size]),
    ("model_open", _i32, [_text, _at, _at]), ("labels_new", _i32, [_at, _at, _size, _at, _size, _at]), ("image_open", _i32, [_at, _text, _at]),
    ("image_frame", _i32, [_at, _at]), ("classify_frame", _i32, [_at, _at, _at, _at, _size, _at]), ("embed_frames", _i32, [_at, _at, _size, _at, _size]),
    ("embed_texts", _i32, [_at, _at, _size, _at, _size]), ("stream_open", _i32, [_at, _at, _at, _at]), ("stream_push", _i32, [_at, _at, _u64]),
    ("stream_flush", _i32, [_at]),
]:
    _function = getattr(_lib, "clip_" + _name)
    _function.restype, _function.argtypes = _result, _arguments


class Error(Exception):
    """Why a call failed: its status by name, and the library's sentence."""

    def __init__(self, status, sentence):
        super().__init__(sentence)
        self.status = _lib.clip_status_name(status).decode()


def _call(name, *arguments):
    status = getattr(_lib, "clip_" + name)(*arguments)
    if status >= 10:
        raise Error(status, _lib.clip_last_error().decode())
    return status


class _Handle:
    """Frees what it holds when nothing refers to it any more, or at the end of a `with`."""

    def __init__(self, free, make, *arguments):
        self._free, self._as_parameter_ = getattr(_lib, "clip_" + free), None
        out = c.c_void_p()
        _call(make, *arguments, c.byref(out))
        self._as_parameter_ = out

    def close(self):
        handle, self._as_parameter_ = self._as_parameter_, None
        if handle is not None:
            self._free(handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    __del__ = close


def _texts(texts):
    return (_text * len(texts))(*[text.encode() for text in texts])


class Labels(_Handle):
    def __len__(self):
        return _lib.clip_labels_count(self)

    def __getitem__(self, index):
        name = _lib.clip_labels_name(self, index)
        if name is None:
            raise IndexError(index)
        return name.decode()


class Model(_Handle):
    def __init__(self, folder, **options):
        options = OpenOptions(**{name: value.encode() if isinstance(value, str) else value for name, value in options.items()})
        super().__init__("model_free", "model_open", os.fsencode(folder), c.byref(options))

    def labels(self, names, templates=()):
        return Labels("labels_free", "labels_new", self, _texts(names), len(names), _texts(templates), len(templates))

    def frame(self, picture, format=None):
        """A frame whose memory is the array's own, or that of the picture at a path; it keeps what it was made of."""
        frame = Frame()
        if isinstance(picture, (str, os.PathLike)):
            frame.kept = _Handle("image_free", "image_open", self, os.fsencode(picture))
            _call("image_frame", frame.kept, c.byref(frame))
            return frame
        channels = picture.shape[2] if picture.ndim == 3 else 1
        if picture.dtype != "uint8" or picture.ndim not in (2, 3) or channels not in (1, 3, 4):
            raise TypeError(f"an array of uint8, height x width x 3, is needed, not {picture.dtype}, {picture.shape}")
        if picture.strides[1:] != (channels, 1)[: picture.ndim - 1] or picture.strides[0] < channels * picture.shape[1]:
            raise TypeError("rows of the array do not lie as pixels do: give numpy.ascontiguousarray(array)")
        frame.kept, frame.format = picture, format or {1: GRAY8, 3: RGB, 4: RGBA}[channels]
        frame.height, frame.width = picture.shape[:2]
        frame.planes[0], frame.strides[0] = picture.ctypes.data, picture.strides[0]
        return frame

    def classify(self, picture, labels, top=5, format=None):
        """[(label, probability, similarity)], best first."""
        matches, count, frame = (Match * max(top, 1))(), _size(), self.frame(picture, format)
        _call("classify_frame", self, c.byref(frame), labels, matches, top, c.byref(count))
        return [(labels[match.index], match.probability, match.similarity) for match in matches[: count.value]]

    def embed(self, pictures, format=None):
        """An array of float32, a row of length 1 for each picture."""
        frames = [self.frame(picture, format) for picture in pictures]
        return self._rows("embed_frames", (_at * len(frames))(*[c.addressof(frame) for frame in frames]), len(frames))

    def embed_texts(self, texts):
        return self._rows("embed_texts", _texts(texts), len(texts))

    def _rows(self, name, inputs, n):
        import numpy

        rows = numpy.empty((n, _lib.clip_model_embed_dim(self)), numpy.float32)
        _call(name, self, inputs, n, rows.ctypes.data, rows.size)
        return rows


class Stream(_Handle):
    """Calls told(tag, label or None, [(index, probability)], latency in seconds) for each frame; of a dropped one, with None for the matches."""

    def __init__(self, model, labels, told, **options):
        def tell(_, found):
            outcome = found.contents
            if outcome.status >= 10:
                raise Error(outcome.status, outcome.error.decode())
            item = outcome.items[0] if outcome.count else None
            name = item.name.decode() if item is not None and item.name else None
            matches = None if item is None else [(match.index, match.probability) for match in item.matches[: item.count]]
            told(outcome.tag, name, matches, outcome.latency / 1e9)

        self._told, self._model = _Told(tell), model
        options = StreamOptions(outcome=self._told, **options)
        super().__init__("stream_free", "stream_open", model, labels, c.byref(options))

    def push(self, picture, tag=0, format=None):
        """False where the frame was dropped. The array may be changed again afterwards."""
        frame = self._model.frame(picture, format)
        return _call("stream_push", self, c.byref(frame), tag) != DROPPED

    def flush(self):
        _call("stream_flush", self)
