//! A label set is encoded once and stored in the model folder.

use std::path::Path;

use clip_checkpoint::Checkpoint;
use clip_model::Manifest;
use clip_model::labels::StoredLabels;
use clip_model::manifest::{LabelsFile, Precision};

use super::folder::draft;
use crate::error::{Error, Result};
use crate::graph::Form;
use crate::run::{Inputs, Labels, Runner};
use crate::tower::Tower;

/// The label set's file name in a model folder.
const FILE: &str = "labels.safetensors";

/// Encodes `labels` with the text tower in single precision, whatever the folder's own is, and writes them into `folder`,
/// which is to have `manifest`. Gives back the file's entry there, and what is in it.
///
/// # Errors
/// [`Error::Labels`] and [`Error::LabelsApart`] when they cannot be encoded.
pub fn store(
    labels: &Labels,
    checkpoint: &Checkpoint,
    manifest: &Manifest,
    folder: &Path,
    runner: &Runner,
) -> Result<(LabelsFile, StoredLabels)> {
    let embeddings = if manifest.text.as_ref().is_some_and(|tower| tower.precision == Precision::Fp32) {
        // For now a folder of this encoder alone, so that no other is opened.
        Manifest { image: None, combined: None, ..manifest.clone() }.write(folder)?;
        encode(labels, folder, runner)?
    } else {
        let tower = draft(checkpoint, folder, &[Tower::Text], Form::default(), |graph| graph)?;
        encode(labels, tower.path(), runner)?
    };
    let (labels, templates) = (labels.labels.clone(), labels.template_texts());
    let stored = StoredLabels { labels, templates, embeddings, ..StoredLabels::default() };
    let sha256 = stored.write(&folder.join(FILE), manifest.embed_dim)?;
    Ok((LabelsFile { file: FILE.to_owned(), sha256, count: stored.labels.len() }, stored))
}

fn encode(labels: &Labels, folder: &Path, runner: &Runner) -> Result<Vec<f32>> {
    let inputs = Inputs { labels: Some(labels.clone()), ..Inputs::default() };
    let outcome = runner.run(folder, &inputs).map_err(|error| match error {
        Error::Trial(error) => Error::Labels(error),
        Error::TrialApart(reason) => Error::LabelsApart(reason),
        other => other,
    })?;
    Ok(outcome.labels.unwrap_or_default().concat())
}
