//! A label set is encoded once and stored in the model folder.

use std::path::Path;

use clip_model::labels::StoredLabels;
use clip_model::manifest::{LabelsFile, Precision};
use clip_model::{Checkpoint, Manifest, files};
use clip_runtime::{Clip, LabelSet, Template};

use crate::error::{Error, Result};
use crate::export::export;
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

/// Encodes `labels` with the text tower in single precision, whatever the folder's own is, and writes them into
/// `folder`, which is to have `manifest`.
///
/// # Errors
/// [`Error::Labels`] when they cannot be encoded.
pub fn store(
    labels: &Labels,
    checkpoint: &Checkpoint,
    manifest: &Manifest,
    folder: &Path,
) -> Result<LabelsFile> {
    let set = if manifest.text.as_ref().is_some_and(|tower| tower.precision == Precision::Fp32) {
        // For now a folder of this encoder alone, so that no other is opened.
        Manifest { image: None, combined: None, ..manifest.clone() }.write(folder)?;
        encode(labels, folder)?
    } else {
        // Removed at the end.
        let io = |e| clip_model::Error::io("create", folder, e);
        let temporary = tempfile::Builder::new().prefix(".tmp-").tempdir_in(folder).map_err(io)?;
        let tower = temporary.path().join("text");
        let options = Options { model: manifest.model.clone(), only: Some(Only::Text), ..Options::default() };
        export(checkpoint, &tower, &options, &mut |_| {})?;
        encode(labels, &tower)?
    };
    let stored = StoredLabels {
        labels: set.labels().to_vec(),
        templates: labels.templates.iter().map(Template::to_string).collect(),
        embeddings: set.embeddings().as_slice().to_vec(),
    };
    let path = folder.join(FILE);
    stored.write(&path, manifest.embed_dim)?;
    Ok(LabelsFile { file: FILE.to_owned(), sha256: files::sha256(&path)?, count: stored.labels.len() })
}

fn encode(labels: &Labels, folder: &Path) -> Result<LabelSet> {
    let encode = || Clip::open(folder)?.label_set(&labels.labels, &labels.templates);
    encode().map_err(Error::Labels)
}
