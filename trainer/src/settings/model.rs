//! The section `[model]`: the network, by its published name or by all of its sizes, and how pictures become its input.

use clip_model::config::{Activation, Config, Family, ImageTower, ResNet, TextTower, ViT};
use clip_model::preprocess::{Interpolation, Preprocess, ResizeMode};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The network: the name of a published one, or all of its sizes. A run that starts from a checkpoint takes the checkpoint's
/// network and preprocessing, and what is said here has to agree with it; only another `image_size`, `context_length` or
/// `preprocess` may be asked for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSettings {
    /// One of the paper's nine models, `RN50` to `ViT-L/14@336px` (its tables 19 and 20), which fixes the sizes below.
    pub name: Option<String>,
    /// Width of the shared embedding space, numbers.
    pub embed_dim: Option<usize>,
    /// Non-linearity of the transformers: `quick_gelu` (OpenAI's; the default) or `gelu`. OpenCLIP calls the same sizes `ViT-B-32`
    /// with GELU and `ViT-B-32-quickgelu` with QuickGELU; weights that were trained with one are worse with the other.
    pub activation: Option<Activation>,
    /// Whether scaled similarities have a learned summand, of which a sigmoid is taken: what `optim.objective = "sigmoid"` trains.
    /// Its first value is -10, that of the logit scale then 10 (Zhai et al. 2023, arXiv 2303.15343, section 3.2). Without it,
    /// false, or as the checkpoint is that a run starts from.
    pub logit_bias: Option<bool>,
    /// Side of the square input, pixels; by default that of the named model, or of the checkpoint, whose position embeddings are
    /// interpolated for another one. (Sizes say it in `resnet` or `vit`.)
    pub image_size: Option<usize>,
    /// Longest text, tokens, start and end included; as with `image_size`. (Sizes say it in `text`.)
    pub context_length: Option<usize>,
    /// A modified ResNet as the image tower.
    pub resnet: Option<ResNet>,
    /// A Vision Transformer as the image tower.
    pub vit: Option<ViT>,
    /// The text tower.
    pub text: Option<TextTower>,
    /// How pictures become the image tower's input.
    #[serde(skip_serializing_if = "PreprocessSettings::is_empty")]
    pub preprocess: PreprocessSettings,
}

/// How pictures become the image tower's input: what is not said is as in the checkpoint that a run starts from, else OpenAI's.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PreprocessSettings {
    /// Subtracted from red, green and blue, which go from 0 to 1; OpenAI's by default: 0.48145466, 0.4578275, 0.40821073.
    pub mean: Option<[f32; 3]>,
    /// Divides each channel after that; OpenAI's by default: 0.26862954, 0.26130258, 0.27577711.
    pub std: Option<[f32; 3]>,
    /// The filter that pictures are resized with: `bicubic` (the default) or `bilinear`.
    pub interpolation: Option<Interpolation>,
    /// What happens to pictures that are not square: `shortest` (the default) resizes the shorter side and cuts out the centre,
    /// `squash` resizes both sides.
    pub resize_mode: Option<ResizeMode>,
}

impl PreprocessSettings {
    fn is_empty(&self) -> bool {
        *self == PreprocessSettings::default()
    }

    /// `base`, but for what is said here.
    pub fn over(&self, base: Preprocess) -> Result<Preprocess> {
        let preprocess = Preprocess {
            mean: self.mean.unwrap_or(base.mean),
            std: self.std.unwrap_or(base.std),
            interpolation: self.interpolation.unwrap_or(base.interpolation),
            resize_mode: self.resize_mode.unwrap_or(base.resize_mode),
            ..base
        };
        preprocess.validate()?;
        Ok(preprocess)
    }
}

