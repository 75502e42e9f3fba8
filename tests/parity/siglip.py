"""Compares the embeddings of SigLIP and SigLIP 2 with transformers and open_clip; exits with 1 beyond the limit.

    python tests/parity/siglip.py target/release/examples

Small networks with random weights, saved as others save theirs: Hugging Face folders with a sentencepiece vocabulary
(SigLIP) and a byte-pair one of Gemma's kind (SigLIP 2), OpenCLIP's hub folder with one of timm's image towers. Vocabularies
are trained here. clip-export opens each; token ids, embeddings (from pictures and strings, runtime/examples/embed.rs; from the
same tensors by the trainer's network, trainer/examples/forward.rs) and `clip-run classify`'s probabilities are compared
with those of the model that was saved. Then clip-export writes them out with --to, and the others open them.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import open_clip
import torch
from open_clip.model import CustomTextCLIP
from open_clip.tokenizer import basic_clean
from PIL import Image
from safetensors.torch import load_file, save_file
from sentencepiece import SentencePieceTrainer
from timm.layers.attention_pool import AttentionPoolLatent
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn
from transformers import PreTrainedTokenizerFast, SiglipConfig, SiglipImageProcessor, SiglipModel, SiglipTokenizer
from transformers.convert_slow_tokenizer import SpmConverter
from transformers.utils import logging

import random_models
from ours import Ours

logging.disable_progress_bar()
logging.set_verbosity_error()

ABSOLUTE = 1e-4
SEED = 2303_15343
CONTEXT_LENGTH = 16
BASE_CONTEXT_LENGTH = 64
TEXTS = [
    "", "a cat", "A photo of a DOG.", "two red_cars, one blue house!", "it's 12 o'clock?", "  many   spaces\n", "word " * 50,
    "ÄÖÜ straße", "日本", "½ ™", "tabs\tand\u00a0spaces", "e\u0301clair…", "women’s “hat”", "cat &amp;amp; dog", "cafÃ©", "(a) [b] {c} \\ / ^ ` ~ | @ # $ % & * + = ; : \" '",
]
VOCABULARY = [
    "a photo of a cat", "a photo of a dog and two red cars in front of one blue house", "it is twelve o clock",
    "many words and spaces", "the quick brown fox jumps over the lazy dog", "straße äöü", "[b] (a) {c} 12 @ # $ % & * + =",
]

failures: list[str] = []


def report(what: str, differences: list[float], limit: float = ABSOLUTE) -> None:
    fine = all(difference <= limit for difference in differences)
    if not fine:
        failures.append(what)
    print(f"  {what:58} {' '.join(f'{d:8.1e}' for d in differences)}{'' if fine else '   FAILED'}", flush=True)


def largest(a, b) -> float:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(np.abs(a - b).max()) if a.shape == b.shape and np.isfinite(a).all() else float("inf")


# Tokenizers


class Converter(SpmConverter):
    """sentencepiece's file as tokenizer.json, as transformers converts T5's."""

    def vocab(self, proto):
        return [(piece.piece, piece.score) for piece in proto.pieces]

    def unk_id(self, proto):
        return proto.trainer_spec.unk_id

    def post_processor(self):
        return processors.TemplateProcessing(single="$A </s>", pair="$A $B </s>", special_tokens=[("</s>", 1)])


def sentencepiece(folder: Path) -> SiglipTokenizer:
    """A vocabulary of sentencepiece's in the layout of T5's, which SigLIP uses; the tokenizer is transformers' own for it."""
    with tempfile.TemporaryDirectory() as temporary:
        corpus = Path(temporary) / "corpus.txt"
        corpus.write_text("\n".join(VOCABULARY))
        SentencePieceTrainer.train(
            input=str(corpus), model_prefix=str(Path(temporary) / "spiece"), vocab_size=150, hard_vocab_limit=False,
            character_coverage=1.0, normalization_rule_name="nmt_nfkc", pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
            pad_piece="<pad>", eos_piece="</s>", unk_piece="<unk>", minloglevel=2,
        )
        path = Path(temporary) / "spiece.model"
        Converter(SimpleNamespace(vocab_file=str(path), legacy=False, add_prefix_space=True)).converted().save(str(folder / "tokenizer.json"))
        tokenizer = SiglipTokenizer(str(path))
    names = {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **names}))
    return tokenizer


