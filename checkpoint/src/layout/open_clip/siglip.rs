//! SigLIP in OpenCLIP's configuration: one of timm's image towers, by name, and a text tower of OpenCLIP's own.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::network::{FIRST_BIAS, TextSizes};
use super::refusal::{is_empty, refuse};
use crate::error::{Error, Result};
use clip_model::config::{Activation, Config, EndOfText, Family, ImageTower, ViT};

/// What timm calls the sizes of its SigLIP image towers (its `vision_transformer.py`).
const SIZES: [Size; 4] = [
    Size { name: "base", width: 768, layers: 12, heads: 12, mlp_ratio: 4.0 },
    Size { name: "large", width: 1024, layers: 24, heads: 16, mlp_ratio: 4.0 },
    Size { name: "so400m", width: 1152, layers: 27, heads: 16, mlp_ratio: 3.7362 },
    Size { name: "giantopt", width: 1536, layers: 40, heads: 16, mlp_ratio: 4.0 },
];

struct Size {
    name: &'static str,
    width: usize,
    layers: usize,
    heads: usize,
    mlp_ratio: f64,
}

/// Size, side of a patch, sides of the image and activation of timm's towers: those that came with SigLIP 2 have the
/// approximation that both papers' models were trained with, the older ones the exact function.
const TOWERS: [(&str, usize, &[usize], Activation); 7] = [
    ("base", 16, &[224, 256, 384, 512], Activation::Gelu),
    ("base", 32, &[256], Activation::GeluTanh),
    ("large", 16, &[256, 384], Activation::Gelu),
    ("large", 16, &[512], Activation::GeluTanh),
    ("so400m", 14, &[224, 378, 384], Activation::Gelu),
    ("so400m", 16, &[256, 384, 512], Activation::GeluTanh),
    ("giantopt", 16, &[256, 384], Activation::GeluTanh),
];

/// Values that make the network SigLIP's.
fn required() -> [(&'static str, &'static str, Value); 7] {
    [
        ("model_cfg", "custom_text", json!(true)),
        ("vision_cfg", "timm_pool", json!("map")),
        ("vision_cfg", "timm_proj", json!("none")),
        ("text_cfg", "no_causal_mask", json!(true)),
        ("text_cfg", "proj_bias", json!(true)),
        ("text_cfg", "pool_type", json!("last")),
        ("text_cfg", "norm_kwargs", json!({"eps": 1e-6})),
    ]
}

/// Fields that say nothing about the network.
const FREE: [&str; 6] = [
    "hf_tokenizer_name",
    "init_logit_bias",
    "init_logit_scale",
    "nonscalar_logit_scale",
    "output_dict",
    "timm_model_pretrained",
];

/// How OpenCLIP cleans texts for SigLIP.
const CLEANING: &str = "canonicalize";

