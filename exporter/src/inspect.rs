//! `clip-export inspect`: what a checkpoint or a model folder is.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clip_model::config::{Activation, Config, Family, ImageTower, NAMES};
use clip_model::manifest::{self, Encoder};
use clip_model::preprocess::{Interpolation, Preprocess, ResizeMode};
use clip_model::shapes::{Tensor, summarize};
use clip_model::{Manifest, Tokenizer};
use clip_program::Kept;
use serde_json::{Value, json};

use crate::report::{Report, size_text};
use crate::source::{Source, SourceArguments};

/// Say what a checkpoint or a model folder is: architecture, size, cost, tokenizer, preprocessing
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: SourceArguments,

    /// List every tensor of a checkpoint: name, shape, number format
    #[arg(long)]
    tensors: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is printed: JSON, or a table and a list of tensors.
struct Inspection {
    json: Value,
    rows: Vec<(&'static str, String)>,
    tensors: Vec<String>,
}

/// Prints what the user named is.
pub fn run(arguments: &Arguments) -> Result<()> {
    let text = describe(arguments)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).on_stdout()
}

fn describe(arguments: &Arguments) -> Result<String> {
    let source = &arguments.source;
    let inspection = if source.checkpoint.join(manifest::FILE).exists() {
        if arguments.tensors {
            bail!("--tensors lists those of a checkpoint; {} is a model folder", source.checkpoint.display());
        }
        folder(&source.checkpoint)?
    } else {
        checkpoint(&source.open(&mut Report::new())?, arguments.tensors)?
    };
    if arguments.json {
        return Ok(serde_json::to_string_pretty(&inspection.json)?);
    }
    let rows = inspection.rows.iter().map(|(name, value)| format!("{name:<14} {value}"));
    Ok(rows.chain(inspection.tensors).collect::<Vec<_>>().join("\n"))
}

fn checkpoint(source: &Source, list: bool) -> Result<Inspection> {
    let checkpoint = &source.checkpoint;
    let (config, summary) = (&checkpoint.config, summarize(&checkpoint.config));
    let tokenizer = checkpoint.tokenizer()?;
    let (logit_scale, logit_bias) = (checkpoint.logit_scale()?, checkpoint.logit_bias()?);
    let published = NAMES.into_iter().find(|name| Config::named(name).is_ok_and(|named| named == *config));
    let learned = |of: &dyn Fn(&Tensor) -> bool| -> usize {
        summary.tensors.iter().filter(|t| t.learned && of(t)).map(Tensor::elements).sum()
    };
    let image_parameters = learned(&|t| t.name.starts_with("visual."));
    let text_parameters = learned(&|t| !t.name.starts_with("visual.") && !t.name.starts_with("logit_"));

    let mut formats = BTreeMap::<String, usize>::new();
    let (mut bytes, mut tensors, mut lines) = (0, Vec::new(), Vec::new());
    let width = summary.tensors.iter().map(|t| t.name.len()).max().unwrap_or(0);
    for Tensor { name, shape, .. } in &summary.tensors {
        let dtype = checkpoint.tensor(name)?.dtype;
        let format = format!("{dtype:?}");
        bytes += shape.iter().product::<usize>() as u64 * dtype.bitsize() as u64 / 8;
        if list {
            lines.push(format!("{name:<width$} {format:<5} {shape:?}"));
            tensors.push(json!({ "name": name, "shape": shape, "dtype": format }));
        }
        *formats.entry(format).or_default() += 1;
    }
    let by_format: Vec<String> = formats.iter().map(|(format, count)| format!("{count} {format}")).collect();

    let mut value = json!({
        "checkpoint": source.path,
        "name": source.name,
        "published_as": published,
        "config": config_json(config),
        "parameters": summary.parameters(),
        "image_parameters": image_parameters,
        "text_parameters": text_parameters,
        "image_flops": summary.image_flops,
        "text_flops": summary.text_flops,
        "logit_scale": logit_scale,
        "logit_bias": logit_bias,
        "tokenizer": tokenizer_json(&tokenizer, config.text.context_length),
        "preprocess": checkpoint.preprocess,
        "weights": { "tensors": summary.tensors.len(), "bytes": bytes, "dtypes": formats },
    });
    if list {
        value["tensors"] = tensors.into();
    }
    let giga = |flops: u64| format!("{:.3} G", flops as f64 / 1e9);
    let text = &config.text;
    let rows = vec![
        ("checkpoint", source.path.display().to_string()),
        (
            "architecture",
            match (published, config.family) {
                (Some(name), _) => name,
                (None, Family::Clip) => "CLIP, none of the paper's nine",
                (None, Family::SigLip) => "SigLIP",
            }
            .to_owned(),
        ),
        ("image encoder", image_text(&config.image)),
        (
            "text encoder",
            format!("transformer, {} layers of {} channels, {} heads", text.layers, text.width, text.heads),
        ),
        ("activation", activation_text(config)),
        ("embedding", format!("{} numbers", config.embed_dim)),
        (
            "parameters",
            format!(
                "{} ({} image encoder, {} text encoder)",
                grouped(summary.parameters()),
                grouped(image_parameters),
                grouped(text_parameters)
            ),
        ),
        (
            "FLOPs",
            format!(
                "{} an image, {} a text of {} tokens",
                giga(summary.image_flops),
                giga(summary.text_flops),
                text.context_length
            ),
        ),
        ("weights", format!("{}, {}", by_format.join(", "), size_text(bytes))),
        ("tokenizer", tokenizer_text(&tokenizer, text.context_length)),
        ("preprocessing", preprocess_text(&checkpoint.preprocess)),
        ("logit scale", logits_text(logit_scale, logit_bias)),
    ];
    Ok(Inspection { json: value, rows, tensors: lines })
}

