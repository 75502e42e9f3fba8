//! The weights of one axis in fixed point.

use std::ops::Range;

use super::axis::{Axis, WHAT};
use crate::error::Result;
use crate::memory;

/// How weights become integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    /// As Pillow has them: [`EXACT_BITS`] behind the point, each rounded by itself.
    Exact,
    /// 16 bits in all, of which errors are handed on, so that a window's weights add up to exactly 1.
    Fine,
}

/// Bits behind the point of an exact weight: 32, less 8 for the pixel, less 2 for sign and overshoot.
pub(super) const EXACT_BITS: u32 = 32 - 8 - 2;

/// An exact weight is `high << LOW_BITS | low`, so that both halves fit 16 bits.
pub(super) const LOW_BITS: u32 = 11;

/// Weights of each window are padded with zeros to a multiple of this many: what the widest kernel takes at once.
pub(super) const STEP: usize = 32;

/// For each output pixel along an axis, the samples it is made of and their weights.
#[derive(Debug, Default)]
pub(super) struct Taps {
    of: Option<(Axis, Precision)>,
    /// First sample of each window and how many there are, counted from the start of the plane.
    windows: Vec<(usize, usize)>,
    /// The lowest first sample, and one past the highest last.
    needed: Range<usize>,
    /// Most samples in a window, and that padded.
    longest: usize,
    width: usize,
    /// Weights, `width` for each window: of an exact one the upper half.
    high: Vec<i16>,
    /// The lower halves of exact weights; empty where there are none.
    low: Vec<i16>,
    /// Bits behind the point of [`Precision::Fine`].
    bits: u32,
    /// A window's weights before they are integers.
    exact: Vec<f64>,
}

impl Taps {
    /// Makes them those of `axis`; free where they are already.
    pub(super) fn prepare(&mut self, axis: Axis, precision: Precision) -> Result<()> {
        if self.of == Some((axis, precision)) {
            return Ok(());
        }
        self.of = None;
        self.width = axis.widest().next_multiple_of(STEP);
        let (count, width) = (axis.resampling.kept, self.width);
        self.windows.clear();
        memory::reserve(WHAT, &mut self.windows, count)?;
        for weights in [&mut self.high, &mut self.low] {
            weights.clear();
        }
        memory::reserve(WHAT, &mut self.high, count.saturating_mul(width))?;
        self.high.resize(count * width, 0);
        if precision == Precision::Exact {
            memory::reserve(WHAT, &mut self.low, count.saturating_mul(width))?;
            self.low.resize(count * width, 0);
        } else {
            let mut largest = 0.0;
            axis.windows(&mut self.exact, |_, weights| {
                largest = weights.iter().fold(largest, |a: f64, b| a.max(b.abs()))
            })?;
            // As many bits as leave the largest weight, an error handed on included, within 16 bits.
            self.bits = (0..16).rev().find(|&bits| largest * f64::from(1 << bits) < 32766.0).unwrap_or(0);
        }
        let (mut from, mut to) = (usize::MAX, 0);
        self.longest = 0;
        let Taps { windows, high, low, longest, bits, exact: exact_weights, .. } = self;
        axis.windows(exact_weights, |range, weights| {
            let at = windows.len() * width;
            match precision {
                Precision::Exact => {
                    for (tap, weight) in weights.iter().enumerate() {
                        let fixed = exact(*weight);
                        high[at + tap] = (fixed >> LOW_BITS) as i16;
                        low[at + tap] = (fixed & ((1 << LOW_BITS) - 1)) as i16;
                    }
                }
                Precision::Fine => fine(weights, *bits, &mut high[at..]),
            }
            (from, to) = (from.min(range.start), to.max(range.end));
            *longest = range.len().max(*longest);
            windows.push((range.start, range.len()));
        })?;
        self.needed = from..to;
        self.of = Some((axis, precision));
        Ok(())
    }

    /// Number of output pixels.
    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }

    /// All samples that any output pixel needs.
    pub(super) fn needed(&self) -> Range<usize> {
        self.needed.clone()
    }

    /// The samples of an output pixel.
    pub(super) fn window(&self, output: usize) -> Range<usize> {
        let (start, length) = self.windows[output];
        start..start + length
    }

    /// First sample of each window and how many there are.
    pub(super) fn windows(&self) -> &[(usize, usize)] {
        &self.windows
    }

    /// Most samples in a window.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Padded length of a window, a multiple of [`STEP`].
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The weights of all windows, [`Self::width`] for each; of exact ones the upper halves.
    pub(super) fn high(&self) -> &[i16] {
        &self.high
    }

    /// The lower halves of exact weights.
    pub(super) fn low(&self) -> &[i16] {
        &self.low
    }

    /// Bits behind the point of fine weights.
    pub(super) fn bits(&self) -> u32 {
        self.bits
    }
}

/// Pillow's rounding.
fn exact(weight: f64) -> i32 {
    let fixed = weight * f64::from(1 << EXACT_BITS);
    (if weight < 0.0 { fixed - 0.5 } else { fixed + 0.5 }) as i32
}

/// Each weight is rounded with what was lost on those before it.
fn fine(weights: &[f64], bits: u32, fixed: &mut [i16]) {
    let mut lost = 0.0;
    for (weight, fixed) in weights.iter().zip(fixed) {
        let wanted = weight * f64::from(1 << bits) + lost;
        *fixed = wanted.round() as i16;
        lost = wanted - f64::from(*fixed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Interpolation;
    use super::super::super::weights::Resampling;
    use super::*;

    fn axis(length: usize, resized: usize) -> Axis {
        let filter = Interpolation::Bicubic;
        Axis::new(0, Resampling { source: length, resized, start: 0, kept: resized, filter }, false)
    }

    #[test]
    fn fine_weights_add_up_to_one() {
        let mut taps = Taps::default();
        for (length, resized, bits) in [(1, 224, 14), (3, 64, 14), (7, 3, 15), (65536, 8, 15)] {
            taps.prepare(axis(length, resized), Precision::Fine).unwrap();
            assert_eq!((taps.bits(), taps.needed()), (bits, 0..length));
            for weights in taps.high().chunks(taps.width()) {
                assert_eq!(weights.iter().map(|&w| i32::from(w)).sum::<i32>(), 1 << bits);
            }
        }
    }

    #[test]
    fn exact_weights_are_put_together_again() {
        let mut taps = Taps::default();
        taps.prepare(axis(1000, 7), Precision::Exact).unwrap();
        let mut window = 0;
        axis(1000, 7)
            .windows(&mut Vec::new(), |range, weights| {
                assert_eq!(taps.window(window), range);
                let at = window * taps.width();
                for (tap, weight) in weights.iter().enumerate() {
                    let halves = [taps.high()[at + tap], taps.low()[at + tap]].map(i32::from);
                    assert_eq!((halves[0] << LOW_BITS) + halves[1], exact(*weight));
                }
                window += 1;
            })
            .unwrap();
    }
}
