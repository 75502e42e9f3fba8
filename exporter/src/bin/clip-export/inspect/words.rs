//! Parts of a model in words, and as JSON.

use std::fmt::Display;

use clip_model::Tokenizer;
use clip_model::config::{Activation, Config, Family, ImageTower};
use clip_model::preprocess::{Interpolation, Preprocess, ResizeMode};
use serde_json::{Value, json};

/// What is printed: JSON, or a table.
pub struct Inspection {
    /// One object.
    pub json: Value,
    /// Lines, see [`row`].
    pub table: Vec<String>,
}

/// A line of the table.
pub fn row(name: &str, value: impl Display) -> String {
    format!("{name:<14} {value}")
}

/// A network's sizes.
pub fn config_json(config: &Config) -> Value {
    let image = match &config.image {
        ImageTower::ResNet(r) => json!({
            "kind": "resnet", "image_size": r.image_size, "layers": r.layers, "width": r.width,
            "head_width": r.head_width,
        }),
        ImageTower::ViT(v) => json!({
            "kind": "vit", "image_size": v.image_size, "patch_size": v.patch_size, "layers": v.layers,
            "width": v.width, "heads": v.heads(), "mlp_ratio": v.mlp_ratio, "activation": activation(v.activation),
        }),
    };
    let text = &config.text;
    let text = json!({
        "context_length": text.context_length, "vocab_size": text.vocab_size, "layers": text.layers,
        "width": text.width, "heads": text.heads, "mlp_ratio": text.mlp_ratio, "activation": activation(text.activation),
    });
    let family = match config.family {
        Family::Clip => "clip",
        Family::SigLip => "siglip",
    };
    json!({ "family": family, "embed_dim": config.embed_dim, "image": image, "text": text })
}

/// The network of an image encoder.
pub fn image_text(image: &ImageTower) -> String {
    let side = image.image_size();
    match image {
        ImageTower::ResNet(r) => {
            let [a, b, c, d] = r.layers;
            format!("ResNet, {a}+{b}+{c}+{d} blocks of width {}, {side}x{side} pixels", r.width)
        }
        ImageTower::ViT(v) => format!(
            "ViT, {} layers of {} channels, {} heads, patches of {}, {side}x{side} pixels",
            v.layers,
            v.width,
            v.heads(),
            v.patch_size
        ),
    }
}

fn activation(activation: Activation) -> &'static str {
    match activation {
        Activation::QuickGelu => "quick_gelu",
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_tanh",
    }
}

/// The activation, or both where they differ.
pub fn activation_text(config: &Config) -> String {
    let text = activation(config.text.activation);
    match &config.image {
        ImageTower::ViT(v) if v.activation != config.text.activation => {
            format!("{} (image), {text} (text)", activation(v.activation))
        }
        _ => text.to_owned(),
    }
}

/// How similarities become probabilities.
pub fn logits_text(scale: f32, bias: Option<f32>) -> String {
    match bias {
        Some(bias) => format!("{scale}, bias {bias}: a sigmoid for each label"),
        None => scale.to_string(),
    }
}

/// Whose vocabulary it is, and how long texts may be.
pub fn tokenizer_json(tokenizer: &Tokenizer, context_length: usize) -> Value {
    let kind = if tokenizer.is_openai() { "openai" } else { "own" };
    json!({ "kind": kind, "vocab_size": tokenizer.vocab_size(), "context_length": context_length })
}

/// The same in words.
pub fn tokenizer_text(tokenizer: &Tokenizer, context_length: usize) -> String {
    let kind = if tokenizer.is_openai() { "OpenAI's" } else { "its own" };
    format!("{kind}, {} tokens, texts of up to {context_length}", grouped(tokenizer.vocab_size()))
}

/// How pictures are brought to the model's size.
pub fn preprocess_text(preprocess: &Preprocess) -> String {
    let Preprocess { size, mean, std, .. } = preprocess;
    let filter = match preprocess.interpolation {
        Interpolation::Bicubic => "bicubic",
        Interpolation::Bilinear => "bilinear",
    };
    let resize = match preprocess.resize_mode {
        ResizeMode::Shortest => format!("shorter side to {size} ({filter}), centre cut out"),
        ResizeMode::Squash => format!("both sides to {size} ({filter})"),
    };
    format!("{resize}, mean {mean:?}, std {std:?}")
}

/// Digits in groups of three: 151,277,313.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_right() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (151_277_313, "151,277,313")] {
            assert_eq!(grouped(number), text);
        }
    }
}