impl ModelSettings {
    /// The network that the settings describe, whose sizes fit each other; none where they name none, so that it is a
    /// checkpoint's.
    ///
    /// # Errors
    /// [`Error::Settings`] with the field.
    pub fn config(&self) -> Result<Option<Config>> {
        let sizes = [
            ("embed_dim", self.embed_dim.is_some()),
            ("resnet", self.resnet.is_some()),
            ("vit", self.vit.is_some()),
            ("text", self.text.is_some()),
        ];
        let given = sizes.iter().find(|(_, given)| *given);
        let mut config = match (&self.name, given) {
            (Some(name), Some((field, _))) => {
                return Err(Error::Settings(format!(
                    "model.name {name:?} fixes all sizes, model.{field} must not be given with it"
                )));
            }
            (Some(name), None) => self.named(name)?,
            (None, Some(_)) => self.sized()?,
            (None, None) => return Ok(None),
        };
        config.logit_bias = self.logit_bias.unwrap_or_default();
        config.validate()?;
        Ok(Some(config))
    }

    fn named(&self, name: &str) -> Result<Config> {
        let mut config = Config::named(name)?;
        let activation = self.activation.unwrap_or_default();
        config.text.activation = activation;
        if let ImageTower::ViT(vit) = &mut config.image {
            vit.activation = activation;
        }
        if let Some(size) = self.image_size {
            config.image.set_image_size(size);
        }
        config.text.context_length = self.context_length.unwrap_or(config.text.context_length);
        Ok(config)
    }

    fn sized(&self) -> Result<Config> {
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
        for (field, given, place) in [
            ("image_size", self.image_size, "model.resnet or model.vit"),
            ("context_length", self.context_length, "model.text"),
        ] {
            if given.is_some() {
                return Err(Error::Settings(format!(
                    "model.{field} is for a model by its name; with sizes it is said in {place}"
                )));
            }
        }
        let embed_dim = self.embed_dim.ok_or_else(|| missing("embed_dim"))?;
        let text = TextTower { activation, ..text };
        Ok(Config { family: Family::Clip, embed_dim, image, text, logit_bias: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(toml: &str) -> Result<Option<Config>> {
        toml::from_str::<ModelSettings>(toml).unwrap().config()
    }

    #[test]
    fn a_named_model_may_have_another_activation_and_other_inputs() {
        let plain = Config::named("ViT-B/32").unwrap();
        let found =
            model("name = \"ViT-B/32\"\nactivation = \"gelu\"\nimage_size = 256\ncontext_length = 40");
        let found = found.unwrap().unwrap();
        let ImageTower::ViT(vit) = &found.image else { panic!() };
        assert_eq!((vit.activation, found.text.activation), (Activation::Gelu, Activation::Gelu));
        assert_eq!((vit.image_size, found.text.context_length), (256, 40));
        assert_eq!((found.text.width, found.logit_bias), (plain.text.width, false));
        assert!(model("name = \"RN50\"\nlogit_bias = true").unwrap().unwrap().logit_bias);
        assert_eq!(model("image_size = 64").unwrap(), None);
        for (toml, part) in [
            ("name = \"RN50\"\nimage_size = 225", "image_size 225 is not a multiple"),
            (
                "name = \"RN50\"\nvit = { image_size = 8, patch_size = 4, width = 8, layers = 1 }",
                "model.vit must not",
            ),
            (
                "image_size = 64\nembed_dim = 8\nresnet = { image_size = 32, layers = [1, 1, 1, 1], width = 8 }\n\
                 text = { context_length = 8, vocab_size = 520, width = 16, heads = 2, layers = 1 }",
                "model.image_size is for a model by its name",
            ),
        ] {
            let message = model(toml).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn preprocessing_is_the_given_one_where_it_is_said() {
        let settings: PreprocessSettings =
            toml::from_str("mean = [0.5, 0.5, 0.5]\ninterpolation = \"bilinear\"").unwrap();
        let base = Preprocess { size: 32, resize_mode: ResizeMode::Squash, ..Preprocess::default() };
        let found = settings.over(base.clone()).unwrap();
        let expected = Preprocess { mean: [0.5; 3], interpolation: Interpolation::Bilinear, ..base.clone() };
        assert_eq!(found, expected);
        let zero = PreprocessSettings { std: Some([0.0; 3]), ..settings };
        assert!(zero.over(base).unwrap_err().to_string().contains("expected positive numbers"));
    }
}
