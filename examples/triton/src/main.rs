//! Classifies a picture by a model that NVIDIA's Triton Inference Server runs, as `clip-export --triton` makes one:
//!
//!     clip-triton URL NAME MODEL-FOLDER PICTURE
//!
//! The server runs NAME_classifier or, where it has none, NAME_visual, whose embedding is compared with the folder's stored labels
//! here. Of the folder only clip.json and labels.safetensors are read; this program has no engine.

mod server;

use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use clip_model::labels::StoredLabels;
use clip_model::manifest::{Values, verified};
use clip_model::preprocess::Image;
use clip_model::{Manifest, Preprocess};
use server::{Numbers, Server};

/// Labels that are printed.
const TOP: usize = 5;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, name, folder, picture] = arguments.as_slice() else {
        bail!("usage: clip-triton URL NAME MODEL-FOLDER PICTURE");
    };
    let manifest = Manifest::read(folder)?;
    let Some(file) = &manifest.labels else { bail!("{folder} has no stored labels: export it with them") };
    let path = verified(folder, &file.file, &file.sha256)?;
    let labels = StoredLabels::read(&path, file.count, manifest.embed_dim)?;
    let image = manifest.preprocess.open(Path::new(picture))?;

    let server = Server::new(url);
    let (classifier, visual) = (format!("{name}_classifier"), format!("{name}_visual"));
    let probabilities = match &manifest.classifier {
        Some(entry) if server.has(&classifier)? => {
            let encoder = &entry.encoder;
            let (shape, numbers) = input(&manifest.preprocess, entry.values, &image)?;
            server.infer(&classifier, (&encoder.input.name, &shape, numbers), &encoder.output)?
        }
        _ => {
            let encoder = manifest.image.as_ref().context("the model has no image encoder")?;
            let values = Values::of_encoder(encoder.input.element);
            let (shape, numbers) = input(&manifest.preprocess, values, &image)?;
            let embedding = server.infer(&visual, (&encoder.input.name, &shape, numbers), &encoder.output)?;
            if embedding.len() != manifest.embed_dim {
                bail!("{visual} gave {} numbers, {} were expected", embedding.len(), manifest.embed_dim);
            }
            probabilities(&manifest, &embedding, &labels.embeddings)
        }
    };
    if probabilities.len() != labels.labels.len() {
        bail!("the server gave {} probabilities for {} labels", probabilities.len(), labels.labels.len());
    }

    let mut found: Vec<(f64, &String)> = probabilities.into_iter().zip(&labels.labels).collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut out = std::io::stdout().lock();
    for (probability, label) in found.into_iter().take(TOP) {
        match writeln!(out, "{:8.4} %  {label}", 100.0 * probability) {
            // Whoever read our output has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            written => written.context("cannot write to standard output")?,
        }
    }
    Ok(())
}

/// A picture as a graph takes it, as a batch of one: its shape and its numbers.
fn input(preprocess: &Preprocess, values: Values, image: &Image) -> Result<([usize; 4], Numbers)> {
    let (side, fitted) = (preprocess.size, preprocess.fit(image)?);
    if values == Values::Bytes {
        return Ok(([1, side, side, 3], Numbers::Uint8(fitted.rgb().to_vec())));
    }
    let mut numbers = vec![0.0; 3 * side * side];
    match values {
        Values::Normalised => preprocess.normalize(&fitted, &mut numbers)?,
        _ => {
            for (i, level) in fitted.rgb().iter().enumerate() {
                numbers[i % 3 * side * side + i / 3] = f32::from(*level);
            }
        }
    }
    Ok(([1, 3, side, side], Numbers::Float32(numbers)))
}

/// What the similarities of an image to the labels mean: together one, or, where there is a bias, each for itself.
fn probabilities(manifest: &Manifest, image: &[f64], labels: &[f32]) -> Vec<f64> {
    let rows = labels.chunks_exact(image.len());
    let cosine = |row: &[f32]| row.iter().zip(image).map(|(a, b)| f64::from(*a) * b).sum::<f64>();
    let logits: Vec<f64> = rows.map(|row| f64::from(manifest.logit_scale) * cosine(row)).collect();
    if let Some(bias) = manifest.logit_bias {
        return logits.into_iter().map(|logit| 1.0 / (1.0 + (-logit - f64::from(bias)).exp())).collect();
    }
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logits.into_iter().map(|logit| (logit - largest).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}
