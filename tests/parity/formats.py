"""Compares the embeddings of checkpoints in every format with open_clip and transformers; exits with 1 beyond the limit.

    python tests/parity/formats.py target/release/examples

Small networks with random weights are saved by Python as others save theirs: Hugging Face folders (safetensors,
pytorch_model.bin, shards; other layer norms, an added token, double precision), a TorchScript archive of OpenAI's
architecture in half precision, state dicts of a trainer.
clip-export opens each, and clip-runtime's embeddings (runtime/examples/embed.rs) are compared with those of the model
that was saved. Then clip-export writes checkpoints out with --to, and open_clip and transformers open them. Models with a logit
bias, and with position embeddings for other sizes than they are opened with, are OpenCLIP's alone.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import open_clip
import torch
from open_clip.transform import image_transform
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel, CLIPTokenizer
from transformers.utils import logging

import random_models
from ours import Ours

logging.disable_progress_bar()

ABSOLUTE = 1e-4
# Of position embeddings interpolated in single precision, there and here.
INTERPOLATED = 1e-6
SEED = 2103_00020
TEXTS = ["", "a cat", "a photo of a dog.", "two red cars, one blue house", "it's 12 o'clock!", "word " * 100]

failures: list[str] = []


def vit(quick_gelu: bool, size: int = 64, width: int = 384, head_width: int = 64) -> dict:
    """Widths of published models, so that the number of heads is known without a configuration."""
    vision = {"image_size": size, "layers": 2, "width": width, "patch_size": 16, "head_width": head_width}
    text = {"context_length": 77, "vocab_size": 49408, "width": 256, "heads": 4, "layers": 2}
    return {"embed_dim": 64, "quick_gelu": quick_gelu, "vision_cfg": vision, "text_cfg": text}


def resnet() -> dict:
    vision = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None}
    return {**vit(True), "vision_cfg": vision}


# Pictures and the reference


def pictures(folder: Path, size: int) -> list[Path]:
    """Three pictures of the input's size, so that nothing is resized."""
    rng = np.random.default_rng(SEED)
    paths = [folder / f"{size}-{i}.png" for i in range(3)]
    for path in paths:
        y, x = np.mgrid[0:size, 0:size]
        waves = [np.sin(x * rng.uniform(0, 0.4) + y * rng.uniform(0, 0.4) + rng.uniform(0, 6)) for _ in range(3)]
        Image.fromarray((128 + 100 * np.stack(waves, -1) + rng.normal(0, 20, (size, size, 3))).clip(0, 255).astype(np.uint8)).save(path)
    return paths


class Reference:
    """A model, and what open_clip makes of the pictures and texts."""

    def __init__(self, config: dict, folder: Path, half: bool = False):
        self.config = config
        size = config["vision_cfg"]["image_size"]
        self.paths = pictures(folder, size)
        self.pixels = torch.stack([image_transform(size, is_train=False)(Image.open(path)) for path in self.paths])
        self.model = random_models.build(config, SEED, self.pixels)
        if half:
            # What half precision keeps of the weights that OpenAI stores so.
            weights = self.model.state_dict()
            self.model.load_state_dict({name: value.half().float() if in_half(name) else value for name, value in weights.items()})
        self.rows = encode(self.model, self.pixels, open_clip.tokenize(TEXTS))
        for rows in self.rows:
            nearest = min(np.abs(a - b).max() for i, a in enumerate(rows) for b in rows[:i])
            assert nearest > 10 * ABSOLUTE, "rows must differ, or one could pass for another"


@torch.no_grad()
def encode(model, pixels, ids) -> tuple[np.ndarray, np.ndarray]:
    return model.encode_image(pixels, normalize=True).numpy(), model.encode_text(ids, normalize=True).numpy()


@torch.no_grad()
def encode_transformers(model: CLIPModel, pixels, ids) -> tuple[np.ndarray, np.ndarray]:
    rows = [model.get_image_features(pixel_values=pixels).pooler_output, model.get_text_features(input_ids=ids).pooler_output]
    return tuple(nn.functional.normalize(part, dim=-1).numpy() for part in rows)


