"""Writes the seeds of the fuzz targets that read texts and JSON, into the folder beside this script.

    python3 fuzz/seeds.py      (standard library only)

seeds/TARGET/NAME is where libFuzzer starts: small files that are read to their end, one of each kind, and a few that are nearly so.
"""

import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path

SEEDS = Path(__file__).parent / "seeds"


def put(target: str, name: str, content: bytes | str | dict) -> None:
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict):
        content = json.dumps(content, ensure_ascii=False)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def token(content: str, number: int) -> dict:
    flags = dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized"], False)
    return {"id": number, "content": content, **flags, "special": True}


def tokenizers() -> None:
    special = [token("<s>", 0), token("</s>", 1)]
    vocabulary = {"<s>": 0, "</s>": 1, "<unk>": 2, "a": 3, "b": 4, "ab": 5, "▁": 6, "c": 7, "<pad>": 8}
    bpe = {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "vocab": vocabulary, "merges": [["a", "b"]]}
    words = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}
    pieces = {"type": "WordPiece", "vocab": vocabulary | {"##b": 9}, "unk_token": "<unk>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 20}
    unigram = {"type": "Unigram", "unk_id": 2, "vocab": [[piece, -float(i)] for i, piece in enumerate(vocabulary)]}
    around = {"type": "BertProcessing", "sep": ["</s>", 1], "cls": ["<s>", 0]}
    roberta = {"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 0], "trim_offsets": False, "add_prefix_space": False}
    sequence, end = {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}
    template = {"type": "TemplateProcessing", "single": [sequence, end], "pair": [sequence, {"Sequence": {"id": "B", "type_id": 0}}, end],
                "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}}
    normalizer = {"type": "Sequence", "normalizers": [
        {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Lowercase"},
        {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "StripAccents"}, {"type": "Prepend", "prepend": "▁"},
    ]}
    split = {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"}, "behavior": "Removed", "invert": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    ]}
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}
    padding = {"strategy": {"Fixed": 8}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 8, "pad_type_id": 0, "pad_token": "<pad>"}
    truncation = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
    for name, model, parts in [
        ("bpe", bpe, {"post_processor": roberta, "pre_tokenizer": split, "normalizer": normalizer}),
        ("words", words, {"post_processor": around, "pre_tokenizer": {"type": "Whitespace"}}),
        ("pieces", pieces, {"post_processor": around, "pre_tokenizer": {"type": "BertPreTokenizer"}, "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}}),
        ("unigram", unigram, {"post_processor": template, "pre_tokenizer": metaspace, "padding": padding, "truncation": truncation}),
        ("length", bpe, {"post_processor": around, "pre_tokenizer": {"type": "FixedLength", "length": 2}}),
        ("bare", bpe, {}),
    ]:
        put("tokenizer", name, {"version": "1.0", "added_tokens": special, **parts, "model": model})


def charsmap(value: int, texts: bytes) -> bytes:
    """Rules that make "a" into the text at `value`: a trie as a double array, then texts that end in zeros."""
    trie = [0] * 512
    trie[0] = 256 << 10
    trie[256 ^ 0x61] = 0x61 | 1 << 8 | 0x61 << 10
    trie[256] = 1 << 31 | value
    return struct.pack("<I512I", 2048, *trie) + texts


def manifests() -> None:
    encoder = {"file": "visual.onnx", "sha256": "0" * 64, "engine": {"name": "onnx"}, "precision": "fp32", "input": {"name": "image", "layout": "nchw", "element": "float32"}, "output": "embedding"}
    preprocess = {"size": 8, "resize_mode": "shortest", "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.5] * 3}
    base = {"schema": 4, "producer": "seed", "model": "seed", "embed_dim": 4, "logit_scale": 100.0}
    read = json.loads((Path(__file__).parent.parent / "runtime/tests/colours/clip.json").read_text())
    put("manifest", "whole", read)
    labels = {"file": "labels.safetensors", "sha256": "1" * 64, "count": 3}
    only = {**base, "preprocess": read.get("preprocess", preprocess), "image": {**encoder, "data": [{"file": "d", "sha256": "2" * 64}], "batch": 2}, "labels": labels}
    put("manifest", "visual", only)
    text = read | {"logit_bias": -10.0, "tokenizer": read["tokenizer"] | {"padded": True, "clean": "canonicalize"}}
    put("manifest", "text", text | {"image": None, "combined": {"file": "clip.onnx", "sha256": "3" * 64}})
    put("manifest", "older", json.loads((Path(__file__).parent.parent / "runtime/tests/colours/schema-1.json").read_text()))
    classifier = {"encoder": {**encoder, "file": "classifier.onnx", "output": "probabilities"}, "values": "pixels", "labels": {"file": "labels.txt", "sha256": "4" * 64}}
    put("manifest", "classifier", only | {"classifier": classifier | {"settings": [{"file": "classifier.onnx.modelinfo", "sha256": "5" * 64}]}})
    camera = {"encoder": {**encoder, "file": "camera.onnx", "input": {"name": "y", "layout": "planes", "element": "uint8"}}, "inputs": ["y", "uv"]}
    frame = {"format": "nv12", "width": 64, "height": 48, "strides": [64, 64, 0], "color": {"matrix": "bt601", "range": "limited"}, "levels": [0, 65535]}
    view = {"crop": {"left": 2, "top": 0, "width": 48, "height": 48}, "orientation": "turned_right"}
    put("manifest", "camera", only | {"camera": camera | {"layout": frame, "view": view}})
    put("manifest", "later", {"schema": 5})


def labels() -> None:
    note = json.dumps({"labels": ["cat", "dog"], "templates": ["a {}."]})
    for name, shape in [("whole", [2, 3]), ("wide", [1, 6])]:
        header = json.dumps({"__metadata__": {"labels": note}, "embeddings": {"dtype": "F32", "shape": shape, "data_offsets": [0, 24]}})
        header = header.encode().ljust((len(header) + 7) // 8 * 8)
        put("stored_labels", name, struct.pack("<Q", len(header)) + header + struct.pack("<6f", 1, 0, 0, 0, 0.6, -0.8))
    # Those of the model that the C interface is fuzzed with, of which all is said that can be.
    manifest = json.loads((Path(__file__).parent.parent / "runtime/tests/colours/clip.json").read_text())
    hashes = {name: manifest[name]["sha256"] for name in ["image", "text", "tokenizer"]}
    note = {"labels": ["red", "sky"], "templates": [], "background": 1, "model": {"name": "colours", **hashes}, "logits": {"scale": 20.0, "bias": -3.0}}
    shape = {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]}
    header = json.dumps({"__metadata__": {"labels": json.dumps(note)}, "embeddings": shape}).encode()
    header = header.ljust((len(header) + 7) // 8 * 8)
    put("ffi", "label-file", b"\4" + struct.pack("<Q", len(header)) + header + struct.pack("<8f", 1, 0, 0, 0, 0, 0.6, -0.8, 0))
    for number in range(1, 13):
        # clip_frame of clip.h: 24x18 pixels in format `number`, a crop, BT.709 in full range, turned; then bytes of planes and regions.
        head = struct.pack("<3Q3Q3Q4Q6i2i3ii3QQ", 0, 24, 18, 0, 0, 0, 0, 0, 0, 3, 2, 11, 9, number, 2, 2, number % 9, 9, 4000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        put("ffi", f"frame-{number}", b"\6" + head + struct.pack("<10Q", 0, 0, 5, 5, 1, 1, 3, 3, 2, 2))
    put("ffi", "numbers", b"\5" + struct.pack("<12f", 20, -3, 0.5, 0.2, 1, 0, 0, 0, 0, 3, -4, 0))


def texts() -> None:
    put("texts", "templates", "\ufeffa photo of a {}.\r\n\n  the {}\nitap of {}\n")
    put("texts", "places", "{} and {}\nnone\n")
    put("texts", "html", "&lt;b&gt; P&EACUTE;REZ &amp;amp; &#39;&#x27;&#0; &notit; <b>&EACUTE;</b>\n&NewLine;&ngE;")
    put("texts", "quotes", "“Women’s” ﬁnest ｆｕｌｌ　ｗｉｄｔｈ ŉ ﾊﾝｶｸ \x1b[31mred\x1b[0m a\x00b\u2028c")
    put("texts", "wrong", "cafÃ© â€œlostâ€\ufffd Ã la mode Â½ рџґ Ā½ ┬ú \x91\x92 ÃƒÂ© í\xa0½í¸\x80 À\x80")
    put("texts", "words", "it's we'll ΟΔΥΣΣΕΥΣ İstanbul 日本語 👩‍👩‍👧‍👦 <start_of_text> <end_of_text> e\u0301 3rd ½")


def weights() -> None:
    header = b'{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"BF16","shape":[],"data_offsets":[16,18]}}'
    put("weights", "safetensors", struct.pack("<Q", len(header)) + header + bytes(18))
    # {"w": tensor} as torch.save pickles it: four float32 in storage "0" as a 2x2 matrix.
    matrix = (b"\x80\x02}q\x00X\x01\x00\x00\x00wq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storageq\x03ctorch\nFloatStorage\nq\x04"
              b"X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06K\x04tq\x07QK\x00K\x02K\x02\x86q\x08K\x02K\x01\x86q\t\x89ccollections\n"
              b"OrderedDict\nq\n)Rq\x0btq\x0cRq\rs.")
    legacy = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}." + matrix
    put("weights", "legacy", legacy + b"\x80\x02](X\x01\x00\x00\x000e.\x04\0\0\0\0\0\0\0" + bytes(16))
    put("pickle", "matrix", matrix)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in [("m/data.pkl", matrix), ("m/byteorder", b"little"), ("m/data/0", bytes(16))]:
            file.writestr(zipfile.ZipInfo(name), content)
    put("weights", "archive", archive.getvalue())


def frames() -> None:
    for number in range(12):
        crop = [number, 3, 40 - number, 21, number % 2]
        head = [number, 61 + number, 47 - number, 3 + number, number, 3, 232, 39, *crop, number, 23, number]
        put("frame", f"format-{number}", bytes(head) + bytes(range(0, 250, 3)) + bytes([255, 0] * 9))


def archive(files: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def shards() -> None:
    one = [("d/a.jpg", b"a"), ("d/a.txt", b"one\ntwo"), ("d/a.json", b'{"caption": ["a"]}'), ("d/a.cls", b"1")]
    two = [(name.replace("a.", "b."), content) for name, content in one]
    put("shard", "together", archive(one + two))
    put("shard", "apart", archive([file for pair in zip(one, two) for file in pair]))
    put("shard", "cut", archive(one)[:1500])
    put("shard_list", "list", "# names\na-{000..010..5}.tar\n\nb.tar::s3://c/{x,y}.tar\nhttp://[::1]/{a..c}.tar\n")
    put("shard_list", "command", "pipe:true\n@list\n")
    put("table", "comma", "filepath,title\na.jpg,\"one, two\"\nb.jpg\n")
    put("table", "tab", "\ufefftitle\tfilepath\r\none\tt.tsv\r\n")


if __name__ == "__main__":
    frames()
    shards()
    tokenizers()
    put("charsmap", "sound", charsmap(2, b"b\0c\0"))
    put("charsmap", "outside", charsmap(9, b"b\0"))
    put("charsmap", "empty", b"\x04\0\0\0" + bytes(4))
    manifests()
    labels()
    texts()
    weights()
