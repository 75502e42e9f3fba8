//! Pillow's antialiased resampling of 8-bit pixels: convolution with a filter stretched to the scale, weights in
//! fixed point, and rounding to 8 bits after each axis.

use std::ops::Range;

use super::weights::Resampling;
use crate::error::Result;
use crate::memory;

/// What memory is asked for here.
const WHAT: &str = "resizing a picture";

/// Bits behind the point of a weight: 32, less 8 for the pixel, less 2 for sign and overshoot.
const PRECISION: u32 = 32 - 8 - 2;

/// One half in fixed point: what a sum of weighted pixels starts from, so that cutting it rounds.
pub(super) const HALF: i32 = 1 << (PRECISION - 1);

/// For each output pixel along one axis, the source pixels it is made of and their weights.
pub(super) struct Windows {
    /// Per output pixel: first source pixel, and where its weights lie in `weights`.
    windows: Vec<(usize, Range<usize>)>,
    /// Fixed-point weights.
    weights: Vec<i32>,
}

impl Windows {
    /// Windows of the output pixels of an axis.
    pub(super) fn new(axis: Resampling) -> Result<Windows> {
        let mut windows = memory::with_capacity(WHAT, axis.kept)?;
        let mut weights = memory::with_capacity(WHAT, axis.widest().saturating_mul(axis.kept))?;
        let mut exact = memory::with_capacity(WHAT, axis.widest())?;
        for output in 0..axis.kept {
            let first = axis.weights(output, &mut exact);
            let from = weights.len();
            for weight in &exact {
                let fixed = weight * f64::from(1 << PRECISION);
                weights.push(if *weight < 0.0 { (fixed - 0.5) as i32 } else { (fixed + 0.5) as i32 });
            }
            windows.push((first, from..weights.len()));
        }
        Ok(Windows { windows, weights })
    }

    /// Number of output pixels.
    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }

    /// First source pixel of an output pixel.
    pub(super) fn start(&self, output: usize) -> usize {
        self.windows[output].0
    }

    /// One past the last source pixel of an output pixel.
    pub(super) fn end(&self, output: usize) -> usize {
        let (start, weights) = &self.windows[output];
        start + weights.len()
    }

    /// The weights of an output pixel's source pixels.
    pub(super) fn weights(&self, output: usize) -> &[i32] {
        &self.weights[self.windows[output].1.clone()]
    }

    /// All source pixels that any output pixel needs.
    pub(super) fn source(&self) -> Range<usize> {
        match (self.windows.first(), self.windows.len()) {
            (Some(first), count) => first.0..self.end(count - 1),
            (None, _) => 0..0,
        }
    }

    /// Resamples one row of packed RGB: `line` has three bytes for each window.
    pub(super) fn resample_line(&self, row: &[u8], line: &mut [u8]) {
        for ((start, range), out) in self.windows.iter().zip(line.chunks_exact_mut(3)) {
            let weights = &self.weights[range.clone()];
            let pixels = &row[3 * start..][..3 * weights.len()];
            let mut sums = [HALF; 3];
            for (weight, pixel) in weights.iter().zip(pixels.chunks_exact(3)) {
                for channel in 0..3 {
                    sums[channel] =
                        sums[channel].wrapping_add(weight.wrapping_mul(i32::from(pixel[channel])));
                }
            }
            for channel in 0..3 {
                out[channel] = to_pixel(sums[channel]);
            }
        }
    }
}

/// Adds a line of pixels times a weight.
pub(super) fn add_weighted(sums: &mut [i32], line: &[u8], weight: i32) {
    for (sum, &value) in sums.iter_mut().zip(line) {
        *sum = sum.wrapping_add(weight.wrapping_mul(i32::from(value)));
    }
}

/// Cuts fixed-point sums that started from [`HALF`] to pixels.
pub(super) fn to_pixels(sums: &[i32], pixels: &mut [u8]) {
    for (pixel, &sum) in pixels.iter_mut().zip(sums) {
        *pixel = to_pixel(sum);
    }
}

fn to_pixel(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::Interpolation;

    #[test]
    fn weights_add_up_to_one() {
        for (source, resized) in [(1, 224), (7, 3), (224, 224), (4000, 224), (3, 1000)] {
            for filter in [Interpolation::Bicubic, Interpolation::Bilinear] {
                let windows =
                    Windows::new(Resampling { source, resized, start: 0, kept: resized, filter }).unwrap();
                assert_eq!(windows.source(), 0..source);
                for output in 0..resized {
                    let total: i64 = windows.weights(output).iter().map(|&w| i64::from(w)).sum();
                    assert!((total - (1 << PRECISION)).abs() <= 64, "{source} {resized} {output} {total}");
                }
            }
        }
    }
}