def compare(what: str, found, reference: Reference) -> None:
    differences = [float(np.abs(a - b).max()) if np.isfinite(a).all() else float("inf") for a, b in zip(found, reference.rows, strict=True)]
    fine = all(difference <= ABSOLUTE for difference in differences)
    if not fine:
        failures.append(what)
    print(f"  {what:58} {differences[0]:8.1e} {differences[1]:8.1e}{'' if fine else '   FAILED'}", flush=True)


# Our side


def check(ours: Ours, what: str, checkpoint: Path, reference: Reference, *options: str, texts: list[str] = TEXTS) -> None:
    """Exports a checkpoint and compares its embeddings."""
    found = ours.embed(ours.export(checkpoint, *options), reference.paths, texts)
    compare(what, [np.array(rows, np.float32) for rows in found], reference)


def refused(ours: Ours, checkpoint: Path, reason: str) -> None:
    result = ours.run("clip-export", checkpoint, "-o", ours.fresh())
    if result.returncode != 1 or reason not in result.stderr:
        failures.append(f"{checkpoint.name} was not refused: {result.stderr}")
        print(f"  FAILED: {failures[-1]}")


# Hugging Face


def save_hugging_face(reference: Reference, folder: Path, vocabulary_alone: bool = False, **options) -> None:
    model = random_models.transformers_model(reference.model, reference.config)
    # Same values, but none that two names share, as save_pretrained wants it.
    model.load_state_dict({name: value.clone() for name, value in model.state_dict().items()}, assign=True)
    model.save_pretrained(folder, **options)
    size = reference.config["vision_cfg"]["image_size"]
    CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size}).save_pretrained(folder)
    simple = open_clip.tokenizer.SimpleTokenizer(additional_special_tokens=None)
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {names.get(token, token): number for token, number in simple.encoder.items()}
    merges = [" ".join(pair) for pair, _ in sorted(simple.bpe_ranks.items(), key=lambda item: item[1])]
    if vocabulary_alone:
        (folder / "vocab.json").write_text(json.dumps(vocabulary))
        (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    else:
        CLIPTokenizer(vocab=vocabulary, merges=[tuple(merge.split()) for merge in merges]).save_pretrained(folder)


def hugging_face(ours: Ours, folder: Path) -> None:
    for quick_gelu in (True, False):
        reference = Reference(vit(quick_gelu), folder)
        kind = "QuickGELU" if quick_gelu else "GELU"
        whole, shards, torch_file = (folder / f"hf-{kind}-{name}" for name in ("whole", "shards", "torch"))
        save_hugging_face(reference, whole)
        assert (whole / "model.safetensors").exists() and (whole / "tokenizer.json").exists()
        check(ours, f"Hugging Face, {kind}, safetensors", whole, reference)
        save_hugging_face(reference, shards, max_shard_size="5MB")
        assert (shards / "model.safetensors.index.json").exists()
        check(ours, f"Hugging Face, {kind}, shards", shards, reference)
        save_hugging_face(reference, torch_file, vocabulary_alone=True)
        (torch_file / "model.safetensors").unlink()
        torch.save(CLIPModel.from_pretrained(whole).state_dict(), torch_file / "pytorch_model.bin")
        check(ours, f"Hugging Face, {kind}, pytorch_model.bin, vocab.json", torch_file, reference)
    compare_open_clip("  written --to open-clip, opened by open_clip", ours.convert(whole, "open-clip"), reference)


def change(path: Path, change) -> None:
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields))


def as_transformers(reference: Reference, checkpoint: Path, texts: list[str] = TEXTS) -> None:
    """What transformers makes of a folder is what is compared with."""
    ids = AutoTokenizer.from_pretrained(checkpoint)(texts, padding="max_length", truncation=True, max_length=77, return_tensors="pt")
    model = CLIPModel.from_pretrained(checkpoint, dtype=torch.float32).eval()
    reference.rows = encode_transformers(model, reference.pixels, ids["input_ids"])


