//! The `model_cfg` of OpenCLIP's own CLIP networks.

use clip_model::config::{
    Activation, Config, EndOfText, Family, ImageTower, ResNet, TextTower, ViT, in_few_digits,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::refusal::{refuse, unknown};
use crate::error::{Error, Result};
use crate::layout::side::Side;

/// What a logit bias is before training (the SigLIP paper's section 3). OpenCLIP reads of a checkpoint's only that it is there.
pub(super) const FIRST_BIAS: f64 = -10.0;

#[derive(Serialize, Deserialize)]
pub(super) struct Model {
    embed_dim: usize,
    vision_cfg: Vision,
    text_cfg: Text,
    #[serde(default)]
    quick_gelu: bool,
    /// The first value of the bias; without it there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    init_logit_bias: Option<f64>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(default)]
struct Vision {
    image_size: Side,
    layers: Layers,
    width: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_size: Option<usize>,
    head_width: usize,
    mlp_ratio: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    norm_kwargs: Option<Map<String, Value>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// OpenCLIP's defaults, for fields that are missing.
impl Default for Vision {
    fn default() -> Vision {
        Vision {
            image_size: Side::One(224),
            layers: Layers::One(12),
            width: 768,
            patch_size: Some(16),
            head_width: 64,
            mlp_ratio: 4.0,
            norm_kwargs: None,
            rest: Map::new(),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number of layers, or that of each of four stages")]
enum Layers {
    One(usize),
    Four([usize; 4]),
}

#[derive(Serialize, Deserialize)]
struct Text {
    #[serde(flatten)]
    sizes: TextSizes,
    #[serde(skip_serializing_if = "Option::is_none")]
    norm_kwargs: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eos_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hf_tokenizer_name: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// What CLIP's text towers and SigLIP's say of their sizes.
#[derive(Serialize, Deserialize)]
#[serde(default)]
pub(super) struct TextSizes {
    context_length: usize,
    vocab_size: usize,
    width: usize,
    heads: usize,
    layers: usize,
    mlp_ratio: f64,
}

/// OpenCLIP's defaults, for fields that are missing.
impl Default for TextSizes {
    fn default() -> TextSizes {
        TextSizes::of(&TextTower::openai(512))
    }
}

impl TextSizes {
    pub(super) fn of(tower: &TextTower) -> TextSizes {
        let &TextTower { context_length, vocab_size, width, heads, layers, mlp_ratio, .. } = tower;
        TextSizes { context_length, vocab_size, width, heads, layers, mlp_ratio }
    }

    pub(super) fn tower(self, activation: Activation, norm_epsilon: f32, end: EndOfText) -> TextTower {
        let TextSizes { context_length, vocab_size, width, heads, layers, mlp_ratio } = self;
        let choices = TextTower { activation, norm_epsilon, end, ..TextTower::openai(width) };
        TextTower { context_length, vocab_size, heads, layers, mlp_ratio, ..choices }
    }
}

impl Model {
    /// CLIP's network.
    ///
    /// # Errors
    /// [`Error::Config`] for activations that OpenCLIP does not have.
    pub(super) fn of(config: &Config, own_tokenizer: bool) -> Result<Model> {
        let image_size = Side::One(config.image.image_size());
        let vision_cfg = match &config.image {
            ImageTower::ResNet(r) => Vision {
                image_size,
                layers: Layers::Four(r.layers),
                width: r.width,
                patch_size: None,
                head_width: r.head_width,
                ..Vision::default()
            },
            ImageTower::ViT(v) => Vision {
                image_size,
                layers: Layers::One(v.layers),
                width: v.width,
                patch_size: Some(v.patch_size),
                head_width: v.head_width,
                mlp_ratio: v.mlp_ratio,
                norm_kwargs: norm_arguments(v.norm_epsilon),
                rest: Map::new(),
            },
        };
        let (pool_type, eos_id) = match config.text.end {
            EndOfText::Highest => (None, None),
            EndOfText::Id(id) => (Some("eos".to_owned()), Some(id.into())),
        };
        Ok(Model {
            embed_dim: config.embed_dim,
            quick_gelu: match config.one_activation()? {
                Activation::QuickGelu => true,
                Activation::Gelu => false,
                Activation::GeluTanh => {
                    return Err(Error::Config("OpenCLIP has no CLIP with GELU by tanh".into()));
                }
            },
            init_logit_bias: config.logit_bias.then_some(FIRST_BIAS),
            vision_cfg,
            text_cfg: Text {
                sizes: TextSizes::of(&config.text),
                norm_kwargs: norm_arguments(config.text.norm_epsilon),
                pool_type,
                eos_id,
                // OpenCLIP reads the tokenizer of a local folder from that folder, whatever the name.
                hf_tokenizer_name: own_tokenizer.then(|| "tokenizer.json".to_owned()),
                rest: Map::new(),
            },
            rest: Map::new(),
        })
    }
}

/// CLIP's network, and whether it has a tokenizer of its own.
pub(super) fn read(model: Model) -> Result<(Config, bool)> {
    let Model { embed_dim, vision_cfg: vision, text_cfg: text, quick_gelu, init_logit_bias, rest } = model;
    unknown("model_cfg", &rest)?;
    unknown("vision_cfg", &vision.rest)?;
    unknown("text_cfg", &text.rest)?;
    let activation = if quick_gelu { Activation::QuickGelu } else { Activation::Gelu };
    let image_size = vision.image_size.of_square("vision_cfg.image_size")?;
    let image = match (vision.layers, vision.patch_size) {
        (Layers::Four(layers), _) => ImageTower::ResNet(ResNet {
            image_size,
            layers,
            width: vision.width,
            head_width: vision.head_width,
        }),
        (Layers::One(layers), Some(patch_size)) => ImageTower::ViT(ViT {
            image_size,
            patch_size,
            width: vision.width,
            layers,
            head_width: vision.head_width,
            mlp_ratio: vision.mlp_ratio,
            activation,
            norm_epsilon: norm_epsilon("vision_cfg", vision.norm_kwargs)?,
        }),
        (Layers::One(_), None) => {
            return Err(Error::Config(
                "vision_cfg has neither a patch_size nor four stages of layers".into(),
            ));
        }
    };
    let epsilon = norm_epsilon("text_cfg", text.norm_kwargs)?;
    let end = end_of_text(text.pool_type.as_deref(), text.eos_id, text.sizes.vocab_size)?;
    let own_tokenizer = text.hf_tokenizer_name.is_some_and(|name| !name.is_empty());
    let config = Config {
        family: Family::Clip,
        embed_dim,
        image,
        text: text.sizes.tower(activation, epsilon, end),
        logit_bias: init_logit_bias.is_some(),
    };
    config.validate()?;
    Ok((config, own_tokenizer))
}

/// What layer norms with these arguments add to a variance.
fn norm_epsilon(section: &str, arguments: Option<Map<String, Value>>) -> Result<f32> {
    let arguments = arguments.unwrap_or_default();
    match arguments.get("eps").and_then(Value::as_f64) {
        _ if arguments.is_empty() => Ok(Family::Clip.norm_epsilon()),
        Some(epsilon) if arguments.len() == 1 => Ok(epsilon as f32),
        _ => refuse(section, "norm_kwargs", &arguments.into()),
    }
}

/// The arguments of layer norms that add `epsilon`; none where it is OpenCLIP's default.
fn norm_arguments(epsilon: f32) -> Option<Map<String, Value>> {
    let other = epsilon != Family::Clip.norm_epsilon();
    other.then(|| Map::from_iter([("eps".to_owned(), in_few_digits(epsilon).into())]))
}

/// Where OpenCLIP pools a text. Without an `eos_id` its version 3 takes 2; later ones want it to be said. (A tokenizer that ends
/// texts with another id is refused when it is opened.)
fn end_of_text(pool_type: Option<&str>, eos_id: Option<u64>, vocab_size: usize) -> Result<EndOfText> {
    match pool_type {
        None | Some("argmax") => Ok(EndOfText::Highest),
        Some("eos") => {
            let id = eos_id.unwrap_or(2);
            EndOfText::at(id, vocab_size).ok_or_else(|| {
                Error::Config(format!("text_cfg.eos_id {id} is not in the vocabulary of {vocab_size}"))
            })
        }
        Some(other) => refuse("text_cfg", "pool_type", &other.into()),
    }
}
