//! `config.json` of a CLIP or SigLIP model, to and from [`Config`].

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::layout::side::Side;
use clip_model::Tokenizer;
use clip_model::config::{
    Activation, Config, EndOfText, Family, ImageTower, TextTower, ViT, in_few_digits, mlp_ratio,
};

/// What transformers calls the activations, those of CLIP's own first.
const ACTIVATIONS: [(&str, Activation); 4] = [
    ("quick_gelu", Activation::QuickGelu),
    ("gelu", Activation::Gelu),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_new", Activation::GeluTanh),
];

/// An end of text that early configurations had by mistake; transformers pools at the highest id for it.
const MISTAKEN_END: u64 = 2;

#[derive(Deserialize)]
struct File {
    projection_dim: Option<usize>,
    #[serde(default)]
    text_config: Map<String, Value>,
    #[serde(default)]
    vision_config: Map<String, Value>,
    // Older files hold the towers once more, and transformers lets these count.
    text_config_dict: Option<Map<String, Value>>,
    vision_config_dict: Option<Map<String, Value>>,
}

/// The text tower's fields.
#[derive(Deserialize)]
struct Text {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    max_position_embeddings: usize,
    hidden_act: String,
    layer_norm_eps: f64,
    #[serde(default)]
    eos_token_id: Value,
    projection_size: Option<usize>,
}

/// The image tower's fields.
#[derive(Deserialize)]
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
    #[serde(default = "yes")]
    vision_use_head: bool,
}

fn yes() -> bool {
    true
}

/// Transformers' defaults of both towers, for fields that are missing.
fn defaults(family: Family) -> [Value; 2] {
    match family {
        Family::Clip => [
            json!({
                "vocab_size": 49408, "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12,
                "num_attention_heads": 8, "max_position_embeddings": 77, "hidden_act": "quick_gelu",
                "layer_norm_eps": 1e-5, "eos_token_id": 49407,
            }),
            json!({
                "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
                "num_channels": 3, "image_size": 224, "patch_size": 32, "hidden_act": "quick_gelu",
                "layer_norm_eps": 1e-5,
            }),
        ],
        Family::SigLip => [
            json!({
                "vocab_size": 32000, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
                "num_attention_heads": 12, "max_position_embeddings": 64, "hidden_act": "gelu_pytorch_tanh",
                "layer_norm_eps": 1e-6,
            }),
            json!({
                "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
                "num_channels": 3, "image_size": 224, "patch_size": 16, "hidden_act": "gelu_pytorch_tanh",
                "layer_norm_eps": 1e-6,
            }),
        ],
    }
}

/// The fields of the tower that `section` describes, with `defaults` for those that are missing or null.
///
/// # Errors
/// [`Error::Config`] with the name of a field that holds something else than it should.
fn tower<T: serde::de::DeserializeOwned>(
    path: &Path,
    section: &str,
    fields: Map<String, Value>,
    defaults: Value,
) -> Result<T> {
    let fields: Map<String, Value> = fields.into_iter().filter(|(_, value)| !value.is_null()).collect();
    let with = |fields: &mut dyn Iterator<Item = (&String, &Value)>| {
        let mut whole = defaults.clone();
        fields.for_each(|(key, value)| whole[key] = value.clone());
        serde_json::from_value::<T>(whole)
    };
    with(&mut fields.iter()).map_err(|source| {
        // serde does not say which: the one that it refuses among defaults.
        match fields.iter().find(|&field| with(&mut std::iter::once(field)).is_err()) {
            Some((key, value)) => {
                Error::Config(format!("{}: {section}.{key} = {value}: {source}", path.display()))
            }
            None => Error::json(path, source),
        }
    })
}

