//! What a model folder is.

use std::path::Path;

use anyhow::{Context, Result};
use clip_model::Manifest;
use clip_model::frame::Rect;
use clip_model::manifest::{self, Camera, Classifier, Encoder, Plan, Sizes, Values};
use serde::Serialize;
use serde_json::json;

use super::words::{self, Inspection, row};
use crate::screen::size_text;

/// A file of the folder.
#[derive(Serialize)]
struct File<'a> {
    file: &'a str,
    bytes: u64,
}

/// What the model folder at `path` is.
pub fn describe(path: &Path) -> Result<Inspection> {
    let manifest = Manifest::read(path)?;
    let size = |file| -> Result<File> {
        let path = path.join(file);
        let bytes = path.metadata().with_context(|| format!("cannot find {}", path.display()))?.len();
        Ok(File { file, bytes })
    };
    // The report of a verification need not be there, and a record of a check is not the model's.
    let present = |file: &&str| match *file {
        manifest::CHECKED => false,
        manifest::REPORT => path.join(file).exists(),
        _ => true,
    };
    let files: Vec<File> = manifest.files().into_iter().filter(present).map(size).collect::<Result<_>>()?;
    let total: u64 = files.iter().map(|file| file.bytes).sum();
    let tokenizer = match &manifest.tokenizer {
        Some(t) => Some((t.open(path.join(&t.file))?, t.context_length)),
        None => None,
    };
    let mut table = vec![
        row("model folder", path.display()),
        row("model", &manifest.model),
        row("written by", &manifest.producer),
        row("image encoder", encoder_text(manifest.image.as_ref())?),
        row("text encoder", encoder_text(manifest.text.as_ref())?),
        row("embedding", format!("{} numbers", manifest.embed_dim)),
    ];
    table.extend(tokenizer.iter().map(|(t, length)| row("tokenizer", words::tokenizer_text(t, *length))));
    table.push(row("preprocessing", words::preprocess_text(&manifest.preprocess)));
    table.push(row("logit scale", words::logits_text(manifest.logit_scale, manifest.logit_bias)));
    table.extend(manifest.labels.iter().map(|set| row("labels", format!("{} in {}", set.count, set.file))));
    table.extend(manifest.classifier.iter().map(|c| row("classifier", classifier_text(c))));
    table.extend(manifest.camera.iter().map(|c| row("camera", camera_text(c))));
    let list: Vec<String> =
        files.iter().map(|File { file, bytes }| format!("{file} {}", size_text(*bytes))).collect();
    table.push(row("files", format!("{}; together {}", list.join(", "), size_text(total))));
    let json = json!({
        "folder": path,
        "manifest": manifest,
        "tokenizer": tokenizer.as_ref().map(|(t, length)| words::tokenizer_json(t, *length)),
        "files": files,
        "bytes": total,
    });
    Ok(Inspection { json, table })
}

fn encoder_text(encoder: Option<&Encoder>) -> Result<String> {
    let Some(encoder) = encoder else { return Ok("none".to_owned()) };
    let (precision, element) = (encoder.precision.name(), word(&encoder.input.element)?);
    let batch = encoder.batch.map_or(String::new(), |n| format!(", batches of {n}"));
    let plan = encoder.plan().map_or(String::new(), plan_text);
    Ok(format!("{}, {precision}, {element} input{batch}{plan}", encoder.file))
}

/// What an engine depends on.
fn plan_text(plan: &Plan) -> String {
    let name = if plan.is_of_rtx() { "TensorRT-RTX" } else { "TensorRT" };
    let sm = |sm: &u32| format!("{}.{}", sm / 10, sm % 10);
    let capabilities: Vec<String> = plan.compute_capabilities.iter().map(sm).collect();
    let gpus = match capabilities.as_slice() {
        [] => "portable".to_owned(),
        some => format!("compute capability {}", some.join(", ")),
    };
    let verified = if plan.verified { "verified" } else { "unverified" };
    let Sizes { min, max, .. } = plan.batch;
    format!("; {name} {}, {gpus}, batches of {min} to {max}, {verified}", plan.version)
}

fn classifier_text(classifier: &Classifier) -> String {
    let takes = match classifier.values {
        Values::Normalised => "normalised numbers",
        Values::Bytes => "packed bytes",
        Values::Pixels => "numbers from 0 to 255",
    };
    format!("{}, {}, takes {takes}", classifier.encoder.file, classifier.encoder.precision.name())
}

fn camera_text(camera: &Camera) -> String {
    let Camera { encoder, layout, view, .. } = camera;
    let planes = &layout.strides[..layout.format.planes()];
    let strides: Vec<String> = planes.iter().map(usize::to_string).collect();
    let mut text = format!(
        "{}, {}, takes {} of {}x{} pixels, {} bytes from row to row",
        encoder.file,
        encoder.precision.name(),
        layout.format,
        layout.width,
        layout.height,
        strides.join(", ")
    );
    if let Some(Rect { left, top, width, height }) = view.crop {
        text += &format!(", of which {width}x{height} at ({left}, {top}) count");
    }
    text + &encoder.plan().map_or(String::new(), plan_text)
}

/// A word of the manifest, as it is written there.
fn word(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_value(value)?.as_str().unwrap_or_default().to_owned())
}