def others(ours: Ours, folder: Path) -> None:
    """Hugging Face's folders of fine-tuned and otherwise changed models."""
    reference = Reference(vit(False), folder)
    plain, doubles, norms = (folder / f"hf-{name}" for name in ("plain", "doubles", "norms"))
    save_hugging_face(reference, plain)
    shutil.copytree(plain, doubles)
    CLIPModel.from_pretrained(plain).double().save_pretrained(doubles)
    check(ours, "Hugging Face, double precision", doubles, reference)

    shutil.copytree(plain, norms)
    change(norms / "config.json", lambda fields: fields["vision_config"].update(layer_norm_eps=0.02))
    change(norms / "config.json", lambda fields: fields["text_config"].update(layer_norm_eps=0.05))
    before = reference.rows
    as_transformers(reference, norms)
    assert all(np.abs(a - b).max() > 10 * ABSOLUTE for a, b in zip(before, reference.rows))
    check(ours, "Hugging Face, other layer_norm_eps", norms, reference)
    compare_open_clip("  written --to open-clip, opened by open_clip", ours.convert(norms, "open-clip"), reference)
    compare_transformers("  written --to hf, opened by transformers", ours.convert(norms, "hf"), reference)

    texts = ["a cat <mark>", "<mark> two red cars", "a photo of a dog."]
    rows = []
    for end, pooled in ((49407, "the end of text"), (2, "the highest id")):
        grown = folder / f"hf-grown-{end}"
        shutil.copytree(plain, grown)
        tokenizer = AutoTokenizer.from_pretrained(plain)
        tokenizer.add_special_tokens({"additional_special_tokens": ["<mark>"]})
        tokenizer.save_pretrained(grown)
        model = CLIPModel.from_pretrained(plain)
        embeddings = model.text_model.embeddings
        table = torch.cat([embeddings.token_embedding.weight.data, embeddings.token_embedding.weight.data[:1] * 3])
        embeddings.token_embedding = nn.Embedding.from_pretrained(table)
        model.config.text_config.update({"vocab_size": len(tokenizer), "eos_token_id": end})
        model.save_pretrained(grown)
        as_transformers(reference, grown, texts)
        rows.append(reference.rows[1])
        check(ours, f"Hugging Face, a token above the end of text, pooled at {pooled}", grown, reference, texts=texts)
        compare_open_clip("  written --to open-clip, opened by open_clip", ours.convert(grown, "open-clip"), reference, texts)
        compare_transformers("  written --to hf, opened by transformers", ours.convert(grown, "hf"), reference, texts)
    assert np.abs(rows[0] - rows[1])[:2].max() > 10 * ABSOLUTE


# OpenAI


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    def __init__(self, width: int, heads: int, causal: int):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", QuickGELU())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))
        # As in OpenAI's archives, the mask is an attribute, but no parameter.
        self.attn_mask = torch.full((causal, causal), float("-inf")).triu(1) if causal else torch.zeros(1, 1)
        self.causal = causal > 0

    def forward(self, x):
        normed = self.ln_1(x.float()).to(x.dtype)
        mask = self.attn_mask.to(x.dtype) if self.causal else None
        x = x + self.attn(normed, normed, normed, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x.float()).to(x.dtype))


class Stack(nn.Module):
    def __init__(self, width: int, layers: int, heads: int, causal: int = 0):
        super().__init__()
        self.resblocks = nn.Sequential(*[Block(width, heads, causal) for _ in range(layers)])

    def forward(self, x):
        return self.resblocks(x)