#[derive(Deserialize)]
struct Model {
    embed_dim: usize,
    vision_cfg: Vision,
    text_cfg: Text,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct Vision {
    timm_model_name: String,
    image_size: usize,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct Text {
    #[serde(flatten)]
    sizes: TextSizes,
    #[serde(default)]
    act_kwargs: Map<String, Value>,
    #[serde(default)]
    tokenizer_kwargs: Map<String, Value>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Whether a `model_cfg` has an image tower that timm calls SigLIP's.
pub(super) fn is_siglip(model: &Value) -> bool {
    let name = model["vision_cfg"]["timm_model_name"].as_str().unwrap_or_default();
    name.contains("_siglip_") && is_empty(&model["text_cfg"]["hf_model_name"])
}

/// The network of a `model_cfg` that [is SigLIP's](is_siglip).
///
/// # Errors
/// The outer one is serde's, for fields that are missing or of another type; the inner [`Error::Config`], by name, for
/// networks that are not built.
pub(super) fn read(model: Value) -> serde_json::Result<Result<Config>> {
    let model: Model = serde_json::from_value(model)?;
    Ok(network(model))
}

fn network(model: Model) -> Result<Config> {
    let Model { embed_dim, vision_cfg: vision, text_cfg: text, rest } = model;
    for (section, fields) in [("model_cfg", &rest), ("vision_cfg", &vision.rest), ("text_cfg", &text.rest)] {
        let required: Vec<_> = required().into_iter().filter(|(s, ..)| *s == section).collect();
        for (_, key, value) in &required {
            let found = fields.get(*key).unwrap_or(&Value::Null);
            if found != value {
                return refuse(section, key, found);
            }
        }
        let known = |key: &str| FREE.contains(&key) || required.iter().any(|(_, k, _)| *k == key);
        if let Some((key, value)) = fields.iter().find(|(key, value)| !known(key) && !is_empty(value)) {
            return refuse(section, key, value);
        }
    }
    if text.tokenizer_kwargs.get("clean").is_none_or(|clean| clean != CLEANING) {
        return refuse("text_cfg", "tokenizer_kwargs", &text.tokenizer_kwargs.into());
    }
    let activation = match text.act_kwargs.get("approximate").and_then(Value::as_str) {
        None if text.act_kwargs.is_empty() => Activation::Gelu,
        Some("tanh") if text.act_kwargs.len() == 1 => Activation::GeluTanh,
        _ => return refuse("text_cfg", "act_kwargs", &text.act_kwargs.into()),
    };
    let tower = towers().find(|(name, _)| *name == vision.timm_model_name);
    let image = match tower.map(|(_, image)| image) {
        Some(image) if image.image_size == vision.image_size => image,
        Some(_) => return refuse("vision_cfg", "image_size", &vision.image_size.into()),
        None => return refuse("vision_cfg", "timm_model_name", &vision.timm_model_name.into()),
    };
    let config = Config {
        family: Family::SigLip,
        embed_dim,
        image: ImageTower::ViT(image),
        text: text.sizes.tower(activation, Family::SigLip.norm_epsilon(), EndOfText::Highest),
        logit_bias: true,
    };
    config.validate()?;
    Ok(config)
}

/// timm's towers with their names, such as `vit_base_patch16_siglip_224`.
fn towers() -> impl Iterator<Item = (String, ViT)> {
    TOWERS.into_iter().flat_map(|(name, patch_size, image_sizes, activation)| {
        let size = SIZES.iter().find(|size| size.name == name);
        image_sizes.iter().zip(std::iter::repeat(size)).filter_map(move |(&image_size, size)| {
            let &Size { width, layers, heads, mlp_ratio, .. } = size?;
            let head_width = width / heads;
            let norm_epsilon = Family::SigLip.norm_epsilon();
            let tower = ViT {
                image_size,
                patch_size,
                width,
                layers,
                head_width,
                mlp_ratio,
                activation,
                norm_epsilon,
            };
            Some((format!("vit_{name}_patch{patch_size}_siglip_{image_size}"), tower))
        })
    })
}

/// The `model_cfg` of a SigLIP network.
///
/// # Errors
/// [`Error::Config`] when timm has no such image tower, or OpenCLIP no such text tower.
pub(super) fn write(config: &Config) -> Result<Value> {
    let unknown = |what: &str| {
        Error::Config(format!("OpenCLIP has no {what}: this checkpoint can only be written as hf"))
    };
    let ImageTower::ViT(image) = &config.image else {
        return Err(unknown("SigLIP with a ResNet"));
    };
    let name = towers().find(|(_, tower)| same(tower, image)).map(|(name, _)| name);
    let name = name.ok_or_else(|| {
        unknown("SigLIP image tower of these sizes with this activation (it takes timm's, by their names)")
    })?;
    if config.text.norm_epsilon != Family::SigLip.norm_epsilon() {
        return Err(unknown("SigLIP text tower with another norm_epsilon than 1e-6"));
    }
    let sizes = TextSizes::of(&config.text);
    let mut model = json!({
        "embed_dim": config.embed_dim,
        "init_logit_bias": FIRST_BIAS,
        "vision_cfg": {
            "image_size": image.image_size,
            "timm_model_name": name,
            "timm_model_pretrained": false,
        },
        "text_cfg": serde_json::to_value(sizes).map_err(|source| Error::json(super::CONFIG.as_ref(), source))?,
    });
    let text = &mut model["text_cfg"];
    // OpenCLIP reads the tokenizer of a local folder from that folder, whatever the name.
    text["hf_tokenizer_name"] = "tokenizer.json".into();
    text["tokenizer_kwargs"] = json!({"clean": CLEANING});
    match config.text.activation {
        Activation::Gelu => {}
        Activation::GeluTanh => text["act_kwargs"] = json!({"approximate": "tanh"}),
        Activation::QuickGelu => return Err(unknown("SigLIP text tower with QuickGELU")),
    }
    for (section, key, value) in required() {
        match section {
            "model_cfg" => model[key] = value,
            section => model[section][key] = value,
        }
    }
    Ok(model)
}

/// Whether two towers are the same network; ratios that give the same width are.
fn same(a: &ViT, b: &ViT) -> bool {
    a.hidden() == b.hidden() && *a == ViT { mlp_ratio: a.mlp_ratio, ..b.clone() }
}
