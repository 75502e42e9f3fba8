//! How well labels fit an image: similarities, and the probabilities that are made of them.

use clip_model::labels::Logits;
use clip_model::memory;
use serde::Serialize;

use crate::embeddings::{Embeddings, dot};
use crate::error::Result;
use crate::labels::LabelSet;

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

/// A [`Match`] without the label's name, for buffers that outlive label sets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// As [`Match::index`].
    pub index: usize,
    /// As [`Match::probability`].
    pub probability: f32,
    /// As [`Match::similarity`].
    pub similarity: f32,
}

impl From<Match<'_>> for Score {
    fn from(Match { index, probability, similarity, .. }: Match<'_>) -> Score {
        Score { index, probability, similarity }
    }
}

impl LabelSet {
    /// Fills `found` with the `top` labels nearest to the normalised embedding `image`, `[dim]`, best first; of equals, the earlier label first. What
    /// was in it is lost, and its room is used for all labels, so that a vector that had room once is never made larger.
    pub(crate) fn nearest_into(
        &self,
        image: &[f32],
        logits: Logits,
        top: usize,
        found: &mut Vec<Score>,
    ) -> Result<()> {
        found.clear();
        memory::reserve("the matches of an image", found, self.len())?;
        let score = |(index, row)| Score { index, probability: 0.0, similarity: dot(row, image) };
        found.extend(self.embeddings().rows().enumerate().map(score));
        set_probabilities(self.logits().unwrap_or(logits), found);
        let better = |a: &Score, b: &Score| b.similarity.total_cmp(&a.similarity).then(a.index.cmp(&b.index));
        if top < found.len() {
            found.select_nth_unstable_by(top, better);
            found.truncate(top);
        }
        found.sort_unstable_by(better);
        Ok(())
    }

    /// [`LabelSet::nearest_into`] with the labels' names.
    pub(crate) fn nearest(&self, image: &[f32], logits: Logits, top: usize) -> Result<Vec<Match<'_>>> {
        let mut found = Vec::new();
        self.nearest_into(image, logits, top, &mut found)?;
        let mut matches = memory::with_capacity("the matches of an image", found.len())?;
        matches.extend(found.iter().map(|&Score { index, probability, similarity }| Match {
            label: &self.labels()[index],
            index,
            probability,
            similarity,
        }));
        Ok(matches)
    }

    /// [`LabelSet::nearest`] for each of several images.
    pub(crate) fn matches(
        &self,
        images: &Embeddings,
        logits: Logits,
        top: usize,
    ) -> Result<Vec<Vec<Match<'_>>>> {
        let mut matches = memory::with_capacity("the matches of images", images.len())?;
        for image in images.rows() {
            matches.push(self.nearest(image, logits, top)?);
        }
        Ok(matches)
    }
}

/// From the similarities of all labels.
fn set_probabilities(logits: Logits, scores: &mut [Score]) {
    let scale = f64::from(logits.scale);
    if let Some(bias) = logits.bias {
        let sigmoid = |s: f32| 1.0 / (1.0 + (-scale * f64::from(s) - f64::from(bias)).exp());
        return scores.iter_mut().for_each(|score| score.probability = sigmoid(score.similarity) as f32);
    }
    // The largest exponent is 0, so that nothing overflows whatever the scale is.
    let largest = scores.iter().map(|score| score.similarity).fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    for score in &mut *scores {
        let weight = (scale * f64::from(score.similarity - largest)).exp();
        total += weight;
        score.probability = weight as f32;
    }
    scores.iter_mut().for_each(|score| score.probability = (f64::from(score.probability) / total) as f32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::tests::set;

    const fn softmax(scale: f32) -> Logits {
        Logits { scale, bias: None }
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
    fn a_set_with_logits_of_its_own_uses_them() {
        let labels = set(&[[0.0, 1.0], [1.0, 0.0]]);
        let own = labels.with_logits(Some(softmax(2.0))).unwrap();
        let expected = labels.nearest(&[1.0, 0.0], softmax(2.0), 2).unwrap();
        assert_eq!(own.nearest(&[1.0, 0.0], softmax(100.0), 2).unwrap(), expected);
        assert_ne!(labels.nearest(&[1.0, 0.0], softmax(100.0), 2).unwrap(), expected);
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

    #[test]
    fn a_buffer_is_used_again() {
        let labels = set(&[[0.0, 1.0], [1.0, 0.0], [0.6, 0.8]]);
        let mut found = vec![Score { index: 9, probability: 9.0, similarity: 9.0 }];
        labels.nearest_into(&[1.0, 0.0], softmax(5.0), 1, &mut found).unwrap();
        assert_eq!(found, [labels.nearest(&[1.0, 0.0], softmax(5.0), 1).unwrap()[0].into()]);
        let room = found.capacity();
        labels.nearest_into(&[0.0, 1.0], softmax(5.0), 3, &mut found).unwrap();
        assert_eq!((found.len(), found[0].index, found.capacity()), (3, 0, room));
    }
}
