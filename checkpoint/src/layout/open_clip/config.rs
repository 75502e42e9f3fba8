//! `open_clip_config.json`, to and from [`Config`] and [`Preprocess`].

use std::path::Path;

use clip_model::config::{Config, Family};
use clip_model::{Preprocess, files};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::network::{self, Model};
use super::preprocess::Fields;
use super::{refusal, siglip};
use crate::error::{Error, Result};

/// The name of the configuration in a checkpoint folder.
pub const FILE: &str = "open_clip_config.json";

/// What a configuration file says.
///
/// Fields are those of OpenCLIP's `CLIPVisionCfg`, `CLIPTextCfg` and `PreprocessCfg`. A field that would change the
/// network and that this crate does not build is refused by name.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenClip {
    /// The network.
    pub config: Config,
    /// The image preprocessing.
    pub preprocess: Preprocess,
    /// Whether the folder brings its own `tokenizer.json`; otherwise OpenAI's vocabulary is meant.
    pub own_tokenizer: bool,
}

#[derive(Serialize, Deserialize)]
struct File {
    /// A [`Model`], or SigLIP's.
    model_cfg: Value,
    #[serde(default)]
    preprocess_cfg: Fields,
}

impl OpenClip {
    /// Reads `folder/open_clip_config.json`.
    ///
    /// # Errors
    /// [`Error::Config`], by name, for what is not built.
    pub fn read(folder: impl AsRef<Path>) -> Result<OpenClip> {
        let path = folder.as_ref().join(FILE);
        let json = serde_json::from_slice(&files::read(&path, files::TEXT_LIMIT)?);
        json.and_then(Self::parse).map_err(|source| Error::json(&path, source))?
    }

    /// The outer error is serde's, for fields that are missing or of another type.
    fn parse(json: Value) -> serde_json::Result<Result<OpenClip>> {
        let File { model_cfg, preprocess_cfg } = serde_json::from_value(json)?;
        let network = if siglip::is_siglip(&model_cfg) {
            siglip::read(model_cfg)?.map(|config| (config, true))
        } else if let Err(other) = refusal::other_networks(&model_cfg) {
            return Ok(Err(other));
        } else {
            network::read(serde_json::from_value(model_cfg)?)
        };
        Ok(network.and_then(|(config, own_tokenizer)| {
            let preprocess = preprocess_cfg.read(config.image.image_size())?;
            Ok(OpenClip { config, preprocess, own_tokenizer })
        }))
    }

