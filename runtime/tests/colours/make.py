"""Writes the model folder beside it: a model of a few numbers that knows three colours. `schema-1.json` is what it wrote as
`clip.json` before schema 2; it stays as it is.

    .deps/venv/bin/python runtime/tests/colours/make.py

The image tower gives the mean red, green and blue of the picture; a black one has no direction, so that its
embedding is not a number. The text tower adds up a vector for each word up to the end of the text.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).parent
SIZE, DIM, CONTEXT = 8, 4, 8
WORDS = {
    "[UNK]": (0, 0, 0, 0),
    "a": (0, 0, 0, 0),
    "photo": (0, 0, 0, 0.25),
    "of": (0, 0, 0, 0),
    "red": (4, 0, 0, 0),
    "green": (0, 4, 0, 0),
    "blue": (0, 0, 4, 0),
    # "plus" and "minus" alone are opposite to each other, with what the end adds.
    "plus": (0, 0, 0, 1),
    "minus": (-0.25, -0.25, -0.25, -1),
    "<start_of_text>": (0, 0, 0, 0),
    "<end_of_text>": (0.125, 0.125, 0.125, 0),
}


def constant(name, value, dtype):
    return numpy_helper.from_array(np.array(value, dtype), name)


def write(file, name, nodes, input_, constants):
    output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", DIM])
    graph = helper.make_graph(nodes, name, [input_], [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    (FOLDER / file).write_bytes(model.SerializeToString(deterministic=True))


def normalize():
    return [
        helper.make_node("ReduceL2", ["x"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Div", ["x", "length"], ["embedding"]),
    ]


write(
    "visual.onnx",
    "visual",
    [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "proj"], ["x"]),
        *normalize(),
    ],
    helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE]),
    [constant("proj", np.eye(3, DIM), np.float32)],
)

write(
    "text.onnx",
    "text",
    [
        helper.make_node("Shape", ["ids"], ["length_1"], start=1, end=2),
        helper.make_node("Slice", ["positional_embedding", "zero", "length_1", "zero"], ["positions"]),
        helper.make_node("Gather", ["token_embedding.weight", "ids"], ["tokens"]),
        helper.make_node("Add", ["tokens", "positions"], ["words"]),
        helper.make_node("CumSum", ["words", "axis"], ["sums"]),
        helper.make_node("ArgMax", ["ids"], ["end"], axis=1, keepdims=1),
        helper.make_node("GatherND", ["sums", "end"], ["x"], batch_dims=1),
        *normalize(),
    ],
    helper.make_tensor_value_info("ids", TensorProto.INT32, ["batch", "length"]),
    [
        constant("token_embedding.weight", list(WORDS.values()), np.float32),
        constant("positional_embedding", np.zeros((CONTEXT, DIM)), np.float32),
        constant("zero", [0], np.int64),
        constant("axis", 1, np.int64),
    ],
)

ids = {word: i for i, word in enumerate(WORDS)}
special = ["<start_of_text>", "<end_of_text>"]
(FOLDER / "tokenizer.json").write_text(
    json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {
                    "id": ids[token],
                    "content": token,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": True,
                }
                for token in special
            ],
            "normalizer": {"type": "Lowercase"},
            "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": None,
            "decoder": None,
            "model": {"type": "WordLevel", "vocab": ids, "unk_token": "[UNK]"},
        },
        indent=1,
    )
    + "\n"
)


def sha256(file):
    return hashlib.sha256((FOLDER / file).read_bytes()).hexdigest()


def encoder(file, input_, layout, element):
    return {
        "file": file,
        "sha256": sha256(file),
        "engine": {"name": "onnx"},
        "precision": "fp32",
        "input": {"name": input_, "layout": layout, "element": element},
        "output": "embedding",
    }


(FOLDER / "clip.json").write_text(
    json.dumps(
        {
            "schema": 2,
            "producer": "runtime/tests/colours/make.py",
            "model": "colours",
            "embed_dim": DIM,
            "logit_scale": 10.0,
            "preprocess": {
                "size": SIZE,
                "resize_mode": "shortest",
                "interpolation": "bicubic",
                "mean": [0, 0, 0],
                "std": [1, 1, 1],
                "background": [255, 255, 255],
                "apply_exif_orientation": True,
                "max_pixels": 1000000,
            },
            "tokenizer": {
                "file": "tokenizer.json",
                "sha256": sha256("tokenizer.json"),
                "context_length": CONTEXT,
            },
            "image": encoder("visual.onnx", "image", "nchw", "float32"),
            "text": encoder("text.onnx", "ids", "tokens", "int32"),
        },
        indent=2,
    )
    + "\n"
)
