//! The section `[model]`: the network, by its published name or by all of its sizes.

use clip_model::config::{Activation, Config, EndOfText, Family, ImageTower, ResNet, TextTower, ViT};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The network: the name of a published one, or all of its sizes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// One of the paper's nine models, `RN50` to `ViT-L/14@336px`; then nothing else is given.
    pub name: Option<String>,
    /// Width of the shared embedding space.
    pub embed_dim: Option<usize>,
    /// Non-linearity of the transformers: `quick_gelu` (OpenAI's; the default) or `gelu`.
    pub activation: Option<ActivationName>,
    /// A modified ResNet as the image tower.
    pub resnet: Option<ResNetSizes>,
    /// A Vision Transformer as the image tower.
    pub vit: Option<ViTSizes>,
    /// The text tower.
    pub text: Option<TextSizes>,
}

/// The spelling of [`Activation`] in a settings file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivationName {
    /// `x * sigmoid(1.702 x)`.
    QuickGelu,
    /// The exact Gaussian error linear unit.
    Gelu,
}

/// Sizes of a modified ResNet, see [`ResNet`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNetSizes {
    /// Side of the square input, pixels; a multiple of 32.
    pub image_size: usize,
    /// Bottleneck blocks in each of the four stages.
    pub layers: [usize; 4],
    /// Channels after the stem.
    pub width: usize,
    /// Channels per head of the attention pooling.
    #[serde(default = "head_width")]
    pub head_width: usize,
}

/// Sizes of a Vision Transformer, see [`ViT`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViTSizes {
    /// Side of the square input, pixels; a multiple of `patch_size`.
    pub image_size: usize,
    /// Side of a square patch, pixels.
    pub patch_size: usize,
    /// Channels of a token.
    pub width: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Channels per attention head.
    #[serde(default = "head_width")]
    pub head_width: usize,
    /// Hidden width of a block's MLP over `width`.
    #[serde(default = "mlp_ratio")]
    pub mlp_ratio: f64,
}

/// Sizes of the text transformer, see [`TextTower`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextSizes {
    /// Longest sequence of token ids, start and end included.
    pub context_length: usize,
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Channels of a token.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Hidden width of a block's MLP over `width`.
    #[serde(default = "mlp_ratio")]
    pub mlp_ratio: f64,
}

impl ModelSettings {
    /// The network; its sizes must fit each other.
    pub fn config(&self) -> Result<Config> {
        if let Some(name) = &self.name {
            let explicit = [
                ("embed_dim", self.embed_dim.is_some()),
                ("activation", self.activation.is_some()),
                ("resnet", self.resnet.is_some()),
                ("vit", self.vit.is_some()),
                ("text", self.text.is_some()),
            ];
            if let Some((field, _)) = explicit.iter().find(|(_, given)| *given) {
                return Err(Error::Settings(format!(
                    "model.name {name:?} fixes all sizes, model.{field} must not be given with it"
                )));
            }
            return Ok(Config::named(name)?);
        }
        let missing = |field: &str| Error::Settings(format!("model.{field} is missing (or give model.name)"));
        let activation = match self.activation.unwrap_or(ActivationName::QuickGelu) {
            ActivationName::QuickGelu => Activation::QuickGelu,
            ActivationName::Gelu => Activation::Gelu,
        };
        let image = match (&self.resnet, &self.vit) {
            (Some(r), None) => ImageTower::ResNet(ResNet {
                image_size: r.image_size,
                layers: r.layers,
                width: r.width,
                head_width: r.head_width,
            }),
            (None, Some(v)) => ImageTower::ViT(ViT {
                image_size: v.image_size,
                patch_size: v.patch_size,
                width: v.width,
                layers: v.layers,
                head_width: v.head_width,
                mlp_ratio: v.mlp_ratio,
                activation,
                norm_epsilon: Family::Clip.norm_epsilon(),
            }),
            (Some(_), Some(_)) => {
                return Err(Error::Settings(
                    "model.resnet and model.vit are both given, one is needed".into(),
                ));
            }
            (None, None) => return Err(missing("resnet or model.vit")),
        };
        let t = self.text.as_ref().ok_or_else(|| missing("text"))?;
        let text = TextTower {
            context_length: t.context_length,
            vocab_size: t.vocab_size,
            width: t.width,
            heads: t.heads,
            layers: t.layers,
            mlp_ratio: t.mlp_ratio,
            activation,
            norm_epsilon: Family::Clip.norm_epsilon(),
            end: EndOfText::Highest,
        };
        let embed_dim = self.embed_dim.ok_or_else(|| missing("embed_dim"))?;
        let config = Config { family: Family::Clip, embed_dim, image, text };
        config.validate()?;
        Ok(config)
    }
}

fn head_width() -> usize {
    64
}

fn mlp_ratio() -> f64 {
    4.0
}
