//! A label set as a file, so that a device needs no text encoder.
//!
//! The file is in the safetensors format: one tensor `embeddings`, float32 `[labels, embed_dim]`, rows of length one,
//! and in the metadata, under `labels`, the JSON object `{"labels": [...], "templates": [...]}`. Files that are no part of a model
//! folder also have `"model"` in it, which says whose embeddings they are; `"background"` and `"logits"` are there where they matter.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::excerpt::excerpt;
use crate::manifest::ModelId;
use crate::{files, memory};

/// The tensor's name.
const TENSOR: &str = "embeddings";

/// The metadata's key.
const NOTE: &str = "labels";

/// The longest header that the format's library reads, bytes.
const LONGEST_HEADER: u64 = 100_000_000;

/// How far the length of an embedding may be from 1.
const LENGTH_TOLERANCE: f64 = 1e-3;

/// The largest file that is read, bytes.
const LARGEST: u64 = 1 << 34;

/// Labels with their embeddings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StoredLabels {
    /// The labels, at least one.
    pub labels: Vec<String>,
    /// The templates that each label was put into, as text; none for labels that stood for themselves.
    pub templates: Vec<String>,
    /// One row of length one a label, `[labels, embed_dim]`.
    pub embeddings: Vec<f32>,
    /// How many of the labels, the last ones, only say what is none of the others; at least one is not of them.
    pub background: usize,
    /// Whose embeddings they are. A file of a model folder does not say: `clip.json` knows its hash.
    pub model: Option<ModelId>,
    /// What probabilities are made with in place of the model's own numbers.
    pub logits: Option<Logits>,
}

/// How similarities become probabilities, see [`crate::Manifest::logit_scale`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logits {
    /// Factor on cosine similarities, more than 0.
    pub scale: f32,
    /// Summand; where it is, each label has a probability of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias: Option<f32>,
}

impl Logits {
    /// Whether probabilities can be made with these numbers.
    pub fn is_valid(&self) -> bool {
        self.scale.is_finite() && self.scale > 0.0 && self.bias.is_none_or(f32::is_finite)
    }
}

