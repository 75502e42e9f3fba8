//! Label sets, and which label fits an image.

use std::path::Path;

use clip_model::labels::StoredLabels;
use clip_model::manifest::{Encoder, LabelsFile};
use clip_model::tokenizer::Cleaning;
use clip_model::{Manifest, files, memory};
use serde::Serialize;

use crate::embeddings::{Embeddings, dot};
use crate::error::Result;

/// What memory is taken for.
const WHAT: &str = "labels";

/// Bytes that a label takes besides its text and its embedding.
const LABEL: usize = size_of::<String>() + 32;

/// Labels encoded by one model, to be compared with any number of images. Made by [`crate::Clip::label_set`]
/// or stored in a model folder; shareable
/// between threads.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelSet {
    pub(crate) labels: Vec<String>,
    /// `[labels, dim]`.
    pub(crate) embeddings: Embeddings,
    pub(crate) model: ModelId,
}

/// What tells one model from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelId {
    /// The manifest's name of the model, for messages only.
    pub name: String,
    /// SHA-256 of image tower, text tower and tokenizer, as far as the folder has them. A tower's is that of its graph, whose plans
    /// give the same embeddings.
    pub hashes: [Option<String>; 3],
    /// What is done to texts before that tokenizer.
    pub clean: Option<Cleaning>,
}

impl ModelId {
    pub fn of(manifest: &Manifest) -> ModelId {
        let hash = |encoder: &Option<Encoder>| encoder.as_ref().map(|e| e.graph().sha256);
        let tokenizer = manifest.tokenizer.as_ref().map(|t| t.sha256.clone());
        let hashes = [hash(&manifest.image), hash(&manifest.text), tokenizer];
        let clean = manifest.tokenizer.as_ref().and_then(|t| t.clean);
        ModelId { name: manifest.model.clone(), hashes, clean }
    }
}

/// One label that was compared with an image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Match<'a> {
    /// The label, as its set has it.
    pub label: &'a str,
    /// The label's place in [`LabelSet::labels`].
    pub index: usize,
    /// Softmax of logit scale times cosine similarity over the whole set; all labels together have 1. Of a model with a
    /// logit bias (SigLIP), the sigmoid of logit scale times cosine similarity plus bias: each label has its own, and an
    /// image that shows none of them has low ones only.
    pub probability: f32,
    /// Cosine similarity of image and label, -1 to 1.
    pub similarity: f32,
}

impl LabelSet {
    /// Reads and checks the label set of a model folder, if it has one.
    pub(crate) fn stored(folder: &Path, manifest: &Manifest) -> Result<Option<LabelSet>> {
        let Some(LabelsFile { file, count, .. }) = &manifest.labels else { return Ok(None) };
        let path = folder.join(file);
        // Twice the file, for its JSON and the labels from it, and for each label a place.
        let needed = files::size(&path).saturating_mul(2).saturating_add(count.saturating_mul(LABEL));
        memory::available(WHAT, needed)?;
        let StoredLabels { labels, embeddings, .. } = StoredLabels::read(&path, *count, manifest.embed_dim)?;
        let embeddings = Embeddings::new(embeddings, manifest.embed_dim);
        Ok(Some(LabelSet { labels, embeddings, model: ModelId::of(manifest) }))
    }

    /// A label set of embeddings that are computed already; `labels` and rows are equally many.
    pub(crate) fn new(
        labels: &[impl AsRef<str>],
        embeddings: Embeddings,
        model: ModelId,
    ) -> Result<LabelSet> {
        let bytes: usize = labels.iter().map(|label| label.as_ref().len() + LABEL).sum();
        memory::available(WHAT, bytes)?;
        let mut kept = memory::with_capacity(WHAT, labels.len())?;
        for label in labels {
            kept.push(memory::text(WHAT, label.as_ref())?);
        }
        Ok(LabelSet { labels: kept, embeddings, model })
    }

    /// A copy. `clone` ends the process when there is no memory for it, as everywhere in Rust; this does not.
    ///
    /// # Errors
    /// [`clip_model::Error::Memory`].
    pub fn try_clone(&self) -> Result<LabelSet> {
        let values = memory::copy(WHAT, self.embeddings.as_slice())?;
        LabelSet::new(&self.labels, Embeddings::new(values, self.embeddings.dim()), self.model.clone())
    }

    /// The labels as they were given, duplicates included.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// How many labels; at least one.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Always false: an empty list is refused when the set is made.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// One normalised embedding a label, in the order of [`LabelSet::labels`].
    pub fn embeddings(&self) -> &Embeddings {
        &self.embeddings
    }

