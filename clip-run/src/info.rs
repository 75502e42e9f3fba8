//! `clip-run info`: what a model folder is, and what would run it.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use clip_model::manifest::Encoder;
use clip_program::Kept;
use serde_json::json;

use crate::model::ModelOptions;

/// Open a model folder, and say what it is and what runs it
#[derive(clap::Args)]
pub struct Arguments {
    /// Model folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelOptions,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let clip = arguments.model.open(&arguments.folder)?;
    let (manifest, engine) = (clip.manifest(), clip.engine());
    let mut out = io::stdout().lock();
    if arguments.json {
        let runs_on = json!({
            "engine": engine.name,
            "version": engine.version,
            "library": engine.library.to_string_lossy(),
            "provider": engine.device.to_string(),
            "threads": clip.threads(),
        });
        return writeln!(out, "{}", json!({ "manifest": manifest, "runs_on": runs_on })).on_stdout();
    }
    let side = manifest.preprocess.size;
    let image = manifest.image.as_ref().map(|e| format!("{side}x{side} pixels, {}", precision(e)));
    let text = manifest.text.as_ref().zip(manifest.tokenizer.as_ref());
    let text = text.map(|(e, t)| format!("up to {} tokens, {}", t.context_length, precision(e)));
    let scale = match manifest.logit_bias {
        Some(bias) => format!("{}, bias {bias}: a sigmoid for each label", manifest.logit_scale),
        None => manifest.logit_scale.to_string(),
    };
    let none = || "no encoder".to_owned();
    for (name, value) in [
        ("model", manifest.model.clone()),
        ("written by", manifest.producer.clone()),
        ("embedding", format!("{} numbers", manifest.embed_dim)),
        ("image", image.unwrap_or_else(none)),
        ("text", text.unwrap_or_else(none)),
        ("labels", clip.stored_labels().map_or_else(|| "none stored".to_owned(), |l| l.len().to_string())),
        ("logit scale", scale),
        ("engine", format!("{engine}, {} threads", clip.threads())),
        ("library", engine.library.display().to_string()),
    ] {
        writeln!(out, "{name:<12} {value}").on_stdout()?;
    }
    Ok(())
}

/// Number format and what is fixed of an encoder.
fn precision(encoder: &Encoder) -> String {
    let precision = encoder.precision.name();
    encoder.batch.map_or_else(|| precision.to_owned(), |n| format!("{precision}, batches of {n}"))
}
