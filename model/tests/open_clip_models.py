"""Makes open_clip_models.jsonl: the configurations that open_clip ships, each with its number of parameters.

    python model/tests/open_clip_models.py > model/tests/open_clip_models.jsonl

Networks of timm's and of transformers' carry no number (null): they are built of other parts than open_clip's own.
"""

import json

import open_clip
import torch
from open_clip.model import CLIP, CustomTextCLIP

for name in open_clip.list_models():
    config = open_clip.get_model_config(name)
    vision, text = config["vision_cfg"], config["text_cfg"]
    own = not (vision.get("timm_model_name") or text.get("hf_model_name") or config.get("multimodal_cfg"))
    parameters = None
    if own:
        arguments = dict(config)
        kind = CustomTextCLIP if arguments.pop("custom_text", False) else CLIP
        with torch.device("meta"):
            parameters = sum(parameter.numel() for parameter in kind(**arguments).parameters())
    print(json.dumps({"name": name, "parameters": parameters, "model_cfg": config}))
