"""Opens a folder in optimum-onnx, for runtimes.py: a request on standard input, what came out on standard output, in JSON.

A process of its own, since optimum-onnx comes with older versions of what the reference has.
"""

import json
import sys
from importlib.metadata import version

import torch
from optimum.onnxruntime import ORTModelForCustomTasks, ORTModelForZeroShotImageClassification
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer

request = json.load(sys.stdin)
folder = request["folder"]
tokenizer = AutoTokenizer.from_pretrained(folder)
processor = AutoImageProcessor.from_pretrained(folder, use_fast=False)
padding = "max_length" if request["siglip"] else True
texts = tokenizer(request["texts"], padding=padding, truncation=True, return_tensors="pt")
images = processor([Image.open(path).convert("RGB") for path in request["pictures"]], return_tensors="pt")
given = torch.tensor(request["pixels"]["data"]).reshape(request["pixels"]["dims"])

joined = ORTModelForZeroShotImageClassification.from_pretrained(folder)(**texts, **images)
towers = [ORTModelForCustomTasks.from_pretrained(folder, file_name=f"{name}_model.onnx") for name in ("text", "vision")]
text, vision = (lambda inputs, tower=tower: next(iter(tower(**inputs).values())) for tower in towers)
result = {
    "version": version("optimum-onnx"),
    "ids": texts["input_ids"],
    "texts": text(texts),
    "images": vision(images),
    "tensors": vision({"pixel_values": given}),
    "joined_texts": joined.text_embeds,
    "joined_images": joined.image_embeds,
    "logits": joined.logits_per_image,
}
json.dump({name: value.tolist() if torch.is_tensor(value) else value for name, value in result.items()}, sys.stdout)
