//! A label set is encoded once and stored in the model folder.

use std::path::Path;

use clip_checkpoint::Checkpoint;
use clip_model::Manifest;
use clip_model::labels::StoredLabels;
use clip_model::manifest::{LabelsFile, Precision};
use clip_runtime::Template;

use crate::error::{Error, Result};
use crate::evaluation::{self, Inputs};
use crate::export::draft;
use crate::options::{Only, Options};

/// The label set's file name in a model folder.
const FILE: &str = "labels.safetensors";

/// Labels, and the templates that they are put into.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// The labels, at least one.
    pub labels: Vec<String>,
    /// The templates; none for labels that stand for themselves.
    pub templates: Vec<Template>,
}

/// Encodes `labels` with the text tower in single precision, whatever the folder's own is, in `program` when there is one, and
/// writes them into `folder`, which is to have `manifest`.
///
/// # Errors
/// [`Error::Labels`] and [`Error::LabelsApart`] when they cannot be encoded.
pub fn store(
    labels: &Labels,
    checkpoint: &Checkpoint,
    manifest: &Manifest,
    folder: &Path,
    program: Option<&Path>,
) -> Result<LabelsFile> {
    let embeddings = if manifest.text.as_ref().is_some_and(|tower| tower.precision == Precision::Fp32) {
        // For now a folder of this encoder alone, so that no other is opened.
        Manifest { image: None, combined: None, ..manifest.clone() }.write(folder)?;
        encode(labels, folder, program)?
    } else {
        // Removed at the end.
        let io = |e| clip_model::Error::io("create", folder, e);
        let temporary = tempfile::Builder::new().prefix(".tmp-").tempdir_in(folder).map_err(io)?;
        let tower = temporary.path().join("text");
        let options = Options { model: manifest.model.clone(), only: Some(Only::Text), ..Options::default() };
        draft(checkpoint, &tower, &options, |graph| graph)?;
        encode(labels, &tower, program)?
    };
    let stored = StoredLabels {
        labels: labels.labels.clone(),
        templates: labels.templates.iter().map(Template::to_string).collect(),
        embeddings,
    };
    let sha256 = stored.write(&folder.join(FILE), manifest.embed_dim)?;
    Ok(LabelsFile { file: FILE.to_owned(), sha256, count: stored.labels.len() })
}

fn encode(labels: &Labels, folder: &Path, program: Option<&Path>) -> Result<Vec<f32>> {
    let inputs = Inputs { labels: Some(labels.clone()), ..Inputs::default() };
    let outcome = evaluation::run(folder, &inputs, program).map_err(|error| match error {
        Error::Trial(error) => Error::Labels(error),
        Error::TrialApart(reason) => Error::LabelsApart(reason),
        other => other,
    })?;
    Ok(outcome.labels.unwrap_or_default().concat())
}
