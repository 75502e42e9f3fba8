//! One axis of a resampling: how long it is, what becomes of it, and which source pixels an output pixel is made of.

use std::ops::Range;

use super::super::weights::Resampling;
use crate::error::Result;
use crate::memory;

/// What memory is asked for here.
pub(super) const WHAT: &str = "resizing a picture";

/// How one axis of a plane is resampled. Two equal ones have the same weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axis {
    /// Pixels of the plane before the part that is resampled.
    pub(super) offset: usize,
    /// What becomes of the part.
    pub(super) resampling: Resampling,
    /// Whether the part is turned round before it is resized.
    pub(super) mirrored: bool,
    /// How many pixels a sample of the plane stands for, the first for those from 0 on, so that its weight is the sum of theirs. All else here
    /// is counted in pixels all the same.
    pub(super) group: usize,
}

impl Axis {
    /// The part after `offset` pixels.
    pub(super) fn new(offset: usize, resampling: Resampling, mirrored: bool) -> Axis {
        Axis { offset, resampling, mirrored, group: 1 }
    }

    /// The same for a plane that has a sample for `group` pixels.
    pub(super) fn grouped(self, group: usize) -> Axis {
        Axis { group, ..self }
    }

    /// Most samples that an output pixel is made of.
    pub(super) fn widest(&self) -> usize {
        let pixels = self.resampling.widest();
        if self.group == 1 { pixels } else { pixels.saturating_sub(1).div_ceil(self.group) + 1 }
    }

    /// Calls `each` for every output pixel with the samples of the plane that it is made of and their weights, whose sum is 1.
    /// `weights` is memory that is kept.
    pub(super) fn windows(
        &self,
        weights: &mut Vec<f64>,
        mut each: impl FnMut(Range<usize>, &[f64]),
    ) -> Result<()> {
        let Axis { offset, resampling, .. } = *self;
        weights.clear();
        memory::reserve(WHAT, weights, resampling.widest())?;
        for output in 0..resampling.kept {
            let first = resampling.weights(output, weights);
            let end = first + weights.len();
            let (first, end) = if self.mirrored {
                weights.reverse();
                (offset + resampling.source - end, offset + resampling.source - first)
            } else {
                (offset + first, offset + end)
            };
            let samples = first / self.group..end.div_ceil(self.group);
            add_up(first, end, self.group, weights);
            each(samples.clone(), &weights[..samples.len()]);
        }
        Ok(())
    }
}

/// Adds up the weights of those of the pixels `first..end` that share a sample; the sums lie at the start of `weights`.
fn add_up(first: usize, end: usize, group: usize, weights: &mut [f64]) {
    if group == 1 {
        return;
    }
    for sample in first / group..end.div_ceil(group) {
        let pixels = (sample * group).max(first) - first..((sample + 1) * group).min(end) - first;
        weights[sample - first / group] = weights[pixels].iter().sum();
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Interpolation;
    use super::*;

    fn axis(length: usize, resized: usize) -> Axis {
        let filter = Interpolation::Bicubic;
        Axis::new(0, Resampling { source: length, resized, start: 0, kept: resized, filter }, false)
    }

    fn windows(axis: Axis) -> Vec<(Range<usize>, Vec<f64>)> {
        let mut windows = Vec::new();
        axis.windows(&mut Vec::new(), |range, weights| windows.push((range, weights.to_vec()))).unwrap();
        windows
    }

    #[test]
    fn weights_add_up_to_one() {
        for (length, resized) in [(1, 224), (7, 3), (224, 224), (4000, 224), (3, 1000)] {
            for filter in [Interpolation::Bicubic, Interpolation::Bilinear] {
                for (mirrored, group, offset) in [(false, 1, 0), (true, 1, 3), (false, 2, 3), (true, 8, 2)] {
                    let mut axis = Axis { mirrored, group, offset, ..axis(length, resized) };
                    axis.resampling.filter = filter;
                    let windows = windows(axis);
                    assert_eq!(windows.len(), resized);
                    for (range, weights) in windows {
                        assert_eq!(range.len(), weights.len());
                        assert!(weights.len() <= axis.widest(), "{axis:?} {range:?}");
                        let total: f64 = weights.iter().sum();
                        assert!((total - 1.0).abs() < 1e-12, "{axis:?} {total}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_mirrored_axis_reads_backwards() {
        let forwards = windows(axis(100, 33));
        let backwards = windows(Axis { mirrored: true, offset: 5, ..axis(100, 33) });
        for ((range, weights), (mirrored, reversed)) in forwards.iter().zip(&backwards) {
            assert_eq!(*mirrored, 105 - range.end..105 - range.start);
            assert!(weights.iter().eq(reversed.iter().rev()));
        }
    }

    #[test]
    fn a_sample_for_several_pixels_has_all_their_weights() {
        for (offset, group) in [(0, 2), (1, 2), (2, 2), (7, 2), (0, 4), (3, 4), (0, 8), (5, 8)] {
            let pixels = windows(Axis { offset, ..axis(101, 13) });
            let samples = windows(Axis { offset, ..axis(101, 13) }.grouped(group));
            for ((range, weights), (grouped, sums)) in pixels.iter().zip(&samples) {
                let mut expected = vec![0.0; grouped.len()];
                for (pixel, weight) in range.clone().zip(weights) {
                    expected[pixel / group - grouped.start] += weight;
                }
                assert_eq!(*sums, expected, "{offset} {group} {range:?}");
            }
        }
    }
}
