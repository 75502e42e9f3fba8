//! Calibration: with which logits probabilities are what they say, learnt from pictures whose labels are known.

use clip_model::labels::Logits;

use crate::embeddings::dot;
use crate::error::{Error, Result};
use crate::labels::LabelSet;

/// Scales that are considered. A factor of 100 is what CLIP's training ends with.
const SCALES: [f64; 2] = [1e-3, 1e6];

/// Steps of a search, at most; it ends when nothing changes any more.
const STEPS: usize = 100;

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

    fn of(similarities: Vec<f32>, labels: usize, truth: Vec<usize>) -> Result<Examples> {
        if truth.is_empty() || labels < 2 {
            return Err(Error::Calibration("it takes at least one example and two labels"));
        }
        Ok(Examples { similarities, labels, truth })
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
    fn each(&self) -> impl Iterator<Item = (&[f32], usize)> {
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

    /// Temperature scaling (Guo et al. 2017, arXiv 1706.04599): the logit scale under which the softmax of the similarities gives these examples the
    /// least [`Examples::loss`]. Their temperature is the model's logit scale over it. The order of labels stays as it is.
    ///
    /// # Errors
    /// [`Error::Calibration`] when there is no such scale: when the labels of all examples are right, so that a larger one were always
    /// better, or when they are no better than guessed.
    pub fn fit_softmax(&self) -> Result<Logits> {
        // Right, and no other label equal.
        if self.each().all(|(row, truth)| row.iter().enumerate().all(|(i, s)| i == truth || *s < row[truth]))
        {
            return Err(Error::Calibration(
                "every example is nearest to its own label, so that no probability is too high: give more of them, also difficult ones",
            ));
        }
        // The loss is convex in the scale: its slope grows, and is zero at the best.
        let slope = |scale: f64| {
            self.each().fold((0.0, 0.0), |(slope, curve), (row, truth)| {
                let Moments { mean, variance, .. } = Moments::of(row, scale);
                (slope + mean - f64::from(row[truth]), curve + variance)
            })
        };
        let [mut low, mut high] = SCALES;
        if slope(low).0 >= 0.0 {
            return Err(Error::Calibration(
                "the examples are no nearer to their own labels than to others: see whether the labels are theirs",
            ));
        }
        let mut scale = 10.0;
        for _ in 0..STEPS {
            let (slope, curve) = slope(scale);
            if slope < 0.0 {
                low = scale
            } else {
                high = scale
            }
            let newton = scale - slope / curve;
            let next = if newton > low && newton < high { newton } else { (low * high).sqrt() };
            if (next - scale).abs() <= 1e-9 * scale {
                break;
            }
            scale = next;
        }
        Ok(Logits { scale: scale as f32, bias: None })
    }

    /// Platt scaling (Platt 1999): the logit scale and bias under which the sigmoid of each similarity gives these examples the least
    /// [`Examples::loss`]. Each label then has a probability of its own, also for a model that was trained with a softmax, which has no bias
    /// and so no probabilities of this kind.
    ///
    /// An example is taken to show its own label alone.
    ///
    /// # Errors
    /// As [`Examples::fit_softmax`].
    pub fn fit_sigmoid(&self) -> Result<Logits> {
        let all = || self.each().flat_map(|(row, truth)| pairs(row, truth));
        let extreme = |sign: f64, of: fn(f64, f64) -> f64, from: f64| {
            all().filter(|pair| pair.1 == sign).fold(from, |found, pair| of(found, pair.0))
        };
        let (least, most) =
            (extreme(1.0, f64::min, f64::INFINITY), extreme(-1.0, f64::max, f64::NEG_INFINITY));
        if least > most {
            return Err(Error::Calibration(
                "every example is nearer to its own label than any to another, so that no probability is too high: give more of them, also \
                 difficult ones",
            ));
        }
        let loss =
            |scale: f64, bias: f64| all().map(|(s, y)| log1p_exp(-y * (scale * s + bias))).sum::<f64>();
        // Newton's method on a convex loss, each step halved until it goes downhill.
        let (mut scale, mut bias) = (0.0, -((self.labels - 1) as f64).ln());
        let mut before = loss(scale, bias);
        for _ in 0..STEPS {
            let [mut g_scale, mut g_bias, mut h_ss, mut h_sb, mut h_bb] = [0.0; 5];
            for (s, y) in all() {
                let p = 1.0 / (1.0 + (-(scale * s + bias)).exp());
                let (g, h) = (p - f64::from(u8::from(y > 0.0)), p * (1.0 - p));
                (g_scale, g_bias) = (g_scale + g * s, g_bias + g);
                (h_ss, h_sb, h_bb) = (h_ss + h * s * s, h_sb + h * s, h_bb + h);
            }
            let determinant = h_ss * h_bb - h_sb * h_sb;
            if determinant <= f64::EPSILON * h_ss * h_bb {
                break;
            }
            let step_scale = (h_bb * g_scale - h_sb * g_bias) / determinant;
            let step_bias = (h_ss * g_bias - h_sb * g_scale) / determinant;
            let mut share = 1.0;
            let mut after = loss(scale - step_scale, bias - step_bias);
            while after > before && share > 1e-6 {
                share /= 2.0;
                after = loss(scale - share * step_scale, bias - share * step_bias);
            }
            if after >= before {
                break;
            }
            (scale, bias) = (scale - share * step_scale, bias - share * step_bias);
            before = after;
        }
        let logits = Logits { scale: scale as f32, bias: Some(bias as f32) };
        if scale < SCALES[0] || !logits.is_valid() {
            return Err(Error::Calibration(
                "the examples are no nearer to their own labels than to others: see whether the labels are theirs",
            ));
        }
        Ok(logits)
    }
}

/// Similarities under the softmax with a scale.
struct Moments {
    /// Logarithm of the sum of the exponentials of the scaled similarities.
    log_total: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of(row: &[f32], scale: f64) -> Moments {
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
fn pairs(row: &[f32], truth: usize) -> impl Iterator<Item = (f64, f64)> {
    row.iter().enumerate().map(move |(i, &s)| (f64::from(s), if i == truth { 1.0 } else { -1.0 }))
}

/// `ln(1 + exp(x))`, whatever `x` is.
fn log1p_exp(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn first_largest(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::tests::set;

    /// Pseudo-random numbers from 0 up to 1 (SplitMix64).
    fn uniform(state: &mut u64) -> f64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Examples whose labels were drawn with the probabilities that `logits` give.
    fn drawn(logits: Logits, labels: usize, examples: usize) -> Examples {
        let mut state = 7;
        let (mut similarities, mut truth) = (Vec::new(), Vec::new());
        while truth.len() < examples {
            let row: Vec<f32> = (0..labels).map(|_| (uniform(&mut state) * 0.4) as f32).collect();
            let scale = f64::from(logits.scale);
            match logits.bias.map(f64::from) {
                None => {
                    let Moments { log_total, .. } = Moments::of(&row, scale);
                    let mut left = uniform(&mut state);
                    let drawn = row.iter().position(|&s| {
                        left -= (scale * f64::from(s) - log_total).exp();
                        left <= 0.0
                    });
                    truth.push(drawn.unwrap_or(labels - 1));
                }
                Some(bias) => {
                    // Only such as show one label, as is assumed of examples.
                    let shown: Vec<usize> = (0..labels)
                        .filter(|&i| {
                            uniform(&mut state) < 1.0 / (1.0 + (-scale * f64::from(row[i]) - bias).exp())
                        })
                        .collect();
                    let [one] = shown[..] else { continue };
                    truth.push(one);
                }
            }
            similarities.extend(row);
        }
        Examples::of(similarities, labels, truth).unwrap()
    }

    #[test]
    fn the_scale_that_drew_the_labels_is_found() {
        for scale in [5.0, 30.0, 100.0] {
            let examples = drawn(Logits { scale, bias: None }, 6, 8000);
            let found = examples.fit_softmax().unwrap();
            assert!((found.scale / scale - 1.0).abs() < 0.05, "{scale}: {found:?}");
            // No other is better, and what is said is what happens.
            for factor in [0.97, 1.03] {
                assert!(
                    examples.loss(found) < examples.loss(Logits { scale: found.scale * factor, bias: None })
                );
            }
            let wrong = Logits { scale: 4.0 * scale, bias: None };
            assert!(examples.calibration_error(found) < 0.03, "{}", examples.calibration_error(found));
            assert!(examples.calibration_error(wrong) > 2.0 * examples.calibration_error(found));
        }
    }

    #[test]
    fn scale_and_bias_of_a_sigmoid_are_the_best_ones() {
        let examples = drawn(Logits { scale: 30.0, bias: Some(-10.0) }, 5, 4000);
        let found = examples.fit_sigmoid().unwrap();
        let bias = found.bias.unwrap();
        assert!(found.scale > 15.0 && found.scale < 60.0 && bias < -5.0, "{found:?}");
        for (scale, by) in [(0.98, 0.0), (1.02, 0.0), (1.0, -0.1), (1.0, 0.1)] {
            let other = Logits { scale: found.scale * scale, bias: Some(bias + by) };
            assert!(examples.loss(found) < examples.loss(other), "{other:?}");
        }
    }

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
    fn examples_without_a_best_scale_are_refused() {
        let said = |examples: &Examples| {
            [examples.fit_softmax(), examples.fit_sigmoid()].map(|fit| fit.unwrap_err().to_string())
        };
        let right = Examples::of(vec![0.3, 0.1, 0.1, 0.4], 2, vec![0, 1]).unwrap();
        assert!(said(&right).iter().all(|said| said.contains("every example is near")), "{:?}", said(&right));
        let swapped = Examples::of(vec![0.3, 0.1, 0.1, 0.4], 2, vec![1, 0]).unwrap();
        assert!(said(&swapped).iter().all(|said| said.contains("no nearer")), "{:?}", said(&swapped));
        let equal = Examples::of(vec![0.2; 4], 2, vec![1, 0]).unwrap();
        assert!(said(&equal).iter().all(|said| said.contains("no nearer")), "{:?}", said(&equal));
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