fn folder(path: &Path) -> Result<Inspection> {
    let manifest = Manifest::read(path)?;
    let size = |file: &str| -> Result<u64> {
        let path = path.join(file);
        Ok(path.metadata().with_context(|| format!("cannot find {}", path.display()))?.len())
    };
    // The report of a verification need not be there, and a record of a check is not the model's.
    let present = |file: &&str| match *file {
        manifest::CHECKED => false,
        manifest::REPORT => path.join(file).exists(),
        _ => true,
    };
    let files: Vec<(&str, u64)> =
        manifest.files().into_iter().filter(present).map(|f| Ok((f, size(f)?))).collect::<Result<_>>()?;
    let total: u64 = files.iter().map(|(_, bytes)| bytes).sum();
    let tokenizer = match &manifest.tokenizer {
        Some(t) => Some((t.open(path.join(&t.file))?, t.context_length)),
        None => None,
    };

    let encoder = |encoder: &Option<Encoder>| match encoder {
        Some(e) => {
            let batch = e.batch.map_or(String::new(), |n| format!(", batches of {n}"));
            Ok(format!("{}, {}, {} input{batch}", e.file, word(&e.precision)?, word(&e.input.element)?))
        }
        None => anyhow::Ok("none".to_owned()),
    };
    let mut rows = vec![
        ("model folder", path.display().to_string()),
        ("model", manifest.model.clone()),
        ("written by", manifest.producer.clone()),
        ("image encoder", encoder(&manifest.image)?),
        ("text encoder", encoder(&manifest.text)?),
        ("embedding", format!("{} numbers", manifest.embed_dim)),
    ];
    if let Some((tokenizer, length)) = &tokenizer {
        rows.push(("tokenizer", tokenizer_text(tokenizer, *length)));
    }
    rows.push(("preprocessing", preprocess_text(&manifest.preprocess)));
    rows.push(("logit scale", logits_text(manifest.logit_scale, manifest.logit_bias)));
    if let Some(labels) = &manifest.labels {
        rows.push(("labels", format!("{} in {}", labels.count, labels.file)));
    }
    let list: Vec<String> =
        files.iter().map(|(file, bytes)| format!("{file} {}", size_text(*bytes))).collect();
    rows.push(("files", format!("{}; together {}", list.join(", "), size_text(total))));
    let json = json!({
        "folder": path,
        "manifest": manifest,
        "tokenizer": tokenizer.as_ref().map(|(tokenizer, length)| tokenizer_json(tokenizer, *length)),
        "files": files.iter().map(|(file, bytes)| json!({ "file": file, "bytes": bytes })).collect::<Vec<_>>(),
        "bytes": total,
    });
    Ok(Inspection { json, rows, tensors: vec![] })
}

/// A word of the manifest, as it is written there.
fn word(value: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_value(value)?.as_str().unwrap_or_default().to_owned())
}

fn config_json(config: &Config) -> Value {
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

fn image_text(image: &ImageTower) -> String {
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

fn activation_text(config: &Config) -> String {
    let text = activation(config.text.activation);
    match &config.image {
        ImageTower::ViT(v) if v.activation != config.text.activation => {
            format!("{} (image), {text} (text)", activation(v.activation))
        }
        _ => text.to_owned(),
    }
}

/// How similarities become probabilities.
fn logits_text(scale: f32, bias: Option<f32>) -> String {
    match bias {
        Some(bias) => format!("{scale}, bias {bias}: a sigmoid for each label"),
        None => scale.to_string(),
    }
}

fn tokenizer_json(tokenizer: &Tokenizer, context_length: usize) -> Value {
    let kind = if tokenizer.is_openai() { "openai" } else { "own" };
    json!({ "kind": kind, "vocab_size": tokenizer.vocab_size(), "context_length": context_length })
}

fn tokenizer_text(tokenizer: &Tokenizer, context_length: usize) -> String {
    let kind = if tokenizer.is_openai() { "OpenAI's" } else { "its own" };
    format!("{kind}, {} tokens, texts of up to {context_length}", grouped(tokenizer.vocab_size()))
}

fn preprocess_text(preprocess: &Preprocess) -> String {
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
fn grouped(number: usize) -> String {
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
