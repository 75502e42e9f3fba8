//! One axis of a resampling: how long it is, what becomes of it, and which source pixels an output pixel is made of.

use std::ops::Range;

use super::super::Interpolation;
use super::span::Span;
use crate::error::Result;
use crate::memory;

/// What memory is asked for here.
pub(super) const WHAT: &str = "resizing a picture";

/// How one axis of a plane is resampled. Two equal ones have the same weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axis {
    /// Pixels of the plane before the part that is resampled.
    pub(super) offset: usize,
    /// Pixels of the part.
    pub(super) length: usize,
    /// What the part is resized to, and where the output begins in that.
    pub(super) resized: usize,
    /// See [`Axis::resized`].
    pub(super) start: usize,
    /// Output pixels.
    pub(super) count: usize,
    /// The filter.
    pub(super) filter: Interpolation,
    /// Whether the part is turned round before it is resized.
    pub(super) mirrored: bool,
    /// Whether a sample of the plane stands for two pixels, the first for 0 and 1, so that its weight is the sum of theirs. All else here
    /// is counted in pixels all the same.
    pub(super) halved: bool,
}

impl Axis {
    /// `length` pixels after `offset` of them, of which `count` output pixels are kept at `span`.
    pub(super) fn new(
        offset: usize,
        length: usize,
        span: Span,
        count: usize,
        filter: Interpolation,
        mirrored: bool,
    ) -> Axis {
        let Span { resized, start } = span;
        Axis { offset, length, resized, start, count, filter, mirrored, halved: false }
    }

    /// The same for a plane that has a sample for two pixels.
    pub(super) fn halved(self) -> Axis {
        Axis { halved: true, ..self }
    }

    /// How many pixels fewer there are than before.
    pub(super) fn saved(&self) -> usize {
        self.length.saturating_sub(self.resized)
    }

    /// Most samples that an output pixel is made of.
    pub(super) fn widest(&self) -> usize {
        let (_, support) = filter(self.filter);
        let stretch = (self.length as f64 / self.resized as f64).max(1.0);
        let pixels = ((2.0 * support * stretch) as usize + 2).min(self.length);
        if self.halved { pixels / 2 + 1 } else { pixels }
    }

    /// Calls `each` for every output pixel with the samples of the plane that it is made of and their weights, whose sum is 1. Pillow's arithmetic: the filter
    /// is stretched to the scale, so that it keeps from the output what the output cannot show.
    pub(super) fn windows(&self, mut each: impl FnMut(Range<usize>, &[f64])) -> Result<()> {
        let Axis { offset, length, .. } = *self;
        let (filter, support) = filter(self.filter);
        let scale = length as f64 / self.resized as f64;
        let stretch = scale.max(1.0);
        let support = support * stretch;
        let shrink = 1.0 / stretch;
        let mut weights: Vec<f64> = memory::with_capacity(WHAT, (2.0 * support) as usize + 4)?;
        for position in self.start..self.start + self.count {
            let center = (position as f64 + 0.5) * scale;
            // A conversion to usize cuts, and takes negative numbers to 0.
            let first = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(length);
            weights.clear();
            weights.extend(
                (first..end).map(|x| filter(((x - first) as f64 + first as f64 - center + 0.5) * shrink)),
            );
            // Pillow adds from left to right, too.
            let total: f64 = weights.iter().sum();
            if total != 0.0 {
                weights.iter_mut().for_each(|weight| *weight /= total);
            }
            let (first, end) = if self.mirrored {
                weights.reverse();
                (offset + length - end, offset + length - first)
            } else {
                (offset + first, offset + end)
            };
            if self.halved {
                each(first / 2..end.div_ceil(2), pair(first, end, &mut weights));
            } else {
                each(first..end, &weights);
            }
        }
        Ok(())
    }
}

/// Adds up the weights of pixels `first..end` that share a sample; the sums lie at the start of `weights`.
fn pair(first: usize, end: usize, weights: &mut [f64]) -> &[f64] {
    let samples = end.div_ceil(2) - first / 2;
    for sample in 0..samples {
        // The pixels 2 * sample and the next one, counted from the first's own sample.
        let from = (2 * sample).saturating_sub(first % 2);
        let to = (2 * sample + 2 - first % 2).min(weights.len());
        weights[sample] = weights[from..to].iter().sum();
    }
    &weights[..samples]
}

/// The filter's function and how far from 0 it reaches.
fn filter(filter: Interpolation) -> (fn(f64) -> f64, f64) {
    match filter {
        Interpolation::Bicubic => (bicubic, 2.0),
        Interpolation::Bilinear => (triangle, 1.0),
    }
}

/// Keys' cubic convolution with a = -0.5.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(length: usize, resized: usize) -> Axis {
        let span = Span { resized, start: 0 };
        Axis::new(0, length, span, resized, Interpolation::Bicubic, false)
    }

    fn windows(axis: Axis) -> Vec<(Range<usize>, Vec<f64>)> {
        let mut windows = Vec::new();
        axis.windows(|range, weights| windows.push((range, weights.to_vec()))).unwrap();
        windows
    }

    #[test]
    fn weights_add_up_to_one() {
        for (length, resized) in [(1, 224), (7, 3), (224, 224), (4000, 224), (3, 1000)] {
            for filter in [Interpolation::Bicubic, Interpolation::Bilinear] {
                for (mirrored, halved, offset) in [(false, false, 0), (true, false, 3), (false, true, 3)] {
                    let axis = Axis { filter, mirrored, halved, offset, ..axis(length, resized) };
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
    fn a_sample_for_two_pixels_has_both_weights() {
        for offset in [0, 1, 2, 7] {
            let pixels = windows(Axis { offset, ..axis(101, 13) });
            let samples = windows(Axis { offset, ..axis(101, 13) }.halved());
            for ((range, weights), (halves, sums)) in pixels.iter().zip(&samples) {
                let mut expected = vec![0.0; halves.len()];
                for (pixel, weight) in range.clone().zip(weights) {
                    expected[pixel / 2 - halves.start] += weight;
                }
                assert_eq!(*sums, expected, "{offset} {range:?}");
            }
        }
    }
}
