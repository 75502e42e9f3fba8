"""Compares training steps with PyTorch; exits with 1 beyond the limits.

    python tests/parity/training.py target/release/examples

From the same weights and batches, the trainer (trainer/examples/steps.rs) and open_clip's model with its ClipLoss, its
learning rate schedule and torch.optim.AdamW do 20 steps, in fp32: a small ViT with clipped gradients, a small
ModifiedResNet with batch norms in training mode whose logit scale starts above its limit, and the ViT with a logit bias and
SigLipLoss. Compared are each step's loss,
the gradients of five parameters at the first step, and all parameters and running statistics after the last, which
open_clip opens from the checkpoint that we wrote.

The gradients of later steps are compared too. There rounding decides on which side of zero a ReLU's input falls, and
PyTorch in fp32 is itself up to 10 % away from PyTorch in fp64, which is then the limit in place of 1e-4.

In bf16 the losses of the 20 batches, all with the first weights, and the first one's gradients are compared: they may be as far from those
in fp32 as open_clip's under autocast are, and half as far again.
"""

import argparse
import copy
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.loss import ClipLoss, SigLipLoss
from open_clip_train.scheduler import cosine_lr
from safetensors.torch import load_file, save_file

import random_models

RELATIVE = 1e-4
STEPS = 20
BATCH = 16
SEED = 2103_00020

