//! Pictures whose labels are known, and how well probabilities agree with them.

use clip_model::labels::Logits;

use crate::embeddings::dot;
use crate::error::{Error, Result};
use crate::labels::LabelSet;

/// Bins of [`Examples::calibration_error`].
const BINS: usize = 15;

/// Pictures whose labels are known, as similarities.
#[derive(Debug, Clone)]
pub struct Examples {
    /// `[examples, labels]`.
    similarities: Vec<f32>,
    labels: usize,
    /// The index of the right label of each example.
    truth: Vec<usize>,
}

impl Examples {
    /// Examples for `labels`: normalised embeddings of pictures, `[truth.len(), dim]`, and the index of the label of each.
    ///
    /// # Errors
    /// [`Error::Calibration`] when there are none, or only one label; [`Error::Count`] when embeddings and labels do not fit
    /// together; [`Error::Truth`] for an index that is no label's, or one of the background.
    pub fn new(labels: &LabelSet, embeddings: &[f32], truth: &[usize]) -> Result<Examples> {
        let dim = labels.embeddings().dim();
        let expected = truth.len().saturating_mul(dim);
        if embeddings.len() != expected {
            return Err(Error::Count {
                what: "the embeddings of examples",
                expected,
                found: embeddings.len(),
            });
        }
        let similarity = |image| labels.embeddings().rows().map(move |label| dot(label, image));
        let similarities = embeddings.chunks_exact(dim).flat_map(similarity).collect();
        if let Some(&index) = truth.iter().find(|&&index| labels.is_background(index)) {
            return Err(Error::Truth { index, labels: labels.len() - labels.background() });
        }
        Self::of(similarities, labels.len(), truth.to_vec())
    }

    pub(crate) fn of(similarities: Vec<f32>, labels: usize, truth: Vec<usize>) -> Result<Examples> {
        if truth.is_empty() || labels < 2 {
            return Err(Error::Calibration("it takes at least one example and two labels"));
        }
        Ok(Examples { similarities, labels, truth })
    }

    /// How many labels each was compared with.
    pub(crate) fn labels(&self) -> usize {
        self.labels
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.truth.len()
    }

    /// Always false: no examples are refused.
    pub fn is_empty(&self) -> bool {
        self.truth.is_empty()
    }

    /// The similarities of each example, and which of them is that of the right label.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&[f32], usize)> {
        self.similarities.chunks_exact(self.labels).zip(self.truth.iter().copied())
    }

    /// The share of examples whose own label is the nearest.
    pub fn accuracy(&self) -> f64 {
        let right = |(row, truth): &(&[f32], usize)| first_largest(row) == *truth;
        self.each().filter(right).count() as f64 / self.len() as f64
    }

    /// Mean negative log-likelihood of what the examples show; of a sigmoid, summed over the labels of each.
    pub fn loss(&self, logits: Logits) -> f64 {
        let (scale, bias) = (f64::from(logits.scale), logits.bias.map(f64::from));
        let of_example = |(row, truth): (&[f32], usize)| match bias {
            None => {
                let Moments { log_total, .. } = Moments::of(row, scale);
                log_total - scale * f64::from(row[truth])
            }
            Some(bias) => pairs(row, truth).map(|(s, sign)| log1p_exp(-sign * (scale * s + bias))).sum(),
        };
        self.each().map(of_example).sum::<f64>() / self.len() as f64
    }

    /// Expected calibration error (Naeini et al. 2015, Guo et al. 2017): how far the probability of the best label is from the share of
    /// examples in which it is right, 0 to 1, over 15 bins of equal width.
    pub fn calibration_error(&self, logits: Logits) -> f64 {
        let mut bins = [(0.0, 0.0); BINS];
        let (scale, bias) = (f64::from(logits.scale), logits.bias.map(f64::from));
        for (row, truth) in self.each() {
            let best = first_largest(row);
            let logit = scale * f64::from(row[best]);
            let probability = match bias {
                None => (logit - Moments::of(row, scale).log_total).exp(),
                Some(bias) => 1.0 / (1.0 + (-logit - bias).exp()),
            };
            let (said, right) = &mut bins[((probability * BINS as f64) as usize).min(BINS - 1)];
            *said += probability;
            *right += f64::from(u8::from(best == truth));
        }
        bins.iter().map(|(said, right)| (said - right).abs()).sum::<f64>() / self.len() as f64
    }
}

