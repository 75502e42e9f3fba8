//! OpenCLIP's `open_clip_config.json`, to and from [`Config`] and [`Preprocess`].
//!
//! Fields are those of OpenCLIP's `CLIPVisionCfg`, `CLIPTextCfg` and `PreprocessCfg`. A field that would change the
//! network and that this crate does not build is refused by name.

mod siglip;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::{
    Activation, Config, EndOfText, Family, ImageTower, ResNet, TextTower, ViT, in_few_digits,
};
use crate::error::{Error, Result};
use crate::files;
use crate::preprocess::{Interpolation, Preprocess, ResizeMode};

/// The name of the configuration in a checkpoint folder.
pub const FILE: &str = "open_clip_config.json";

/// Fields that only matter in training, or whose neutral value leaves the network as it is.
const NEUTRAL: [(&str, &[Neutral]); 44] = {
    use Neutral::*;
    [
        ("act_kwargs", &[]),
        ("attentional_pool", &[]),
        ("attn_pooler_heads", &[Any]),
        ("attn_pooler_queries", &[Any]),
        ("block_type", &[Text("default")]),
        ("bos_id", &[Any]),
        ("cast_dtype", &[]),
        ("custom_text", &[]),
        ("embed_cls", &[]),
        ("final_ln_after_pool", &[]),
        ("hf_model_config", &[Any]),
        ("hf_model_name", &[]),
        ("hf_model_pretrained", &[Any]),
        ("hf_pooler_type", &[Any]),
        ("hf_proj_type", &[Any]),
        ("image_seq_len", &[Any]), // what images are measured by in training
        ("init_logit_bias", &[]),
        ("init_logit_scale", &[Any]),
        ("ls_init_value", &[]),
        ("multimodal_cfg", &[]),
        ("no_causal_mask", &[]),
        ("no_ln_pre", &[]),
        ("nonscalar_logit_scale", &[Any]), // the same number, alone in a vector
        ("output_dict", &[Any]),
        ("output_tokens", &[]),
        ("pad_id", &[Any]), // what follows the end-of-text token is never seen
        ("patch_dropout", &[Any]),
        ("pool_type", &[Text("tok")]),
        ("pos_embed_type", &[Text("learnable")]),
        ("proj_bias", &[]),
        ("proj_type", &[Text("linear")]),
        ("qk_norm", &[]),
        ("scale_attn", &[]),
        ("scale_attn_inner", &[]),
        ("scale_fc", &[]),
        ("scale_heads", &[]),
        ("scaled_cosine_attn", &[]),
        ("text_arch", &[Text("clip")]),
        ("tiktoken_name", &[Any]), // only read with tokenizer_type "tiktoken"
        ("tokenizer_kwargs", &[]),
        ("tokenizer_mode", &[]),
        ("tokenizer_type", &[]),
        ("timm_model_name", &[]),
        ("variable_text", &[]),
    ]
};

/// Fields that are only read with text_arch "modern", which is refused.
const MODERN: [&str; 15] = [
    "attention_bias",
    "attention_mode",
    "attn_gated",
    "gate_bias",
    "mlp_bias",
    "mlp_type",
    "norm_eps",
    "norm_placement",
    "norm_type",
    "pos_embed",
    "pre_norm",
    "reg_tokens",
    "rope_temperature",
    "value_residual",
    "zero_init_residual",
];

/// A value that leaves the network unchanged. Null, false, zero and empty ones always do.
enum Neutral {
    Any,
    Text(&'static str),
}

/// What a configuration file says.
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
    preprocess_cfg: PreprocessFields,
}