/// What the metadata holds, as JSON. A field that is left out of older files is left out where it says nothing.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    labels: Vec<String>,
    templates: Vec<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    background: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<ModelId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    logits: Option<Logits>,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl StoredLabels {
    /// Writes `path` atomically; gives back its SHA-256. The same labels give the same bytes.
    ///
    /// # Errors
    /// [`Error::Labels`] for what [`StoredLabels::read`] would refuse.
    pub fn write(&self, path: &Path, embed_dim: usize) -> Result<String> {
        self.check(path, embed_dim)?;
        let StoredLabels { labels, templates, background, model, logits, .. } = self;
        let (labels, templates, model) = (labels.clone(), templates.clone(), model.clone());
        let note = Note { labels, templates, background: *background, model, logits: *logits };
        let note =
            serde_json::to_string(&note).map_err(|source| Error::Json { path: path.to_owned(), source })?;
        let fail = |source| not_safetensors(path, source);
        let data: Vec<u8> = self.embeddings.iter().flat_map(|v| v.to_le_bytes()).collect();
        let shape = vec![self.labels.len(), embed_dim];
        let tensor = TensorView::new(Dtype::F32, shape, &data).map_err(fail)?;
        // A single key, since several would come in any order.
        let metadata = HashMap::from([(NOTE.to_owned(), note)]);
        let bytes = safetensors::serialize([(TENSOR, tensor)], Some(metadata)).map_err(fail)?;
        files::write_hashed(path, &bytes)
    }

    /// Reads a file for a model whose embeddings have `embed_dim` numbers.
    ///
    /// # Errors
    /// [`Error::Labels`] for what is no such file, when something is missing, when labels and embeddings are not equally many, or
    /// when an embedding has another width or is not of length one.
    pub fn open(path: &Path, embed_dim: usize) -> Result<StoredLabels> {
        Self::parse(path, &files::read(path, LARGEST)?, None, embed_dim)
    }

    /// [`StoredLabels::open`] for a file that is known to have `count` labels.
    ///
    /// # Errors
    /// As [`StoredLabels::open`]; [`Error::Labels`] when it has another number of them.
    pub fn read(path: &Path, count: usize, embed_dim: usize) -> Result<StoredLabels> {
        let numbers = (count as u64).saturating_mul(embed_dim as u64).saturating_mul(4);
        let bytes = files::read(path, numbers.saturating_add(LONGEST_HEADER))?;
        Self::parse(path, &bytes, Some(count), embed_dim)
    }

    fn parse(path: &Path, bytes: &[u8], count: Option<usize>, embed_dim: usize) -> Result<StoredLabels> {
        let bad = |reason: String| Error::Labels { path: path.to_owned(), reason };
        let fail = |source| not_safetensors(path, source);
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(fail)?;
        let note = header.metadata().as_ref().and_then(|notes| notes.get(NOTE));
        let note = note.ok_or_else(|| bad(format!("there is no {NOTE:?} in its metadata")))?;
        let Note { labels, templates, background, model, logits } = serde_json::from_str(note)
            .map_err(|e| bad(format!("{NOTE:?} in its metadata: {}", excerpt(&e.to_string()))))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(fail)?;
        let tensor = tensors.tensor(TENSOR).map_err(|_| bad(format!("there is no tensor {TENSOR:?}")))?;
        let (dtype, shape) = (tensor.dtype(), tensor.shape());
        let expected = [count.unwrap_or(labels.len()), embed_dim];
        if dtype != Dtype::F32 || shape != expected {
            return Err(bad(format!("{TENSOR:?} is {dtype:?} {shape:?}, expected F32 {expected:?}")));
        }
        let mut embeddings = memory::with_capacity("the embeddings of labels", tensor.data().len() / 4)?;
        embeddings.extend(tensor.data().as_chunks().0.iter().map(|&number| f32::from_le_bytes(number)));
        let stored = StoredLabels { labels, templates, embeddings, background, model, logits };
        stored.check(path, embed_dim)?;
        Ok(stored)
    }

    fn check(&self, path: &Path, embed_dim: usize) -> Result<()> {
        let bad = |reason: String| Err(Error::Labels { path: path.to_owned(), reason });
        let (labels, numbers) = (self.labels.len(), self.embeddings.len());
        if labels == 0 {
            return bad("it has no label".to_owned());
        }
        if Some(numbers) != labels.checked_mul(embed_dim) {
            return bad(format!("it has {labels} labels, and {numbers} numbers in rows of {embed_dim}"));
        }
        if self.background >= labels {
            return bad(format!(
                "of its {labels} labels, {} are background: one at least must not be",
                self.background
            ));
        }
        if let Some(logits) = self.logits.filter(|logits| !logits.is_valid()) {
            return bad(format!("no probabilities can be made with {logits:?}"));
        }
        for (label, row) in self.labels.iter().zip(self.embeddings.chunks_exact(embed_dim)) {
            let length = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            // NaN lies in no range.
            if !(1.0 - LENGTH_TOLERANCE..=1.0 + LENGTH_TOLERANCE).contains(&length) {
                let label = excerpt(label);
                return bad(format!("the embedding of {label:?} has length {length}, expected 1"));
            }
        }
        Ok(())
    }
}