/// Similarities under the softmax with a scale.
pub(crate) struct Moments {
    /// Logarithm of the sum of the exponentials of the scaled similarities.
    pub log_total: f64,
    pub mean: f64,
    pub variance: f64,
}

impl Moments {
    pub fn of(row: &[f32], scale: f64) -> Moments {
        let largest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let (mut total, mut first, mut second) = (0.0, 0.0, 0.0);
        for &s in row {
            let below = f64::from(s) - largest;
            let weight = (scale * below).exp();
            (total, first, second) =
                (total + weight, first + weight * below, second + weight * below * below);
        }
        let mean = first / total;
        let variance = second / total - mean * mean;
        Moments { log_total: scale * largest + total.ln(), mean: largest + mean, variance }
    }
}

/// Each similarity of an example, with 1 for its own label and -1 for others.
pub(crate) fn pairs(row: &[f32], truth: usize) -> impl Iterator<Item = (f64, f64)> {
    row.iter().enumerate().map(move |(i, &s)| (f64::from(s), if i == truth { 1.0 } else { -1.0 }))
}

/// `ln(1 + exp(x))`, whatever `x` is.
pub(crate) fn log1p_exp(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn first_largest(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::tests::set;

    /// Three examples of two labels by hand: the loss of one and the two derivatives.
    #[test]
    fn losses_are_what_their_definitions_say() {
        let examples = Examples::of(vec![0.3, 0.1, 0.2, 0.4, 0.5, 0.1], 2, vec![0, 1, 1]).unwrap();
        let softmax = |own: f64, other: f64| (1.0 + (10.0 * (other - own)).exp()).ln();
        let expected = (softmax(0.3, 0.1) + softmax(0.4, 0.2) + softmax(0.1, 0.5)) / 3.0;
        assert!((examples.loss(Logits { scale: 10.0, bias: None }) - expected).abs() < 1e-6);
        let sigmoid = |s: f64, sign: f64| (1.0 + (-sign * (10.0 * s - 2.0)).exp()).ln();
        let own = sigmoid(0.3, 1.0) + sigmoid(0.4, 1.0) + sigmoid(0.1, 1.0);
        let expected = (own + sigmoid(0.1, -1.0) + sigmoid(0.2, -1.0) + sigmoid(0.5, -1.0)) / 3.0;
        assert!((examples.loss(Logits { scale: 10.0, bias: Some(-2.0) }) - expected).abs() < 1e-6);
        assert!((examples.accuracy() - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn examples_have_to_fit_the_labels() {
        let labels = set(&[[0.0, 1.0], [1.0, 0.0]]).with_background(&set(&[[0.6, 0.8]])).unwrap();
        let examples = Examples::new(&labels, &[0.0, 1.0, 1.0, 0.0], &[0, 1]).unwrap();
        assert_eq!((examples.len(), examples.labels, examples.accuracy()), (2, 3, 1.0));
        let refused = |embeddings: &[f32], truth: &[usize]| {
            Examples::new(&labels, embeddings, truth).unwrap_err().to_string()
        };
        assert!(
            refused(&[0.0, 1.0, 1.0], &[0, 1])
                .contains("3 numbers for the embeddings of examples, expected 4")
        );
        assert!(refused(&[0.0, 1.0], &[2]).contains("2 labels"), "{}", refused(&[0.0, 1.0], &[2]));
        assert!(refused(&[0.0, 1.0], &[3]).contains("example"), "{}", refused(&[0.0, 1.0], &[3]));
        assert!(refused(&[], &[]).contains("at least one example"));
    }
}
