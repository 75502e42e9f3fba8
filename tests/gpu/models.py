"""Model folders of CLIPs with random weights, exported on the spot by clip-export: weights that are random cannot be packed."""

import sys
from pathlib import Path

import check
import place

SEED = 2103_00020


def folder(name: str, precision: str, out: Path) -> Path:
    """The model folder of an architecture in a number format, made once: fp32, fp16, int8, or int8-trt, as TensorRT takes it."""
    to = out / "models" / name / precision
    if not to.exists():
        precision, _, dialect = precision.partition("-")
        options = ["--precision", precision]
        if precision == "int8":
            options += ["--dialect", dialect or "cpu"]
            options += ["--calibration-images", place.PICTURES, "--calibration-texts", place.LABELS, "--calibration-count", "8"]
            # Random weights and a few pictures say nothing about accuracy.
            options += ["--min-cosine=-1", "--min-mean-cosine=-1", "--min-top1=0"]
        to.parent.mkdir(parents=True, exist_ok=True)
        check.output([place.PROGRAMS / "clip-export", checkpoint(name, out), "-o", to, *options], env=place.environment())
    return to


def checkpoint(name: str, out: Path) -> Path:
    path = out / "models" / name / "checkpoint"
    if not path.exists():
        model, config = build(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        random_models().write_checkpoint(model, config, path)
    return path


def build(name: str):
    """open_clip's model, and its configuration."""
    import torch

    config = random_models().openai_config(name)
    size = config["vision_cfg"]["image_size"]
    pictures = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(SEED))
    return random_models().build(config, SEED, pictures), config


def random_models():
    sys.path.insert(0, str(place.BASE / "tests" / "parity"))
    import random_models

    return random_models