#[derive(Serialize, Deserialize)]
struct Model {
    embed_dim: usize,
    vision_cfg: Vision,
    text_cfg: Text,
    #[serde(default)]
    quick_gelu: bool,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct Vision {
    #[serde(default = "image_size")]
    image_size: OneOrTwo,
    #[serde(default = "image_layers")]
    layers: OneOrFour,
    #[serde(default = "image_width")]
    width: usize,
    #[serde(default = "patch_size", skip_serializing_if = "Option::is_none")]
    patch_size: Option<usize>,
    #[serde(default = "head_width")]
    head_width: usize,
    #[serde(default = "mlp_ratio")]
    mlp_ratio: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    norm_kwargs: Option<Map<String, Value>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct Text {
    #[serde(flatten)]
    sizes: TextSizes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    norm_kwargs: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pool_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    eos_id: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hf_tokenizer_name: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// What CLIP's text towers and SigLIP's say of their sizes.
#[derive(Serialize, Deserialize)]
struct TextSizes {
    #[serde(default = "context_length")]
    context_length: usize,
    #[serde(default = "vocab_size")]
    vocab_size: usize,
    #[serde(default = "text_width")]
    width: usize,
    #[serde(default = "text_heads")]
    heads: usize,
    #[serde(default = "text_layers")]
    layers: usize,
    #[serde(default = "mlp_ratio")]
    mlp_ratio: f64,
}

impl TextSizes {
    fn of(tower: &TextTower) -> TextSizes {
        let &TextTower { context_length, vocab_size, width, heads, layers, mlp_ratio, .. } = tower;
        TextSizes { context_length, vocab_size, width, heads, layers, mlp_ratio }
    }

    fn tower(self, activation: Activation, norm_epsilon: f32, end: EndOfText) -> TextTower {
        let TextSizes { context_length, vocab_size, width, heads, layers, mlp_ratio } = self;
        TextTower {
            context_length,
            vocab_size,
            width,
            heads,
            layers,
            mlp_ratio,
            activation,
            norm_epsilon,
            end,
        }
    }
}

// OpenCLIP's defaults, for fields that are missing.
fn image_size() -> OneOrTwo {
    OneOrTwo::One(224)
}
fn image_layers() -> OneOrFour {
    OneOrFour::One(12)
}
fn image_width() -> usize {
    768
}
fn patch_size() -> Option<usize> {
    Some(16)
}
fn text_width() -> usize {
    512
}
fn text_heads() -> usize {
    8
}
fn text_layers() -> usize {
    12
}
fn head_width() -> usize {
    64
}
fn mlp_ratio() -> f64 {
    4.0
}
fn context_length() -> usize {
    77
}
fn vocab_size() -> usize {
    49408
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected the side of a square in pixels, or [height, width]")]
enum OneOrTwo {
    One(usize),
    Two([usize; 2]),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number of layers, or that of each of four stages")]
enum OneOrFour {
    One(usize),
    Four([usize; 4]),
}

#[derive(Serialize, Deserialize, Default)]
struct PreprocessFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<OneOrTwo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mean: Option<[f32; 3]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    std: Option<[f32; 3]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interpolation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resize_mode: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl OpenClip {
    /// Reads `folder/open_clip_config.json`.
    pub fn read(folder: &Path) -> Result<OpenClip> {
        let path = folder.join(FILE);
        let bytes = files::read(&path, files::TEXT_LIMIT)?;
        let json =
            serde_json::from_slice(&bytes).map_err(|source| Error::Json { path: path.clone(), source })?;
        Self::parse(json).map_err(|source| Error::Json { path, source })?
    }

    fn parse(json: Value) -> serde_json::Result<Result<OpenClip>> {
        let File { model_cfg, preprocess_cfg } = serde_json::from_value(json)?;
        let network = if siglip::is_siglip(&model_cfg) {
            siglip::read(model_cfg)?.map(|config| (config, true))
        } else if let Err(other) = refuse_other_networks(&model_cfg) {
            return Ok(Err(other));
        } else {
            network(serde_json::from_value(model_cfg)?)
        };
        Ok(network.and_then(|(config, own_tokenizer)| {
            let preprocess = preprocess(preprocess_cfg, config.image.image_size())?;
            Ok(OpenClip { config, preprocess, own_tokenizer })
        }))
    }

    /// Writes `folder/open_clip_config.json` atomically.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let mut json = serde_json::to_vec_pretty(&self.file()?)
            .map_err(|source| Error::Json { path: path.clone(), source })?;
        json.push(b'\n');
        files::write_atomically(&path, |out| std::io::Write::write_all(out, &json))
    }
}

/// CLIP's network, and whether it has a tokenizer of its own.
fn network(model: Model) -> Result<(Config, bool)> {
    let Model { embed_dim, vision_cfg: vision, text_cfg: text, quick_gelu, rest } = model;
    refuse_unknown("model_cfg", &rest)?;
    refuse_unknown("vision_cfg", &vision.rest)?;
    refuse_unknown("text_cfg", &text.rest)?;
    let activation = if quick_gelu { Activation::QuickGelu } else { Activation::Gelu };
    let image_size = square("vision_cfg.image_size", vision.image_size)?;
    let image = match (vision.layers, vision.patch_size) {
        (OneOrFour::Four(layers), _) => ImageTower::ResNet(ResNet {
            image_size,
            layers,
            width: vision.width,
            head_width: vision.head_width,
        }),
        (OneOrFour::One(layers), Some(patch_size)) => ImageTower::ViT(ViT {
            image_size,
            patch_size,
            width: vision.width,
            layers,
            head_width: vision.head_width,
            mlp_ratio: vision.mlp_ratio,
            activation,
            norm_epsilon: norm_epsilon("vision_cfg", vision.norm_kwargs)?,
        }),
        (OneOrFour::One(_), None) => {
            return Err(Error::Config(
                "vision_cfg has neither a patch_size nor four stages of layers".into(),
            ));
        }
    };
    let epsilon = norm_epsilon("text_cfg", text.norm_kwargs)?;
    let end = end_of_text(text.pool_type.as_deref(), text.eos_id, text.sizes.vocab_size)?;
    let own_tokenizer = text.hf_tokenizer_name.is_some_and(|name| !name.is_empty());
    let config =
        Config { family: Family::Clip, embed_dim, image, text: text.sizes.tower(activation, epsilon, end) };
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

fn preprocess(fields: PreprocessFields, image_size: usize) -> Result<Preprocess> {
    let default = Preprocess::default();
    let unknown = |field: &str, value: &str| {
        Err(Error::Config(format!("preprocess_cfg.{field} {value:?} is not one of those this crate knows")))
    };
    if let Some(mode) = fields.mode.filter(|mode| mode != "RGB") {
        return unknown("mode", &mode);
    }
    if let Some((key, value)) =
        fields.rest.iter().find(|(key, value)| *key != "fill_color" && !is_empty(value))
    {
        return unknown(key, &value.to_string());
    }
    let size = fields.size.map_or(Ok(image_size), |size| square("preprocess_cfg.size", size))?;
    if size != image_size {
        return Err(Error::Config(format!(
            "preprocess_cfg.size {size} is not vision_cfg.image_size {image_size}"
        )));
    }
    let interpolation = match fields.interpolation.as_deref() {
        None | Some("bicubic") => Interpolation::Bicubic,
        Some("bilinear") => Interpolation::Bilinear,
        Some(other) => return unknown("interpolation", other),
    };
    let resize_mode = match fields.resize_mode.as_deref() {
        None | Some("shortest") => ResizeMode::Shortest,
        Some("squash") => ResizeMode::Squash,
        Some(other) => return unknown("resize_mode", other),
    };
    let preprocess = Preprocess {
        size,
        interpolation,
        resize_mode,
        mean: fields.mean.unwrap_or(default.mean),
        std: fields.std.unwrap_or(default.std),
        ..default
    };
    preprocess.validate()?;
    Ok(preprocess)
}

impl OpenClip {
    fn file(&self) -> Result<File> {
        let model_cfg = match self.config.family {
            Family::SigLip => siglip::write(&self.config)?,
            Family::Clip => serde_json::to_value(self.model()?)
                .map_err(|source| Error::Json { path: FILE.into(), source })?,
        };
        Ok(File { model_cfg, preprocess_cfg: PreprocessFields::from(&self.preprocess) })
    }

    /// CLIP's network.
    ///
    /// # Errors
    /// [`Error::Config`] for activations that OpenCLIP does not have.
    fn model(&self) -> Result<Model> {
        let (layers, width, patch_size, head_width, ratio, norm_kwargs) = match &self.config.image {
            ImageTower::ResNet(r) => {
                (OneOrFour::Four(r.layers), r.width, None, r.head_width, mlp_ratio(), None)
            }
            ImageTower::ViT(v) => {
                let norm = norm_arguments(v.norm_epsilon);
                (OneOrFour::One(v.layers), v.width, Some(v.patch_size), v.head_width, v.mlp_ratio, norm)
            }
        };
        let (pool_type, eos_id) = match self.config.text.end {
            EndOfText::Highest => (None, None),
            EndOfText::Id(id) => (Some("eos".to_owned()), Some(id.into())),
        };
        Ok(Model {
            embed_dim: self.config.embed_dim,
            quick_gelu: self.config.one_activation().and_then(|activation| match activation {
                Activation::QuickGelu => Ok(true),
                Activation::Gelu => Ok(false),
                Activation::GeluTanh => Err(Error::Config("OpenCLIP has no CLIP with GELU by tanh".into())),
            })?,
            vision_cfg: Vision {
                image_size: OneOrTwo::One(self.config.image.image_size()),
                layers,
                width,
                patch_size,
                head_width,
                mlp_ratio: ratio,
                norm_kwargs,
                rest: Map::new(),
            },
            text_cfg: Text {
                sizes: TextSizes::of(&self.config.text),
                norm_kwargs: norm_arguments(self.config.text.norm_epsilon),
                pool_type,
                eos_id,
                // OpenCLIP reads the tokenizer of a local folder from that folder, whatever the name.
                hf_tokenizer_name: self.own_tokenizer.then(|| "tokenizer.json".to_owned()),
                rest: Map::new(),
            },
            rest: Map::new(),
        })
    }
}

impl From<&Preprocess> for PreprocessFields {
    fn from(p: &Preprocess) -> PreprocessFields {
        PreprocessFields {
            size: Some(OneOrTwo::One(p.size)),
            mode: Some("RGB".to_owned()),
            mean: Some(p.mean),
            std: Some(p.std),
            interpolation: Some(
                match p.interpolation {
                    Interpolation::Bicubic => "bicubic",
                    Interpolation::Bilinear => "bilinear",
                }
                .to_owned(),
            ),
            resize_mode: Some(
                match p.resize_mode {
                    ResizeMode::Shortest => "shortest",
                    ResizeMode::Squash => "squash",
                }
                .to_owned(),
            ),
            rest: Map::new(),
        }
    }
}

fn square(field: &str, size: OneOrTwo) -> Result<usize> {
    match size {
        OneOrTwo::One(size) => Ok(size),
        OneOrTwo::Two([height, width]) if height == width => Ok(height),
        OneOrTwo::Two([height, width]) => {
            Err(Error::Config(format!("{field} is {height}x{width}; only square images are supported")))
        }
    }
}

/// Null, false, zero and empty values say "not used" wherever OpenCLIP reads them.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        Value::Bool(true) => false,
    }
}

/// Names a network of other parts than OpenCLIP's own, whose configuration lacks the fields that are needed here.
fn refuse_other_networks(model: &Value) -> Result<()> {
    for (section, key) in
        [("vision_cfg", "timm_model_name"), ("text_cfg", "hf_model_name"), ("model_cfg", "multimodal_cfg")]
    {
        let value = if section == "model_cfg" { &model[key] } else { &model[section][key] };
        if !is_empty(value) {
            return refuse(section, key, value);
        }
    }
    Ok(())
}

fn refuse<T>(section: &str, key: &str, value: &Value) -> Result<T> {
    Err(Error::Config(format!("{section}.{key} = {value} asks for a network that is not supported")))
}

fn refuse_unknown(section: &str, rest: &Map<String, Value>) -> Result<()> {
    for (key, value) in rest {
        let neutral = NEUTRAL.iter().find(|(name, _)| name == key).is_some_and(|(_, values)| {
            is_empty(value)
                || values.iter().any(|v| match v {
                    Neutral::Any => true,
                    Neutral::Text(text) => value == text,
                })
        });
        let of_no_timm =
            key.starts_with("timm_") && is_empty(rest.get("timm_model_name").unwrap_or(&Value::Null));
        if !neutral && !of_no_timm && !MODERN.contains(&key.as_str()) {
            return refuse(section, key, value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NAMES;

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
            (r#", "init_logit_bias": -10"#, "", "", "init_logit_bias"),
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
