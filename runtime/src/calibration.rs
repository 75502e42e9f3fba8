//! Calibration: with which logits probabilities are what they say.

use clip_model::labels::Logits;

use crate::error::{Error, Result};
use crate::examples::{Examples, Moments, log1p_exp, pairs};

/// Scales that are considered. A factor of 100 is what CLIP's training ends with.
const SCALES: [f64; 2] = [1e-3, 1e6];

/// Steps of a search, at most; it ends when nothing changes any more.
const STEPS: usize = 100;

impl Examples {
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
        let (mut scale, mut bias) = (0.0, -((self.labels() - 1) as f64).ln());
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