/// Understands the configuration of a model of this family.
///
/// # Errors
/// [`Error::Config`] for what this crate does not build, by name.
pub(crate) fn parse(path: &Path, mut json: Map<String, Value>, family: Family) -> Result<Config> {
    json.retain(|_, value| !value.is_null());
    let fail = |source| Error::json(path, source);
    let file: File = serde_json::from_value(Value::Object(json)).map_err(fail)?;
    let [text, vision] = defaults(family);
    let text_fields = file.text_config_dict.unwrap_or(file.text_config);
    let text: Text = tower(path, "text_config", text_fields, text)?;
    let vision_fields = file.vision_config_dict.unwrap_or(file.vision_config);
    let vision: Vision = tower(path, "vision_config", vision_fields, vision)?;
    let activation = |name: &str| {
        let known = ACTIVATIONS.iter().find(|(known, _)| *known == name);
        known
            .map(|(_, activation)| *activation)
            .ok_or_else(|| Error::Config(format!("hidden_act {name:?} is not supported")))
    };
    if !vision.vision_use_head {
        return Err(Error::Config(
            "vision_config.vision_use_head is false: images without a pooling are not supported".into(),
        ));
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
    let embed_dim = match family {
        Family::Clip => file.projection_dim.unwrap_or(512),
        Family::SigLip => text.projection_size.unwrap_or(text.hidden_size),
    };
    let config = Config {
        family,
        embed_dim,
        image: ImageTower::ViT(ViT {
            image_size: vision.image_size.of_square("vision_config.image_size")?,
            patch_size: vision.patch_size.of_square("vision_config.patch_size")?,
            width: vision.hidden_size,
            layers: vision.num_hidden_layers,
            head_width: heads("vision_config.hidden_size", vision.hidden_size, vision.num_attention_heads)?,
            mlp_ratio: mlp_ratio(vision.hidden_size, vision.intermediate_size),
            activation: activation(&vision.hidden_act)?,
            norm_epsilon: vision.layer_norm_eps as f32,
        }),
        text: TextTower {
            context_length: text.max_position_embeddings,
            vocab_size: text.vocab_size,
            width: text.hidden_size,
            heads: text.num_attention_heads,
            layers: text.num_hidden_layers,
            mlp_ratio: mlp_ratio(text.hidden_size, text.intermediate_size),
            activation: activation(&text.hidden_act)?,
            norm_epsilon: text.layer_norm_eps as f32,
            end: match family {
                Family::Clip => end_of_text(&text.eos_token_id, text.vocab_size)?,
                Family::SigLip => EndOfText::Highest,
            },
        },
        logit_bias: family == Family::SigLip,
    };
    config.validate()?;
    Ok(config)
}

/// Where transformers pools a CLIP's text.
fn end_of_text(eos_token_id: &Value, vocab_size: usize) -> Result<EndOfText> {
    let end = match eos_token_id.as_u64() {
        Some(MISTAKEN_END) => Some(EndOfText::Highest),
        Some(id) => EndOfText::at(id, vocab_size),
        None => None,
    };
    end.ok_or_else(|| {
        Error::Config(format!(
            "text_config.eos_token_id is {eos_token_id}, expected one id of the vocabulary of {vocab_size}"
        ))
    })
}

/// A `config.json` of this network and tokenizer.
///
/// # Errors
/// [`Error::Config`] when transformers has no such network.
pub(crate) fn write(config: &Config, tokenizer: &Tokenizer) -> Result<String> {
    if let ImageTower::ResNet(_) = &config.image {
        return Err(Error::Config(
            "Hugging Face's CLIP has no ResNet: this checkpoint can only be written as open-clip".to_owned(),
        ));
    }
    if config.family == Family::Clip && config.logit_bias {
        return Err(Error::Config(
            "Hugging Face's CLIP has no logit_bias: this checkpoint can only be written as open-clip"
                .to_owned(),
        ));
    }
    Ok(format!("{:#}\n", describe(config, tokenizer)))
}

/// The fields of a `config.json` of this network and tokenizer. Of a ResNet, for which transformers has no words, the image
/// tower's are those that say what it takes and gives: enough for a program that runs graphs and builds no network.
pub fn describe(config: &Config, tokenizer: &Tokenizer) -> Value {
    let t = &config.text;
    let name = |activation| ACTIVATIONS.iter().find(|(_, a)| *a == activation).map(|(name, _)| *name);
    let end = match t.end {
        EndOfText::Id(id) => u64::from(id),
        EndOfText::Highest => {
            let end = u64::try_from(tokenizer.end_id()).unwrap_or(MISTAKEN_END);
            let highest = EndOfText::at(end, t.vocab_size) == Some(EndOfText::Highest);
            if highest || config.family == Family::SigLip { end } else { MISTAKEN_END }
        }
    };
    let mut fields = json!({
        "torch_dtype": "float32",
        "text_config": {
            "vocab_size": t.vocab_size,
            "hidden_size": t.width,
            "intermediate_size": t.hidden(),
            "num_hidden_layers": t.layers,
            "num_attention_heads": t.heads,
            "max_position_embeddings": t.context_length,
            "hidden_act": name(t.activation),
            "layer_norm_eps": in_few_digits(t.norm_epsilon),
            "eos_token_id": end,
        },
        "vision_config": match &config.image {
            ImageTower::ViT(v) => json!({
                "image_size": v.image_size,
                "patch_size": v.patch_size,
                "hidden_size": v.width,
                "intermediate_size": v.hidden(),
                "num_hidden_layers": v.layers,
                "num_attention_heads": v.heads(),
                "hidden_act": name(v.activation),
                "layer_norm_eps": in_few_digits(v.norm_epsilon),
            }),
            ImageTower::ResNet(r) => json!({ "image_size": r.image_size }),
        },
    });
    match config.family {
        Family::Clip => {
            fields["architectures"] = json!(["CLIPModel"]);
            fields["model_type"] = "clip".into();
            fields["projection_dim"] = config.embed_dim.into();
            fields["text_config"]["model_type"] = "clip_text_model".into();
            fields["text_config"]["bos_token_id"] = tokenizer.start_id().into();
            fields["text_config"]["pad_token_id"] = tokenizer.end_id().into();
            fields["vision_config"]["model_type"] = "clip_vision_model".into();
            for tower in ["text_config", "vision_config"] {
                fields[tower]["projection_dim"] = config.embed_dim.into();
            }
        }
        Family::SigLip => {
            fields["architectures"] = json!(["SiglipModel"]);
            fields["model_type"] = "siglip".into();
            fields["text_config"]["model_type"] = "siglip_text_model".into();
            fields["text_config"]["projection_size"] = config.embed_dim.into();
            fields["text_config"]["pad_token_id"] = tokenizer.pad_id().into();
            fields["vision_config"]["model_type"] = "siglip_vision_model".into();
        }
    }
    fields
}