    /// Writes `folder/open_clip_config.json` atomically.
    ///
    /// # Errors
    /// [`Error::Config`] for a network that OpenCLIP has not.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<()> {
        let path = folder.as_ref().join(FILE);
        let text =
            serde_json::to_string_pretty(&self.file()?).map_err(|source| Error::json(&path, source))?;
        Ok(files::write_atomically(&path, |out| std::io::Write::write_all(out, (text + "\n").as_bytes()))?)
    }

    fn file(&self) -> Result<File> {
        let model_cfg = match self.config.family {
            Family::SigLip => siglip::write(&self.config)?,
            Family::Clip => serde_json::to_value(Model::of(&self.config, self.own_tokenizer)?)
                .map_err(|source| Error::json(FILE.as_ref(), source))?,
        };
        Ok(File { model_cfg, preprocess_cfg: Fields::of(&self.preprocess) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clip_model::config::{Activation, EndOfText, ImageTower, NAMES};

    fn parse(json: &str) -> Result<OpenClip> {
        OpenClip::parse(serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn every_published_model_survives_the_round_trip() {
        for name in NAMES {
            let config = Config::named(name).unwrap();
            let preprocess = Preprocess { size: config.image.image_size(), ..Preprocess::default() };
            let written = OpenClip { config, preprocess, own_tokenizer: name == "RN50" };
            let json = serde_json::to_string(&written.file().unwrap()).unwrap();
            assert_eq!(parse(&json).unwrap(), written, "{name}");
        }
    }

    /// A configuration with these additions to its three sections.
    fn with(model: &str, vision: &str, text: &str) -> String {
        format!(
            r#"{{"model_cfg": {{"embed_dim": 8{model}, "vision_cfg": {{"width": 64{vision}}}, "text_cfg": {{"width": 64,
            "heads": 1{text}}}}}}}"#
        )
    }

    #[test]
    fn what_leaves_the_network_as_it_is_is_read() {
        let plain = parse(&with("", "", "")).unwrap();
        // The sizes that are missing are OpenCLIP's defaults.
        let ImageTower::ViT(image) = &plain.config.image else { panic!() };
        assert_eq!((image.image_size, image.patch_size, image.layers), (224, 16, 12));
        assert_eq!((plain.config.text.layers, plain.config.text.vocab_size), (12, 49408));
        for (model, vision, text) in [
            (r#", "nonscalar_logit_scale": true"#, "", ""),
            (r#", "nonscalar_logit_scale": false, "output_dict": true"#, "", ""),
            (r#", "init_logit_bias": null, "cast_dtype": null, "custom_text": false"#, "", ""),
            (r#", "custom_text": true"#, "", ""),
            ("", r#", "image_seq_len": 196, "norm_kwargs": {}, "act_kwargs": null"#, ""),
            ("", r#", "norm_kwargs": {"eps": 1e-5}"#, r#", "norm_kwargs": null"#),
            (
                "",
                "",
                r#", "text_arch": "clip", "norm_eps": 1e-6, "mlp_type": "swiglu", "variable_text": false"#,
            ),
            ("", "", r#", "eos_id": 49407, "pool_type": "eos", "bos_id": 3, "tokenizer_mode": null"#),
        ] {
            assert_eq!(parse(&with(model, vision, text)).unwrap(), plain, "{model}{vision}{text}");
        }
    }

    #[test]
    fn epsilon_and_the_end_of_text_survive_the_round_trip() {
        let json = with(
            "",
            r#", "norm_kwargs": {"eps": 1e-6}"#,
            r#", "norm_kwargs": {"eps": 0.001}, "pool_type": "eos", "eos_id": 7"#,
        );
        let read = parse(&json).unwrap();
        let ImageTower::ViT(image) = &read.config.image else { panic!() };
        assert_eq!((image.norm_epsilon, read.config.text.norm_epsilon), (1e-6, 1e-3));
        assert_eq!(read.config.text.end, EndOfText::Id(7));
        let written = serde_json::to_string(&read.file().unwrap()).unwrap();
        assert!(written.contains(r#""norm_kwargs":{"eps":0.001}"#), "{written}");
        assert_eq!(parse(&written).unwrap(), read);
    }

    /// OpenCLIP builds a bias for any number, zero too.
    #[test]
    fn a_logit_bias_is_there_when_it_has_a_first_value() {
        for (first, there) in [("-10", true), ("-7.5", true), ("0", true), ("null", false)] {
            let read = parse(&with(&format!(r#", "init_logit_bias": {first}"#), "", "")).unwrap();
            assert_eq!(read.config.logit_bias, there, "{first}");
            let written = serde_json::to_string(&read.file().unwrap()).unwrap();
            assert_eq!(written.contains(r#""init_logit_bias":-10.0"#), there, "{written}");
            assert_eq!(parse(&written).unwrap(), read);
        }
    }

    #[test]
    fn what_changes_the_network_is_refused_by_name() {
        let json = |extra: &str| {
            format!(
                r#"{{"model_cfg": {{"embed_dim": 8, "vision_cfg": {{"image_size": 32, "layers": 2, "width": 64,
                "patch_size": 16{extra}}}, "text_cfg": {{"width": 64, "heads": 1, "layers": 1}}}}}}"#
            )
        };
        assert_eq!(parse(&json("")).unwrap().config.text.activation, Activation::Gelu);
        assert!(
            parse(&json(r#", "patch_dropout": 0.5, "timm_model_name": null, "timm_pool": "avg""#)).is_ok()
        );
        for (model, vision, text, named) in [
            ("", r#", "norm_kwargs": {"bias": false}"#, "", "vision_cfg.norm_kwargs"),
            ("", "", r#", "text_arch": "modern""#, "text_arch"),
            ("", "", r#", "variable_text": true"#, "variable_text"),
            (
                "",
                "",
                r#", "pool_type": "eos", "eos_id": 18446744073709551615"#,
                "eos_id 18446744073709551615",
            ),
            ("", "", r#", "pool_type": "last""#, "text_cfg.pool_type"),
        ] {
            let message = parse(&with(model, vision, text)).unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
        for (extra, named) in [
            (r#", "ls_init_value": 0.1"#, "ls_init_value"),
            (r#", "timm_model_name": "convnext", "timm_pool": "avg""#, "timm_"),
            (r#", "pool_type": "avg""#, "pool_type"),
            (r#", "new_idea": true"#, "new_idea"),
        ] {
            let message = parse(&json(extra)).unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
    }
}