TEXT = {"context_length": 32, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
CASES = {
    "ViT": {
        "config": {
            "embed_dim": 48,
            "quick_gelu": True,
            "vision_cfg": {"image_size": 64, "layers": 3, "width": 128, "patch_size": 16},
            "text_cfg": TEXT,
        },
        "optim": {"lr": 1e-3, "warmup": 5, "beta1": 0.9, "beta2": 0.98, "eps": 1e-6, "weight_decay": 0.2, "clip": 1.0},
        "logit_scale": math.log(1 / 0.07),
        "names": [
            "visual.conv1.weight",
            "visual.transformer.resblocks.0.attn.in_proj_weight",
            "token_embedding.weight",
            "transformer.resblocks.1.mlp.c_fc.bias",
            "logit_scale",
        ],
    },
    "ModifiedResNet": {
        "config": {
            "embed_dim": 48,
            "quick_gelu": True,
            "vision_cfg": {"image_size": 64, "layers": [1, 2, 1, 1], "width": 16, "patch_size": None},
            "text_cfg": TEXT,
        },
        "optim": {"lr": 2e-4, "warmup": 5, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.2, "clip": 0.0},
        "logit_scale": 4.7,
        "names": [
            "visual.conv1.weight",
            "visual.layer2.0.bn2.weight",
            "visual.attnpool.q_proj.weight",
            "positional_embedding",
            "logit_scale",
        ],
    },
}

CASES["sigmoid"] = {
    **CASES["ViT"],
    "config": {**CASES["ViT"]["config"], "init_logit_scale": math.log(10), "init_logit_bias": -10},
    "optim": {**CASES["ViT"]["optim"], "clip": 0.0, "objective": "sigmoid"},
    "logit_scale": math.log(10),
    "names": [*CASES["ViT"]["names"], "logit_bias"],
}
LOSSES = {"ViT": ClipLoss, "ModifiedResNet": ClipLoss, "sigmoid": SigLipLoss}

failures: list[str] = []


def check(holds: bool, what: str) -> None:
    if not holds:
        failures.append(what)
        print(f"    FAILED: {what}")


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference over the norm of what is expected; infinite when something is not a number."""
    found, expected = found.double(), expected.double()
    if not torch.isfinite(found).all():
        return math.inf
    return float((found - expected).norm() / expected.norm().clamp_min(1e-30))


def make_batches(size: int) -> dict[str, torch.Tensor]:
    """Noise with a colour of its own for each picture, and texts of different lengths."""
    generator = torch.Generator().manual_seed(SEED)
    words = "a the dog cat red blue house car tree water man woman street sky food table photo old small two".split()
    batches = {}
    for step in range(STEPS):
        colours = torch.randn(BATCH, 1, 1, 3, generator=generator)
        values = 128 + 50 * (colours + torch.randn(BATCH, size, size, 3, generator=generator))
        lengths = torch.randint(1, 25, (BATCH,), generator=generator).tolist()
        choices = [torch.randint(len(words), (length,), generator=generator).tolist() for length in lengths]
        texts = [" ".join(words[i] for i in choice) for choice in choices]
        batches[f"pictures.{step:02}"] = values.clamp(0, 255).to(torch.uint8)
        batches[f"ids.{step:02}"] = open_clip.tokenize(texts, context_length=TEXT["context_length"])
    return batches


def cut(ids: torch.Tensor) -> torch.Tensor:
    """Without the columns that are padding in every row, as our loader gives them."""
    return ids[:, : int(ids.argmax(dim=1).max()) + 1].contiguous()


def reference(model, loss_function, batches: dict[str, torch.Tensor], optim: dict, names: list[str]) -> tuple[list[float], dict[str, torch.Tensor]]:
    """The losses and named gradients of open_clip's own way of training; `model` is trained."""
    plain = [p for n, p in model.named_parameters() if p.ndim < 2 or "bn" in n or "ln" in n or "bias" in n or "logit_scale" in n]
    decayed = [p for p in model.parameters() if not any(p is q for q in plain)]
    optimizer = torch.optim.AdamW(
        [{"params": plain, "weight_decay": 0.0}, {"params": decayed, "weight_decay": optim["weight_decay"]}],
        lr=optim["lr"],
        betas=(optim["beta1"], optim["beta2"]),
        eps=optim["eps"],
    )
    schedule = cosine_lr(optimizer, optim["lr"], optim["warmup"], optim["steps"])
    parameters = dict(model.named_parameters())
    model.train()
    # As the trainer does: the same kernels, so that rounding decides alike near a ReLU's zero.
    model.visual.to(memory_format=torch.channels_last)
    losses, gradients = [], {}
    for step in range(STEPS):
        schedule(step)
        optimizer.zero_grad()
        images = random_models.normalized(batches[f"pictures.{step:02}"]).to(model.logit_scale.dtype, memory_format=torch.channels_last)
        loss = loss_function(*model(images, batches[f"ids.{step:02}"]))
        loss.backward()
        losses.append(loss.item())
        gradients |= {f"gradients.{step:02}.{name}": parameters[name].grad.clone() for name in names}
        if optim["clip"] > 0:
            torch.nn.utils.clip_grad_norm_(model.parameters(), optim["clip"])
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
    return losses, gradients


def compare(case: str, examples: Path, folder: Path) -> None:
    config, names = CASES[case]["config"], CASES[case]["names"]
    optim = {**CASES[case]["optim"], "steps": STEPS, "batch": BATCH}
    size = config["vision_cfg"]["image_size"]
    batches = make_batches(size)
    model = random_models.build(config, SEED, random_models.normalized(batches["pictures.00"]))
    with torch.no_grad():
        model.logit_scale.fill_(CASES[case]["logit_scale"])
    random_models.write_checkpoint(model, config, folder / "initial")
    ours = {name: cut(value) if name.startswith("ids") else value for name, value in batches.items()}
    save_file(ours, folder / "batches.safetensors")
    arguments = [folder / "initial", folder / "batches.safetensors", json.dumps(optim), folder / "trained", *names]
    since = time.monotonic()
    subprocess.run([examples / "steps", *arguments], check=True)
    our_time = time.monotonic() - since
    found = load_file(folder / "trained" / "steps.safetensors")

    exact_model = copy.deepcopy(model).double()
    since = time.monotonic()
    losses, gradients = reference(model, LOSSES[case](), batches, optim, names)
    print(f"{case}: {STEPS} steps of {BATCH} pairs, libtorch {our_time:.0f} s, PyTorch {time.monotonic() - since:.0f} s")
    _, exact = reference(exact_model, LOSSES[case](), batches, optim, names)

    relative = [abs(a - b) / abs(b) for a, b in zip(found["losses"].tolist(), losses, strict=True)]
    print(f"  losses {losses[0]:.4f} to {losses[-1]:.4f}: largest relative difference {max(relative):.1e}")
    check(max(relative) <= RELATIVE, f"{case}: loss of step {int(np.argmax(relative))} is {max(relative):.1e} off, limit {RELATIVE:.0e}")
    check(max(losses) - min(losses) > 0.1, f"{case}: the losses hardly move, so that nothing is compared")
    for name in names:
        keys = [f"gradients.{step:02}.{name}" for step in range(STEPS)]
        off = [distance(found[key], gradients[key]) for key in keys]
        rounding = [distance(gradients[key], exact[key]) for key in keys]
        print(f"  gradient of {name:52} first {off[0]:.1e}, later {max(off):.1e} (PyTorch's own {max(rounding):.1e})")
        limits = [RELATIVE] + [max(RELATIVE, own) for own in rounding[1:]]
        for step in range(STEPS):
            check(off[step] <= limits[step], f"{case}: gradient of {name} at step {step} is {off[step]:.1e} off, limit {limits[step]:.1e}")

    trained = open_clip.create_model(f"local-dir:{folder / 'trained'}").state_dict()
    expected = model.state_dict()
    check(trained.keys() == expected.keys(), f"{case}: the checkpoint has other names")
    off = {name: distance(trained[name], expected[name]) for name in expected if expected[name].is_floating_point()}
    # Keys' biases have no effect on attention: their gradients are rounding errors, which AdamW scales up.
    off = {name: value for name, value in off.items() if not name.endswith(("in_proj_bias", "k_proj.bias"))}
    worst = max(off, key=off.get)
    print(f"  after the last step, opened by open_clip: largest relative difference {off[worst]:.1e} ({worst})")
    check(off[worst] <= RELATIVE, f"{case}: {worst} is {off[worst]:.1e} off after the last step")
    check(float(expected["logit_scale"]) <= math.log(100), f"{case}: the reference does not clamp")
    counters = [name for name in expected if name.endswith("num_batches_tracked")]
    # The one batch more is the one that `build` took the statistics from.
    check(all(int(trained[name]) == STEPS == int(expected[name]) - 1 for name in counters), f"{case}: batches counted")

    # The comparison must be able to fail: another step's gradient is far outside the limit.
    check(distance(gradients[f"gradients.19.{names[0]}"], gradients[f"gradients.18.{names[0]}"]) > 100 * RELATIVE, f"{case}: steps do not differ")


def compare_bf16(case: str, examples: Path, folder: Path) -> None:
    config, names = CASES[case]["config"], CASES[case]["names"]
    # A learning rate of zero: all batches meet the same weights.
    optim = {**CASES[case]["optim"], "steps": STEPS, "batch": BATCH, "lr": 0.0, "precision": "bf16"}
    batches = make_batches(config["vision_cfg"]["image_size"])
    model = random_models.build(config, SEED, random_models.normalized(batches["pictures.00"]))
    with torch.no_grad():
        model.logit_scale.fill_(min(CASES[case]["logit_scale"], math.log(100)))
    random_models.write_checkpoint(model, config, folder / "initial")
    ours = {name: cut(value) if name.startswith("ids") else value for name, value in batches.items()}
    save_file(ours, folder / "batches.safetensors")
    arguments = [folder / "initial", folder / "batches.safetensors", json.dumps(optim), folder / "trained", *names]
    subprocess.run([examples / "steps", *arguments], check=True)
    found = load_file(folder / "trained" / "steps.safetensors")

    def step(number: int, autocast: bool) -> tuple[float, dict[str, torch.Tensor]]:
        model.train()
        model.zero_grad()
        pixels = random_models.normalized(batches[f"pictures.{number:02}"])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = LOSSES[case]()(*model(pixels, batches[f"ids.{number:02}"]))
        loss.backward()
        parameters = dict(model.named_parameters())
        return loss.item(), {name: parameters[name].grad.clone() for name in names}

    (exact_losses, exact), (losses, gradients) = ([list(part) for part in zip(*(step(n, autocast) for n in range(STEPS)))] for autocast in (False, True))
    exact, gradients = exact[0], gradients[0]
    exact_losses, losses = np.array(exact_losses), np.array(losses)
    own, theirs = (np.sqrt(np.mean((some / exact_losses - 1) ** 2)) for some in (found["losses"].numpy(), losses))
    print(f"{case} in bf16: losses {own:.1e} off fp32 (root mean square), open_clip's {theirs:.1e}")
    check(own <= 1.5 * theirs, f"{case} in bf16: the losses are {own:.1e} off, open_clip's {theirs:.1e}")
    largest = 0.0
    for name in names:
        own, theirs = distance(found[f"gradients.00.{name}"], exact[name]), distance(gradients[name], exact[name])
        print(f"  gradient of {name:52} {own:.1e}, open_clip's {theirs:.1e}")
        check(own <= max(1.5 * theirs, 1e-2), f"{case} in bf16: gradient of {name} is {own:.1e} off, open_clip's {theirs:.1e}")
        largest = max(largest, own)
    check(largest > 1e-3, f"{case} in bf16: the gradients were computed in fp32")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="the folder of the built examples")
    arguments = parser.parse_args()
    for case in CASES:
        with tempfile.TemporaryDirectory(prefix="clip-parity-") as folder:
            compare(case, arguments.examples, Path(folder))
        with tempfile.TemporaryDirectory(prefix="clip-parity-") as folder:
            compare_bf16(case, arguments.examples, Path(folder))
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