fn not_safetensors(path: &Path, source: SafeTensorError) -> Error {
    Error::Labels { path: path.to_owned(), reason: format!("not a well-formed safetensors file: {source}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> StoredLabels {
        StoredLabels {
            labels: vec!["cat".into(), "naïve \"dog\"".into()],
            templates: vec!["a {}.".into()],
            embeddings: vec![1.0, 0.0, 0.0, 0.0, 0.6, -0.8],
            ..StoredLabels::default()
        }
    }

    fn message(result: Result<impl std::fmt::Debug>) -> String {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Labels { .. }), "{error:?}");
        error.to_string()
    }

    #[test]
    fn what_is_written_is_read_back_and_always_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        stored().write(&a, 3).unwrap();
        stored().write(&b, 3).unwrap();
        assert_eq!(StoredLabels::read(&a, 2, 3).unwrap(), stored());
        assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
    }

    #[test]
    fn whose_labels_they_are_and_how_they_are_used_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels");
        let model = ModelId {
            name: "test".into(),
            image: Some("a".into()),
            text: None,
            tokenizer: Some("b".into()),
            clean: Some(crate::tokenizer::Cleaning::Lower),
        };
        let logits = Some(Logits { scale: 20.5, bias: Some(-3.0) });
        let labels = StoredLabels { background: 1, model: Some(model), logits, ..stored() };
        labels.write(&path, 3).unwrap();
        assert_eq!(StoredLabels::open(&path, 3).unwrap(), labels);
        // A file that says none of it is as it was before it could.
        stored().write(&path, 3).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let header = String::from_utf8_lossy(&bytes);
        assert!(!["model", "logits", "background"].iter().any(|word| header.contains(word)), "{header}");
        assert_eq!(StoredLabels::open(&path, 3).unwrap(), stored());
    }

    #[test]
    fn backgrounds_and_logits_that_make_no_sense_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels");
        let all = StoredLabels { background: 2, ..stored() };
        assert!(message(all.write(&path, 3)).contains("of its 2 labels, 2 are background"));
        for (scale, bias) in [(0.0, None), (-1.0, None), (f32::NAN, None), (1.0, Some(f32::INFINITY))] {
            let wrong = StoredLabels { logits: Some(Logits { scale, bias }), ..stored() };
            assert!(message(wrong.write(&path, 3)).contains("no probabilities can be made"));
        }
    }

    #[test]
    fn other_sizes_than_the_models_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels");
        stored().write(&path, 3).unwrap();
        let found = message(StoredLabels::read(&path, 3, 3));
        assert!(found.contains("F32 [2, 3], expected F32 [3, 3]"), "{found}");
        let found = message(StoredLabels::read(&path, 2, 4));
        assert!(found.contains("F32 [2, 3], expected F32 [2, 4]"), "{found}");
        assert!(message(stored().write(&path, 2)).contains("2 labels, and 6 numbers in rows of 2"));
        let none = StoredLabels::default();
        assert!(message(none.write(&path, 3)).contains("no label"));
    }

    #[test]
    fn embeddings_that_are_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels");
        for (value, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (2.0, "2.15"), (0.0, "0.8")] {
            let mut spoilt = stored();
            spoilt.embeddings[4] = value;
            spoilt.labels[1] = "dog".into();
            let note = r#"{"labels": ["cat", "dog"], "templates": []}"#;
            put(&path, TENSOR, &spoilt.embeddings, note);
            for found in [message(StoredLabels::read(&path, 2, 3)), message(spoilt.write(&path, 3))] {
                assert!(found.contains("dog") && found.contains(shown), "{found}");
            }
        }
    }

    #[test]
    fn long_labels_are_named_by_their_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels");
        let mut spoilt = stored();
        (spoilt.labels[1], spoilt.embeddings[4]) = ("dog ".repeat(1 << 18), 2.0);
        let found = message(spoilt.write(&path, 3));
        assert!(
            found.contains("dog dog") && found.contains("(1048576 bytes)") && found.len() < 500,
            "{found:.500}"
        );
        let unknown = format!(r#"{{"labels": [], "{}": 1}}"#, "a".repeat(1 << 20));
        put(&path, TENSOR, &stored().embeddings, &unknown);
        let found = message(StoredLabels::read(&path, 2, 3));
        assert!(found.contains("unknown field `aaa") && found.len() < 500, "{found:.500}");
    }

    /// A file that [`StoredLabels::write`] would not write.
    fn put(path: &Path, tensor: &str, data: &[f32], note: &str) {
        write(path, tensor, data, HashMap::from([(NOTE.to_owned(), note.to_owned())]));
    }

    fn write(path: &Path, name: &str, data: &[f32], notes: HashMap<String, String>) {
        let data: Vec<u8> = data.iter().flat_map(|v| v.to_le_bytes()).collect();
        let tensor = TensorView::new(Dtype::F32, vec![2, 3], &data).unwrap();
        std::fs::write(path, safetensors::serialize([(name, tensor)], Some(notes)).unwrap()).unwrap();
    }

    #[test]
    fn files_that_lack_something_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels");
        let good = stored().embeddings;
        let lacks = |tensor: &str, note: &str| {
            put(&path, tensor, &good, note);
            message(StoredLabels::read(&path, 2, 3))
        };
        let whole = r#"{"labels": ["cat", "dog"], "templates": []}"#;
        assert!(lacks("other", whole).contains("no tensor \"embeddings\""));
        assert!(lacks(TENSOR, "cat,dog").contains("\"labels\" in its metadata"));
        assert!(lacks(TENSOR, r#"{"labels": ["cat"], "templates": []}"#).contains("1 labels, and 6 numbers"));
        assert!(lacks(TENSOR, r#"{"labels": ["cat", "dog"]}"#).contains("templates"));
        write(&path, TENSOR, &good, HashMap::new());
        assert!(message(StoredLabels::read(&path, 2, 3)).contains("no \"labels\" in its metadata"));
        std::fs::write(&path, "cat\ndog\n").unwrap();
        assert!(message(StoredLabels::read(&path, 2, 3)).contains("not a well-formed safetensors file"));
    }
}
