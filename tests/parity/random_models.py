"""CLIP models with random weights, in open_clip, in transformers, and as a checkpoint folder in OpenCLIP's hub layout.

The usual initialisation is of little use for a comparison: gains of one and biases of zero hide a mistake in either,
and the embeddings of all inputs are nearly the same. So every gain, bias and statistic is random here too, and
attention is sharper; batch norms have statistics near those of their real inputs, as after training.
"""

import json
import math
from pathlib import Path

import open_clip
import torch
from open_clip.model import CLIP
from open_clip.modified_resnet import AttentionPool2d, Bottleneck
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPConfig, CLIPModel

ARCHITECTURES = ["RN50", "RN101", "RN50x4", "RN50x16", "RN50x64", "ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336"]


def openai_config(name: str) -> dict:
    """open_clip's configuration of one of OpenAI's nine models."""
    config = open_clip.get_model_config(name)
    assert config is not None, name
    return {**config, "quick_gelu": True}


def build(config: dict, seed: int, pictures: torch.Tensor) -> CLIP:
    """A model in evaluation mode with random weights, the same for the same seed.

    `pictures` [B, 3, S, S] are what its batch norms take their statistics from; one is enough.
    """
    torch.manual_seed(seed)
    model = CLIP(**{**config, "vision_cfg": dict(config["vision_cfg"]), "text_cfg": dict(config["text_cfg"])})
    with torch.no_grad():
        for module in model.modules():
            randomize(module)
        for module in model.modules():
            temper(module)
        model.logit_scale.fill_(math.log(50.0))
        settle_batch_norms(model, pictures)
    return model.eval()


def randomize(module: nn.Module) -> None:
    """Makes the parameters of one layer random that the initialisation leaves at zero, at one, or small."""
    match module:
        case nn.BatchNorm2d() | nn.LayerNorm():
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(std=0.2)
        case nn.Conv2d():
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        case nn.MultiheadAttention():
            width = module.embed_dim
            module.in_proj_weight[: 2 * width].normal_(std=2 * width**-0.5)
            module.in_proj_weight[2 * width :].normal_(std=1.5 * width**-0.5)
            module.in_proj_bias.normal_(std=0.2)
            module.out_proj.weight.normal_(std=0.5 * width**-0.5)
            module.out_proj.bias.normal_(std=0.02)
        case nn.Linear():
            module.weight.normal_(std=module.in_features**-0.5)
            module.bias.normal_(std=0.1)
        case nn.Embedding():
            module.weight.normal_(std=0.5)


def temper(module: nn.Module) -> None:
    """Keeps residual branches and attention pooling moderate; else the rounding of one block grows in the next."""
    match module:
        case Bottleneck():
            module.bn3.weight *= 0.35
        case AttentionPool2d():
            module.q_proj.weight *= 0.5
            module.k_proj.weight *= 0.5


def settle_batch_norms(model: CLIP, pictures: torch.Tensor) -> None:
    """Gives the batch norms the statistics of these pictures, disturbed."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.momentum = 1.0
    model.visual.train()
    model.visual(pictures)
    for norm in norms:
        norm.running_mean += 0.2 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean)
        norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.7, 1.4)
        norm.momentum = 0.1


def write_checkpoint(model: CLIP, config: dict, folder: Path) -> None:
    """A checkpoint folder such as open_clip pushes to the hub."""
    folder.mkdir()
    size = config["vision_cfg"]["image_size"]
    preprocess = {
        "size": size,
        "mode": "RGB",
        "mean": list(open_clip.OPENAI_DATASET_MEAN),
        "std": list(open_clip.OPENAI_DATASET_STD),
        "interpolation": "bicubic",
        "resize_mode": "shortest",
        "fill_color": 0,
    }
    description = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(description, indent=2))
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "open_clip_model.safetensors")


def normalized(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures `[B, S, S, 3]`, uint8, as a network takes them: what torchvision's ToTensor and Normalize do."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD))
    return ((pictures.permute(0, 3, 1, 2).float() / 255 - mean) / std).contiguous()


def transformers_model(model: CLIP, config: dict) -> CLIPModel:
    """The same ViT model in transformers, its weights renamed."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    their_config = CLIPConfig(
        projection_dim=config["embed_dim"],
        vision_config={
            "hidden_size": vision["width"],
            "intermediate_size": 4 * vision["width"],
            "num_hidden_layers": vision["layers"],
            "num_attention_heads": vision["width"] // vision.get("head_width", 64),
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "hidden_act": "quick_gelu" if config.get("quick_gelu") else "gelu",
            "projection_dim": config["embed_dim"],
        },
        text_config={
            "hidden_size": text["width"],
            "intermediate_size": 4 * text["width"],
            "num_hidden_layers": text["layers"],
            "num_attention_heads": text["heads"],
            "vocab_size": text["vocab_size"],
            "max_position_embeddings": text["context_length"],
            "hidden_act": "quick_gelu" if config.get("quick_gelu") else "gelu",
            "projection_dim": config["embed_dim"],
            "eos_token_id": text["vocab_size"] - 1,
        },
    )
    with torch.device("meta"):
        theirs = CLIPModel(their_config)
    weights = dict(renamed(model.state_dict()))
    # Position numbers are buffers that no state dict carries.
    for tower, count in (("text_model", text["context_length"]), ("vision_model", None)):
        embeddings = getattr(theirs, tower).embeddings
        embeddings.position_ids = torch.arange(count or embeddings.num_positions).expand((1, -1))
    theirs.load_state_dict(weights, assign=True)
    return theirs.eval()


def renamed(weights: dict[str, torch.Tensor]):
    """open_clip's names and layouts to those of transformers."""
    plain = {
        "logit_scale": "logit_scale",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "ln_final.weight": "text_model.final_layer_norm.weight",
        "ln_final.bias": "text_model.final_layer_norm.bias",
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
        "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
        "visual.ln_post.weight": "vision_model.post_layernorm.weight",
        "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    }
    transposed = {"text_projection": "text_projection.weight", "visual.proj": "visual_projection.weight"}
    parts = {
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "attn.out_proj": "self_attn.out_proj",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    for name, value in weights.items():
        if name in plain:
            yield plain[name], value
        elif name in transposed:
            yield transposed[name], value.T.contiguous()
        else:
            tower, rest = name.split("transformer.resblocks.")
            layer, rest = rest.split(".", 1)
            to = f"{'vision' if tower else 'text'}_model.encoder.layers.{layer}"
            if rest.startswith("attn.in_proj_"):
                kind = rest.removeprefix("attn.in_proj_")
                for part, piece in zip("qkv", value.chunk(3)):
                    yield f"{to}.self_attn.{part}_proj.{kind}", piece.contiguous()
            else:
                part, kind = rest.rsplit(".", 1)
                yield f"{to}.{parts[part]}.{kind}", value