def gemma(folder: Path) -> PreTrainedTokenizerFast:
    """A byte-pair vocabulary in the layout of Gemma's, which SigLIP 2 uses."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=special + bytes_, show_progress=False)
    tokenizer.train_from_iterator(VOCABULARY, trainer)
    description = json.loads(tokenizer.to_str())
    # Bytes are part of the vocabulary, and not looked for in texts.
    description["added_tokens"] = [token for token in description["added_tokens"] if token["content"] in special]
    description["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<eos>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<eos>", "type_id": 0}}],
        "special_tokens": {"<eos>": {"id": "<eos>", "ids": [1], "tokens": ["<eos>"]}},
    }
    (folder / "tokenizer.json").write_text(json.dumps(description))
    names = {"eos_token": "<eos>", "pad_token": "<pad>", "bos_token": "<bos>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GemmaTokenizer", "padding_side": "right", **names}))
    return PreTrainedTokenizerFast.from_pretrained(folder, padding_side="right", **names)


def token_ids(tokenizer, texts: list[str]) -> torch.Tensor:
    return tokenizer(texts, padding="max_length", truncation=True, max_length=CONTEXT_LENGTH, return_tensors="pt")["input_ids"]


# Networks


def randomize(model: nn.Module) -> None:
    torch.manual_seed(SEED)
    with torch.no_grad():
        for module in model.modules():
            random_models.randomize(module)
            if isinstance(module, nn.Conv2d):
                module.bias.normal_(std=0.1)
            if isinstance(module, AttentionPoolLatent):
                module.latent.normal_()
        model.logit_scale.fill_(3.0)
        model.logit_bias.fill_(-6.0)


def save_hugging_face(folder: Path, second: bool, size: int, base: bool = False):
    """A small SigLIP (or SigLIP 2) folder, or one of the size of the published base models; returns its model and tokenizer."""
    folder.mkdir()
    tokenizer = gemma(folder) if second else sentencepiece(folder)
    model = hugging_face_model(len(tokenizer), size, base)
    model.save_pretrained(folder)
    processor = SiglipImageProcessor(size={"height": size, "width": size}, resample=2 if second else 3)
    processor.save_pretrained(folder)
    return model, tokenizer


def hugging_face_model(vocabulary: int, size: int, base: bool = False) -> SiglipModel:
    vision = {"image_size": size, "patch_size": 16, "hidden_size": 96, "intermediate_size": 200, "num_hidden_layers": 3, "num_attention_heads": 4}
    text = {"vocab_size": vocabulary, "max_position_embeddings": CONTEXT_LENGTH, "hidden_size": 64, "intermediate_size": 150,
            "num_hidden_layers": 2, "num_attention_heads": 2, "projection_size": 96, "bos_token_id": None, "eos_token_id": None}
    if base:
        width = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
        vision |= width
        text |= width | {"max_position_embeddings": BASE_CONTEXT_LENGTH, "projection_size": 768}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    randomize(model)
    with torch.no_grad():
        model.vision_model.head.probe.normal_()
    return model.eval()


class Reference:
    def __init__(self, folder: Path, size: int):
        self.size = size
        rng = np.random.default_rng(SEED)
        self.paths = [folder / f"{size}-{i}.png" for i in range(3)]
        for path in self.paths:
            # Of other shapes than the input, since SigLIP's preprocessing does not keep them.
            height, width = rng.integers(size, 2 * size, 2)
            y, x = np.mgrid[0:height, 0:width]
            waves = [np.sin(x * rng.uniform(0, 0.2) + y * rng.uniform(0, 0.2) + rng.uniform(0, 6)) for _ in range(3)]
            Image.fromarray((128 + 100 * np.stack(waves, -1)).clip(0, 255).astype(np.uint8)).save(path)
        self.images = [Image.open(path).convert("RGB") for path in self.paths]

    @torch.no_grad()
    def set(self, pixels: torch.Tensor, ids: torch.Tensor, rows, scale: float, bias: float) -> "Reference":
        self.pixels, self.ids = pixels, ids
        self.rows = [nn.functional.normalize(part, dim=-1).numpy() for part in rows]
        for rows in self.rows:
            nearest = min(np.abs(a - b).max() for i, a in enumerate(rows) for b in rows[:i])
            assert nearest > 10 * ABSOLUTE, "rows must differ, or one could pass for another"
        self.probabilities = 1 / (1 + np.exp(-(scale * self.rows[0] @ self.rows[1].T + bias)))
        return self


@torch.no_grad()
def transformers_rows(model: SiglipModel, pixels, ids):
    found = [model.get_image_features(pixel_values=pixels), model.get_text_features(input_ids=ids)]
    return [getattr(part, "pooler_output", part) for part in found]


# Our side


def check(ours: Ours, what: str, checkpoint: Path, reference: Reference) -> None:
    exported = ours.export(checkpoint)
    found = ours.embed(exported, reference.paths, TEXTS)
    report(f"{what}, ONNX", [largest(a, b) for a, b in zip(found, reference.rows, strict=True)])
    inputs, outputs = ours.folder / "inputs.safetensors", ours.folder / "outputs.safetensors"
    save_file({"images.0": reference.pixels.contiguous(), "texts.0": reference.ids.long().contiguous()}, inputs)
    ours.succeed("forward", checkpoint, inputs, outputs)
    found = load_file(outputs)
    report(f"{what}, libtorch", [largest(found[f"{part}.0"], rows) for part, rows in zip(("images", "texts"), reference.rows)])
    # Probabilities are each label's own.
    columns = [i for i, text in enumerate(TEXTS) if text and text.strip() == text]
    labels = [TEXTS[i] for i in columns]
    names = ours.folder / "labels.txt"
    names.write_text("".join(f"{label}\n" for label in labels))
    lines = ours.succeed("clip-run", "classify", exported, *reference.paths, "--labels-file", names, "--template", "{}", "--top", len(labels), "--json")
    rows = [{match["label"]: match["probability"] for match in json.loads(line)["labels"]} for line in lines.splitlines()]
    report(f"{what}, probabilities", [largest([[row[label] for label in labels] for row in rows], reference.probabilities[:, columns])])


def hugging_face(ours: Ours, folder: Path, second: bool) -> None:
    name = "SigLIP 2" if second else "SigLIP"
    # Neither side is a multiple of the patch: a rest is not seen.
    saved, size = folder / name, 71 if second else 64
    model, tokenizer = save_hugging_face(saved, second, size)
    reference = Reference(folder, size)
    pixels = pillow(reference, 2 if second else 3)
    # SigLIP 2 was trained on texts in lower case.
    ids = token_ids(tokenizer, [text.lower() if second else text for text in TEXTS])
    rows = transformers_rows(model, pixels, ids)
    reference.set(pixels, ids, rows, float(model.logit_scale.detach().exp()), float(model.logit_bias.detach()))
    check(ours, f"Hugging Face, {name}", saved, reference)
    written = ours.convert(saved, "hf")
    again = SiglipModel.from_pretrained(written).eval()
    ids = token_ids(PreTrainedTokenizerFast.from_pretrained(written), TEXTS)
    rows = [nn.functional.normalize(part, dim=-1).numpy() for part in transformers_rows(again, pixels, ids)]
    report("  written --to hf, opened by transformers", [largest(a, b) for a, b in zip(rows, reference.rows)])
    pixels = SiglipImageProcessor.from_pretrained(written)(reference.images, return_tensors="pt")["pixel_values"]
    report("  its image processor", [largest(pixels, reference.pixels)], 0.05)


def pillow(reference: Reference, resample: int) -> torch.Tensor:
    """The pictures by Pillow, in place of torchvision, whose resizing rounds elsewhere."""
    images = [image.resize((reference.size, reference.size), resample) for image in reference.images]
    pixels = np.stack([np.asarray(image, np.float32) for image in images]) / 255
    return torch.from_numpy((pixels - 0.5) / 0.5).permute(0, 3, 1, 2).contiguous()


def open_clip_hub(ours: Ours, folder: Path, second: bool) -> None:
    name = "SigLIP 2" if second else "SigLIP"
    saved = folder / "hub"
    saved.mkdir()
    gemma(saved) if second else sentencepiece(saved)
    vocabulary = len(PreTrainedTokenizerFast.from_pretrained(saved))
    config = open_clip.get_model_config("ViT-B-32-SigLIP2-256" if second else "ViT-B-16-SigLIP")
    # timm's smallest SigLIP image tower, and a small text tower.
    config["vision_cfg"] = {**config["vision_cfg"], "image_size": 256, "timm_model_name": "vit_base_patch32_siglip_256"}
    config["text_cfg"] = {**config["text_cfg"], "context_length": CONTEXT_LENGTH, "vocab_size": vocabulary, "width": 64, "heads": 2, "layers": 2}
    model = create(config)
    preprocess = {"size": 256, "mode": "RGB", "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    (saved / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, saved / "open_clip_model.safetensors")
    reference = Reference(folder, 256)
    reference.set(*opened(saved, reference))
    check(ours, f"OpenCLIP's hub, {name}", saved, reference)
    for layout in ("open-clip", "hf"):
        written = ours.convert(saved, layout)
        if layout == "open-clip":
            _, _, rows, _, _ = opened(written, reference)
        else:
            ids = token_ids(PreTrainedTokenizerFast.from_pretrained(written), TEXTS)
            rows = transformers_rows(SiglipModel.from_pretrained(written).eval(), reference.pixels, ids)
        images, texts = (nn.functional.normalize(part, dim=-1).detach().numpy() for part in rows)
        # transformers does not repair texts as open_clip does before the tokenizer, and its layout cannot ask for it.
        same = slice(None) if layout == "open-clip" else [i for i, text in enumerate(TEXTS) if basic_clean(text) == text.strip()]
        differences = [largest(images, reference.rows[0]), largest(texts[same], reference.rows[1][same])]
        report(f"  written --to {layout}, opened by the other", differences)


def create(config: dict) -> nn.Module:
    arguments = {key: dict(value) if isinstance(value, dict) else value for key, value in config.items() if key != "custom_text"}
    model = CustomTextCLIP(**arguments)
    randomize(model)
    return model.eval()


@torch.no_grad()
def opened(folder: Path, reference: Reference):
    """open_clip's own reading of a folder: pixels, ids, embeddings, scale, bias."""
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenize = open_clip.get_tokenizer(f"local-dir:{folder}", context_length=CONTEXT_LENGTH)
    pixels, ids = torch.stack([preprocess(image) for image in reference.images]), tokenize(TEXTS)
    model.eval()
    rows = [model.encode_image(pixels), model.encode_text(ids)]
    return pixels, ids, rows, float(model.logit_scale.exp()), float(model.logit_bias)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="the folder of the built examples; the programs lie in the one above")
    arguments = parser.parse_args()
    started = time.monotonic()
    print(f"limit: max abs difference {ABSOLUTE:.0e}; seed {SEED}")
    print(f"  {'':58} {'images':>8} {'texts':>8}")
    for part in (hugging_face, open_clip_hub):
        for second in (False, True):
            with tempfile.TemporaryDirectory(prefix="clip-parity-") as folder:
                part(Ours(arguments.examples.resolve(), Path(folder)), Path(folder), second)
    print(f"{len(failures)} failures, {time.monotonic() - started:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
