"""Makes open_clip_models.jsonl: the configurations that open_clip ships, each with its number of parameters.

    python model/tests/open_clip_models.py > model/tests/open_clip_models.jsonl

Networks of timm's and of transformers' carry no number (null), since they are built of other parts than open_clip's own;
SigLIP's, whose image towers are timm's, do, and the activations of both towers besides.
"""

import json

import open_clip
import torch
from open_clip.model import CLIP, CustomTextCLIP

for name in open_clip.list_models():
    config = open_clip.get_model_config(name)
    vision, text = config["vision_cfg"], config["text_cfg"]
    timm = vision.get("timm_model_name") or ""
    own = (not timm or "_siglip_" in timm) and not text.get("hf_model_name") and not config.get("multimodal_cfg")
    parameters, activations = None, None
    if own:
        arguments = dict(config)
        kind = CustomTextCLIP if arguments.pop("custom_text", False) else CLIP
        with torch.device("meta"):
            model = kind(**arguments)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        # Which function timm means by a tower's name cannot be read from the configuration.
        if timm:
            towers = (model.visual.trunk.blocks[0].mlp.act, model.text.transformer.resblocks[0].mlp.gelu)
            activations = ["GeluTanh" if getattr(tower, "approximate", "none") == "tanh" or type(tower).__name__ == "GELUTanh" else "Gelu" for tower in towers]
    print(json.dumps({"name": name, "parameters": parameters, "activations": activations, "model_cfg": config}))
