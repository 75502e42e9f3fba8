//! `config.json` of a CLIP model, to and from [`Config`].

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::config::{Activation, Config, ImageTower, TextTower, ViT, mlp_ratio};
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// Where transformers pools a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// At the highest id.
    Highest,
    /// At the first token with this id.
    Id(usize),
}

pub(super) struct Parsed {
    pub(super) config: Config,
    pub(super) end: End,
}

#[derive(Deserialize)]
#[serde(default)]
struct File {
    projection_dim: usize,
    text_config: Text,
    vision_config: Vision,
    // Older files hold the towers once more, and transformers lets these count.
    text_config_dict: Option<Text>,
    vision_config_dict: Option<Vision>,
}

/// The text tower's fields; what is missing has transformers' default.
#[derive(Deserialize)]
#[serde(default)]
struct Text {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    max_position_embeddings: usize,
    hidden_act: String,
    layer_norm_eps: f64,
    eos_token_id: Value,
}

/// The image tower's fields.
#[derive(Deserialize)]
#[serde(default)]
struct Vision {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_channels: usize,
    image_size: Side,
    patch_size: Side,
    hidden_act: String,
    layer_norm_eps: f64,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(untagged)]
enum Side {
    One(usize),
    Two([usize; 2]),
}

impl Default for File {
    fn default() -> Self {
        File {
            projection_dim: 512,
            text_config: Text::default(),
            vision_config: Vision::default(),
            text_config_dict: None,
            vision_config_dict: None,
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Text {
            vocab_size: 49408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: "quick_gelu".to_owned(),
            layer_norm_eps: 1e-5,
            eos_token_id: json!(49407),
        }
    }
}

impl Default for Vision {
    fn default() -> Self {
        Vision {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: Side::One(224),
            patch_size: Side::One(32),
            hidden_act: "quick_gelu".to_owned(),
            layer_norm_eps: 1e-5,
        }
    }
}

/// Understands a configuration whose `model_type` is `clip`.
///
/// # Errors
/// [`Error::Config`] for what this crate does not build, by name.
pub(super) fn parse(path: &Path, json: &Map<String, Value>) -> Result<Parsed> {
    let present = json.iter().filter(|(_, value)| !value.is_null());
    let present: Map<String, Value> = present.map(|(key, value)| (key.clone(), value.clone())).collect();
    let file: File = serde_json::from_value(Value::Object(present))
        .map_err(|source| Error::Json { path: path.to_owned(), source })?;
    let text = file.text_config_dict.unwrap_or(file.text_config);
    let vision = file.vision_config_dict.unwrap_or(file.vision_config);
    if text.hidden_act != vision.hidden_act {
        return Err(Error::Config(format!(
            "text_config.hidden_act {:?} is not vision_config.hidden_act {:?}: towers with different activations are \
             not supported",
            text.hidden_act, vision.hidden_act
        )));
    }
    let activation = match text.hidden_act.as_str() {
        "quick_gelu" => Activation::QuickGelu,
        "gelu" => Activation::Gelu,
        other => return Err(Error::Config(format!("hidden_act {other:?} is not supported"))),
    };
    for (field, found) in [("text_config", text.layer_norm_eps), ("vision_config", vision.layer_norm_eps)] {
        if found != 1e-5 {
            return Err(Error::Config(format!("{field}.layer_norm_eps is {found}; only 1e-5 is supported")));
        }
    }
    if vision.num_channels != 3 {
        let n = vision.num_channels;
        return Err(Error::Config(format!("vision_config.num_channels is {n}; only 3 are supported")));
    }
    let heads = |field: &str, width: usize, heads: usize| {
        if heads > 0 && width.is_multiple_of(heads) {
            return Ok(width / heads);
        }
        Err(Error::Config(format!("{field} {width} is not a multiple of its num_attention_heads {heads}")))
    };
    let config = Config {
        embed_dim: file.projection_dim,
        image: ImageTower::ViT(ViT {
            image_size: square("vision_config.image_size", vision.image_size)?,
            patch_size: square("vision_config.patch_size", vision.patch_size)?,
            width: vision.hidden_size,
            layers: vision.num_hidden_layers,
            head_width: heads("vision_config.hidden_size", vision.hidden_size, vision.num_attention_heads)?,
            mlp_ratio: mlp_ratio(vision.hidden_size, vision.intermediate_size),
        }),
        text: TextTower {
            context_length: text.max_position_embeddings,
            vocab_size: text.vocab_size,
            width: text.hidden_size,
            heads: text.num_attention_heads,
            layers: text.num_hidden_layers,
            mlp_ratio: mlp_ratio(text.hidden_size, text.intermediate_size),
        },
        activation,
    };
    config.validate()?;
    let end = match text.eos_token_id.as_u64() {
        // An id that early configurations had by mistake; transformers takes the highest id for it.
        Some(2) => End::Highest,
        Some(id) => End::Id(usize::try_from(id).unwrap_or(usize::MAX - 1)),
        None => {
            let found = &text.eos_token_id;
            return Err(Error::Config(format!("text_config.eos_token_id is {found}, expected one id")));
        }
    };
    Ok(Parsed { config, end })
}

fn square(field: &str, side: Side) -> Result<usize> {
    match side {
        Side::One(side) => Ok(side),
        Side::Two([height, width]) if height == width => Ok(height),
        Side::Two([height, width]) => {
            Err(Error::Config(format!("{field} is {height}x{width}; only square ones are supported")))
        }
    }
}

/// A `config.json` of this network and tokenizer.
///
/// # Errors
/// [`Error::Config`] when transformers' CLIP has no such image tower.
pub(in crate::formats) fn write(config: &Config, tokenizer: &Tokenizer) -> Result<String> {
    let ImageTower::ViT(v) = &config.image else {
        return Err(Error::Config(
            "Hugging Face's CLIP has no ResNet: this checkpoint can only be written as open-clip".to_owned(),
        ));
    };
    let t = &config.text;
    let activation = match config.activation {
        Activation::QuickGelu => "quick_gelu",
        Activation::Gelu => "gelu",
    };
    let fields = json!({
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": config.embed_dim,
        "torch_dtype": "float32",
        "text_config": {
            "model_type": "clip_text_model",
            "vocab_size": t.vocab_size,
            "hidden_size": t.width,
            "intermediate_size": t.hidden(),
            "num_hidden_layers": t.layers,
            "num_attention_heads": t.heads,
            "max_position_embeddings": t.context_length,
            "hidden_act": activation,
            "projection_dim": config.embed_dim,
            "bos_token_id": tokenizer.start_id(),
            "eos_token_id": tokenizer.end_id(),
            "pad_token_id": tokenizer.end_id(),
        },
        "vision_config": {
            "model_type": "clip_vision_model",
            "image_size": v.image_size,
            "patch_size": v.patch_size,
            "hidden_size": v.width,
            "intermediate_size": v.hidden(),
            "num_hidden_layers": v.layers,
            "num_attention_heads": v.heads(),
            "hidden_act": activation,
            "projection_dim": config.embed_dim,
        },
    });
    Ok(format!("{fields:#}\n"))
}