    /// The `top` labels nearest to the normalised embedding `image`, `[dim]`, best first; of equals, the earlier label first.
    pub(crate) fn nearest(&self, image: &[f32], logits: Logits, top: usize) -> Result<Vec<Match<'_>>> {
        let mut matches = memory::with_capacity("the matches of an image", self.len())?;
        let labels = self.labels.iter().zip(self.embeddings.rows()).enumerate();
        matches.extend(labels.map(|(index, (label, embedding))| Match {
            label,
            index,
            probability: 0.0,
            similarity: dot(embedding, image),
        }));
        logits.set_probabilities(&mut matches);
        let better = |a: &Match, b: &Match| b.similarity.total_cmp(&a.similarity).then(a.index.cmp(&b.index));
        if top < matches.len() {
            matches.select_nth_unstable_by(top, better);
            matches.truncate(top);
        }
        matches.sort_unstable_by(better);
        Ok(matches)
    }
}

/// How similarities become probabilities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Logits {
    pub scale: f32,
    /// Where there is one, each label's probability is its own.
    pub bias: Option<f32>,
}

impl Logits {
    pub fn of(manifest: &Manifest) -> Logits {
        Logits { scale: manifest.logit_scale, bias: manifest.logit_bias }
    }

    /// From the similarities of all labels.
    fn set_probabilities(self, matches: &mut [Match]) {
        let scale = f64::from(self.scale);
        if let Some(bias) = self.bias {
            let sigmoid = |s: f32| 1.0 / (1.0 + (-scale * f64::from(s) - f64::from(bias)).exp());
            return matches.iter_mut().for_each(|m| m.probability = sigmoid(m.similarity) as f32);
        }
        // The largest exponent is 0, so that nothing overflows whatever the scale is.
        let largest = matches.iter().map(|m| m.similarity).fold(f32::NEG_INFINITY, f32::max);
        let weight = |m: &Match| (scale * f64::from(m.similarity - largest)).exp();
        let total: f64 = matches.iter().map(weight).sum();
        matches.iter_mut().for_each(|m| m.probability = (weight(m) / total) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn softmax(scale: f32) -> Logits {
        Logits { scale, bias: None }
    }

    fn set(rows: &[[f32; 2]]) -> LabelSet {
        LabelSet {
            labels: (0..rows.len()).map(|i| i.to_string()).collect(),
            embeddings: Embeddings::new(rows.concat(), 2),
            model: ModelId { name: "test".into(), hashes: Default::default(), clean: None },
        }
    }

    #[test]
    fn probabilities_are_the_softmax_of_the_scaled_cosine() {
        let labels = set(&[[0.0, 1.0], [1.0, 0.0], [0.6, 0.8]]);
        let matches = labels.nearest(&[1.0, 0.0], softmax(2.0), 10).unwrap();
        assert_eq!(matches.iter().map(|m| m.label).collect::<Vec<_>>(), ["1", "2", "0"]);
        assert_eq!(matches.iter().map(|m| m.index).collect::<Vec<_>>(), [1, 2, 0]);
        let total = 1.0 + 2f64.exp() + 1.2f64.exp();
        for (m, s) in matches.iter().zip([1.0, 0.6, 0.0]) {
            assert!((f64::from(m.similarity) - s).abs() < 1e-6);
            assert!((f64::from(m.probability) - (2.0 * s).exp() / total).abs() < 1e-6);
        }
    }

    #[test]
    fn with_a_bias_each_label_has_the_sigmoid_of_its_own() {
        let labels = set(&[[0.0, 1.0], [1.0, 0.0], [0.6, 0.8]]);
        let matches = labels.nearest(&[1.0, 0.0], Logits { scale: 10.0, bias: Some(-8.0) }, 10).unwrap();
        assert_eq!(matches.iter().map(|m| m.index).collect::<Vec<_>>(), [1, 2, 0]);
        for (m, logit) in matches.iter().zip([2.0f64, -2.0, -8.0]) {
            assert!((f64::from(m.probability) - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-6);
        }
        let extreme = labels.nearest(&[1.0, 0.0], Logits { scale: 1e30, bias: Some(-1.0) }, 10).unwrap();
        assert_eq!(extreme[0].probability, 1.0);
    }

    #[test]
    fn a_huge_scale_neither_overflows_nor_loses_the_sum() {
        let labels = set(&[[1.0, 0.0], [-1.0, 0.0]]);
        let matches = labels.nearest(&[1.0, 0.0], softmax(1e30), 2).unwrap();
        assert_eq!((matches[0].probability, matches[1].probability), (1.0, 0.0));
    }

    #[test]
    fn top_cuts_without_changing_probabilities_and_equals_stay_in_order() {
        let labels = set(&[[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.6, 0.8]]);
        let all = labels.nearest(&[1.0, 0.0], softmax(5.0), usize::MAX).unwrap();
        assert_eq!(all.iter().map(|m| m.index).collect::<Vec<_>>(), [1, 2, 3, 0]);
        for top in 0..4 {
            assert_eq!(labels.nearest(&[1.0, 0.0], softmax(5.0), top).unwrap(), all[..top]);
        }
    }
}
