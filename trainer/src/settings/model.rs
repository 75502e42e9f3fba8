//! The section `[model]`: the network, by its published name or by all of its sizes.

use clip_model::config::{Activation, Config, Family, ImageTower, ResNet, TextTower, ViT};
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
    pub activation: Option<Activation>,
    /// A modified ResNet as the image tower.
    pub resnet: Option<ResNet>,
    /// A Vision Transformer as the image tower.
    pub vit: Option<ViT>,
    /// The text tower.
    pub text: Option<TextTower>,
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
        let activation = self.activation.unwrap_or_default();
        let image = match (self.resnet.clone(), self.vit.clone()) {
            (Some(resnet), None) => ImageTower::ResNet(resnet),
            (None, Some(vit)) => ImageTower::ViT(ViT { activation, ..vit }),
            (Some(_), Some(_)) => {
                return Err(Error::Settings(
                    "model.resnet and model.vit are both given, one is needed".into(),
                ));
            }
            (None, None) => return Err(missing("resnet or model.vit")),
        };
        let text = self.text.clone().ok_or_else(|| missing("text"))?;
        let text = TextTower { activation, ..text };
        let embed_dim = self.embed_dim.ok_or_else(|| missing("embed_dim"))?;
        let config = Config { family: Family::Clip, embed_dim, image, text, logit_bias: false };
        config.validate()?;
        Ok(config)
    }
}