class Visual(nn.Module):
    def __init__(self, image_size: int, patch_size: int, width: int, layers: int, head_width: int, embed_dim: int):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch_size, patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros((image_size // patch_size) ** 2 + 1, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = Stack(width, layers, width // head_width)
        self.proj = nn.Parameter(torch.zeros(width, embed_dim))

    def forward(self, x):
        x = self.conv1(x).flatten(2).transpose(1, 2)
        first = self.class_embedding.to(x.dtype).expand(x.shape[0], 1, -1)
        x = torch.cat([first, x], dim=1) + self.positional_embedding.to(x.dtype)
        x = self.transformer(self.ln_pre(x.float()).to(x.dtype).transpose(0, 1)).transpose(0, 1)
        return self.ln_post(x[:, 0].float()).to(x.dtype) @ self.proj


class Clip(nn.Module):
    """The architecture whose TorchScript archives OpenAI published, with their names and number formats."""

    def __init__(self, config: dict):
        super().__init__()
        vision, text = config["vision_cfg"], config["text_cfg"]
        self.visual = Visual(**vision, embed_dim=config["embed_dim"])
        self.transformer = Stack(text["width"], text["layers"], text["heads"], text["context_length"])
        self.token_embedding = nn.Embedding(text["vocab_size"], text["width"])
        self.positional_embedding = nn.Parameter(torch.zeros(text["context_length"], text["width"]))
        self.ln_final = nn.LayerNorm(text["width"])
        self.text_projection = nn.Parameter(torch.zeros(text["width"], config["embed_dim"]))
        self.logit_scale = nn.Parameter(torch.zeros([]))
        sizes = {"input_resolution": vision["image_size"], "context_length": text["context_length"], "vocab_size": text["vocab_size"]}
        for name, value in sizes.items():
            self.register_buffer(name, torch.tensor(value))

    def forward(self, image, text):
        image = self.visual(image)
        x = self.token_embedding(text).to(image.dtype) + self.positional_embedding.to(image.dtype)
        x = self.ln_final(self.transformer(x.transpose(0, 1)).transpose(0, 1).float()).to(image.dtype)
        return image, x[torch.arange(x.shape[0]), text.argmax(dim=-1)] @ self.text_projection


def in_half(name: str) -> bool:
    """Convolutions, linear maps and projections; norms, embeddings and the scale stay in single precision."""
    return name in ("visual.conv1.weight", "visual.proj", "text_projection") or ".attn." in name or ".mlp." in name


def openai(ours: Ours, folder: Path) -> None:
    reference = Reference(vit(True), folder, half=True)
    model = Clip(reference.config).eval()
    model.load_state_dict(reference.model.state_dict(), strict=False)
    for name, parameter in model.named_parameters():
        if in_half(name):
            parameter.data = parameter.data.half()
    scripted = torch.jit.script(model)
    with torch.no_grad():
        rows = scripted(reference.pixels.half(), open_clip.tokenize(TEXTS))
    cosines = [float(nn.functional.cosine_similarity(a.float(), torch.tensor(b)).min()) for a, b in zip(rows, reference.rows)]
    assert min(cosines) > 0.999, cosines  # the archive is the same network, as far as half precision tells
    archive = folder / "ViT-B-32.pt"
    scripted.save(archive)
    check(ours, "OpenAI, TorchScript archive in half precision", archive, reference)
    compare_open_clip("  written --to open-clip, opened by open_clip", ours.convert(archive, "open-clip"), reference)
    compare_transformers("  written --to hf, opened by transformers", ours.convert(archive, "hf"), reference)


# OpenCLIP


def trainer(ours: Ours, folder: Path) -> None:
    reference = Reference(vit(False, size=48, width=1280, head_width=80), folder)
    weights = reference.model.state_dict()
    wrapped = {f"module.{name}": value for name, value in weights.items()}
    optimizer = torch.optim.AdamW(reference.model.parameters())
    path = folder / "epoch_3.pt"
    torch.save({"epoch": 3, "name": "run", "state_dict": wrapped, "optimizer": optimizer.state_dict()}, path)
    check(ours, "OpenCLIP's trainer, module. and state_dict, GELU", path, reference, "--gelu")
    refused(ours, path, "--gelu or --quickgelu")
    torch.save(weights, folder / "plain.bin", _use_new_zipfile_serialization=False)
    check(ours, "state dict, before zip archives", folder / "plain.bin", reference, "--gelu")
    torch.save(torch.compile(reference.model).state_dict(), folder / "compiled.pt")
    check(ours, "state dict of a compiled model, _orig_mod.", folder / "compiled.pt", reference, "--gelu")
    torch.save({name: value.double() for name, value in weights.items()}, folder / "doubles.pt")
    check(ours, "state dict, double precision", folder / "doubles.pt", reference, "--gelu")
    marked = {name: nn.Parameter(value.clone()) for name, value in weights.items()}
    for value in marked.values():
        value.mark = "of somebody's"
    torch.save(marked, folder / "marked.pt")
    check(ours, "state dict, parameters with attributes", folder / "marked.pt", reference, "--gelu")
    # Not contiguous, and all in one storage.
    strided = {name: value.T.contiguous().T if value.dim() == 2 else value for name, value in weights.items()}
    torch.save(strided, folder / "strided.pt")
    check(ours, "state dict, transposed in memory", folder / "strided.pt", reference, "--gelu")
    flat = torch.cat([value.flatten() for value in weights.values()])
    pieces = flat.split([value.numel() for value in weights.values()])
    torch.save({name: piece.view(value.shape) for (name, value), piece in zip(weights.items(), pieces)}, folder / "flat.pt")
    check(ours, "state dict, one storage for all", folder / "flat.pt", reference, "--gelu")
    # What --lock-text and --force-custom-text make.
    custom = open_clip.CustomTextCLIP(**reference.config)
    custom.load_state_dict(open_clip.model.convert_to_custom_text_state_dict(weights))
    torch.save({"epoch": 3, "state_dict": custom.state_dict()}, folder / "custom.pt")
    check(ours, "OpenCLIP's trainer, text tower under text.", folder / "custom.pt", reference, "--gelu")
    random_models.write_checkpoint(custom, {**reference.config, "custom_text": True}, folder / "custom")
    check(ours, "OpenCLIP's hub, text tower under text.", folder / "custom", reference)
    compare_open_clip("  written --to open-clip, opened by open_clip", ours.convert(folder / "custom", "open-clip"), reference)
    bfloat = Reference(vit(False), folder)
    bfloat.model.load_state_dict({name: value.bfloat16().float() for name, value in bfloat.model.state_dict().items()})
    bfloat.rows = encode(bfloat.model, bfloat.pixels, open_clip.tokenize(TEXTS))
    torch.save({name: nn.Parameter(value.bfloat16()) for name, value in bfloat.model.state_dict().items()}, folder / "bf16.pt")
    check(ours, "state dict, parameters in bfloat16", folder / "bf16.pt", bfloat, "--gelu")

    convolutions = Reference(resnet(), folder)
    hub = folder / "hub"
    random_models.write_checkpoint(convolutions.model, convolutions.config, hub)
    (hub / "open_clip_model.safetensors").unlink()
    torch.save(convolutions.model.state_dict(), hub / "open_clip_pytorch_model.bin")
    check(ours, "OpenCLIP's hub, ResNet, open_clip_pytorch_model.bin", hub, convolutions)
    compare_open_clip("  written --to open-clip, opened by open_clip", ours.convert(hub, "open-clip"), convolutions)


def bias(ours: Ours, folder: Path) -> None:
    """What open_clip trains with --siglip: CLIP's network, and a sigmoid of each similarity."""
    reference = Reference({**vit(False), "init_logit_bias": -10}, folder)
    with torch.no_grad():
        reference.model.logit_bias.fill_(-3.25)
        reference.model.logit_scale.fill_(1.5)
        logits, _ = reference.model.get_logits(reference.pixels, open_clip.tokenize(TEXTS))
    hub, path = folder / "hub", folder / "epoch_1.pt"
    random_models.write_checkpoint(reference.model, reference.config, hub)
    torch.save({"epoch": 1, "name": "run", "state_dict": reference.model.state_dict()}, path)
    check(ours, "OpenCLIP's hub, with a logit bias", hub, reference)
    check(ours, "OpenCLIP's trainer, with a logit bias", path, reference, "--gelu")
    for what, checkpoint, options in (("hub", hub, []), ("trainer", path, ["--gelu"])):
        probabilities(ours, f"  probabilities, {what}", ours.export(checkpoint, *options), reference, torch.sigmoid(logits).numpy())
    written = ours.convert(hub, "open-clip")
    compare_open_clip("  written --to open-clip, opened by open_clip", written, reference)
    found = open_clip.create_model(f"local-dir:{written}").logit_bias
    if found is None or found.item() != -3.25:
        failures.append(f"the bias that open_clip opens is {found}")
    result = ours.run("clip-export", hub, "-o", ours.fresh(), "--to", "hf")
    if result.returncode != 1 or "no logit_bias" not in result.stderr:
        failures.append(f"a logit bias was written as hf: {result.stderr}")


def probabilities(ours: Ours, what: str, exported: Path, reference: Reference, expected: np.ndarray) -> None:
    columns = [i for i, text in enumerate(TEXTS) if text and text.strip() == text]
    names = ours.folder / "labels.txt"
    names.write_text("".join(f"{TEXTS[i]}\n" for i in columns))
    options = ("--labels-file", names, "--template", "{}", "--top", len(columns), "--json")
    lines = ours.succeed("clip-run", "classify", exported, *reference.paths, *options).splitlines()
    rows = [{match["label"]: match["probability"] for match in json.loads(line)["labels"]} for line in lines]
    difference = max(abs(row[TEXTS[i]] - expected[n, i]) for n, row in enumerate(rows) for i in columns)
    fine = difference <= ABSOLUTE
    if not fine:
        failures.append(what)
    print(f"  {what:58} {difference:8.1e}{'' if fine else '   FAILED'}", flush=True)


def positions(ours: Ours, folder: Path) -> None:
    """A configuration that asks for other sizes than the weights have."""
    for size, length in ((96, 77), (48, 77), (64, 40), (80, 100)):
        config = vit(True)
        stored = Reference(config, folder)
        hub = folder / f"hub-{size}-{length}"
        random_models.write_checkpoint(stored.model, config, hub)
        path = hub / "open_clip_config.json"
        change(path, lambda fields: fields["model_cfg"]["vision_cfg"].update(image_size=size))
        change(path, lambda fields: fields["model_cfg"]["text_cfg"].update(context_length=length))
        change(path, lambda fields: fields["preprocess_cfg"].update(size=size))
        model = open_clip.create_model(f"local-dir:{hub}").eval()
        # Embeddings of texts are compared where both lengths hold them.
        short = [text for text in TEXTS if len(text) < 60]
        stored.paths = pictures(folder, size)
        stored.pixels = torch.stack([image_transform(size, is_train=False)(Image.open(path)) for path in stored.paths])
        stored.rows = encode(model, stored.pixels, open_clip.tokenize(short, context_length=length))
        what = f"{size} pixels and {length} tokens from 64 and 77"
        check(ours, f"OpenCLIP's hub, {what}", hub, stored, texts=short)
        result = ours.run("clip-export", hub, "-o", ours.fresh())
        if "was interpolated from" not in result.stderr:
            failures.append(f"{what}: nothing was said of interpolation: {result.stderr}")
        written = load_file(ours.convert(hub, "open-clip") / "open_clip_model.safetensors")
        for name in ("visual.positional_embedding", "positional_embedding"):
            difference = float((written[name] - model.state_dict()[name]).abs().max())
            fine = difference <= INTERPOLATED
            if not fine:
                failures.append(f"{what}: {name}")
            print(f"    {name:56} {difference:8.1e}{'' if fine else '   FAILED'}", flush=True)


# What clip-export wrote, in the hands of others


def compare_open_clip(what: str, checkpoint: Path, reference: Reference, texts: list[str] = TEXTS) -> None:
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{checkpoint}")
    tokenize = open_clip.get_tokenizer(f"local-dir:{checkpoint}", context_length=model.context_length)
    pixels = torch.stack([preprocess(Image.open(path)) for path in reference.paths])
    compare(what, encode(model.eval(), pixels, tokenize(texts)), reference)


def compare_transformers(what: str, checkpoint: Path, reference: Reference, texts: list[str] = TEXTS) -> None:
    model = CLIPModel.from_pretrained(checkpoint).eval()
    processor = CLIPImageProcessor.from_pretrained(checkpoint)
    pixels = processor([Image.open(path) for path in reference.paths], return_tensors="pt")["pixel_values"]
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    ids = tokenizer(texts, padding="max_length", truncation=True, max_length=77, return_tensors="pt")["input_ids"]
    compare(what, encode_transformers(model, pixels, ids), reference)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="the folder of the built examples; the programs lie in the one above")
    arguments = parser.parse_args()
    started = time.monotonic()
    print(f"limit: max abs difference {ABSOLUTE:.0e}; seed {SEED}")
    print(f"  {'':58} {'images':>8} {'texts':>8}")
    for part in (hugging_face, others, openai, trainer, bias, positions):
        with tempfile.TemporaryDirectory(prefix="clip-parity-") as folder:
            part(Ours(arguments.examples, Path(folder)), Path(folder))
    print(f"{len(failures)} failures, {time.monotonic() - started:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
