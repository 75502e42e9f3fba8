//! What a checkpoint is.

use std::collections::BTreeMap;

use anyhow::Result;
use clip_model::config::{Config, Family, NAMES};
use clip_model::shapes::{Tensor, summarize};
use serde_json::json;

use super::words::{self, Inspection, grouped, row};
use crate::screen::size_text;
use crate::source::Source;

/// What a checkpoint is, with a list of its tensors if asked for.
pub fn describe(source: &Source, list: bool) -> Result<Inspection> {
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
    let (mut bytes, mut tensors, mut lines) = (0u64, Vec::new(), Vec::new());
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
        "config": words::config_json(config),
        "parameters": summary.parameters(),
        "image_parameters": image_parameters,
        "text_parameters": text_parameters,
        "image_flops": summary.image_flops,
        "text_flops": summary.text_flops,
        "logit_scale": logit_scale,
        "logit_bias": logit_bias,
        "tokenizer": words::tokenizer_json(&tokenizer, config.text.context_length),
        "preprocess": checkpoint.preprocess,
        "weights": { "tensors": summary.tensors.len(), "bytes": bytes, "dtypes": formats },
    });
    if list {
        value["tensors"] = tensors.into();
    }
    let giga = |flops: u64| format!("{:.3} G", flops as f64 / 1e9);
    let architecture = match (published, config.family) {
        (Some(name), _) => name,
        (None, Family::Clip) => "CLIP, none of the paper's nine",
        (None, Family::SigLip) => "SigLIP",
    };
    let (text, length) = (&config.text, config.text.context_length);
    let text_encoder =
        format!("transformer, {} layers of {} channels, {} heads", text.layers, text.width, text.heads);
    let [all, of_images, of_texts] = [summary.parameters(), image_parameters, text_parameters].map(grouped);
    let (an_image, a_text) = (giga(summary.image_flops), giga(summary.text_flops));
    let mut table = vec![
        row("checkpoint", source.path.display()),
        row("architecture", architecture),
        row("image encoder", words::image_text(&config.image)),
        row("text encoder", text_encoder),
        row("activation", words::activation_text(config)),
        row("embedding", format!("{} numbers", config.embed_dim)),
        row("parameters", format!("{all} ({of_images} image encoder, {of_texts} text encoder)")),
        row("FLOPs", format!("{an_image} an image, {a_text} a text of {length} tokens")),
        row("weights", format!("{}, {}", by_format.join(", "), size_text(bytes))),
        row("tokenizer", words::tokenizer_text(&tokenizer, length)),
        row("preprocessing", words::preprocess_text(&checkpoint.preprocess)),
        row("logit scale", words::logits_text(logit_scale, logit_bias)),
    ];
    table.append(&mut lines);
    Ok(Inspection { json: value, table })
}
