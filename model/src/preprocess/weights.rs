//! How much each pixel of a picture counts in each pixel of a model's input: the sizes of torchvision and the weights of Pillow,
//! before they are rounded to fixed point. Everything that resizes takes them from here, on a CPU and in a graph.

use super::{Interpolation, Preprocess, ResizeMode};

/// How one axis of a picture becomes one of the model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resampling {
    /// Pixels of the picture along the axis.
    pub source: usize,
    /// Pixels that they are resized to.
    pub resized: usize,
    /// First of those that are kept.
    pub start: usize,
    /// How many are kept.
    pub kept: usize,
    /// The filter.
    pub filter: Interpolation,
}

impl Resampling {
    /// Puts into `weights` how much the picture's pixels count in pixel `output` of those that are kept; they add up to one. Gives the first
    /// of these pixels of the picture.
    pub fn weights(&self, output: usize, weights: &mut Vec<f64>) -> usize {
        let filter = match self.filter {
            Interpolation::Bicubic => bicubic,
            Interpolation::Bilinear => triangle,
        };
        let (scale, stretch) = (self.scale(), self.scale().max(1.0));
        let (support, shrink) = (self.support(), 1.0 / stretch);
        let center = ((self.start + output) as f64 + 0.5) * scale;
        // A conversion to usize cuts, and takes negative numbers to 0.
        let first = (center - support + 0.5) as usize;
        let end = ((center + support + 0.5) as usize).min(self.source);
        weights.clear();
        weights.extend(
            (first..end).map(|x| filter(((x - first) as f64 + first as f64 - center + 0.5) * shrink)),
        );
        // Pillow adds from left to right, too.
        let total: f64 = weights.iter().sum();
        if total != 0.0 {
            weights.iter_mut().for_each(|weight| *weight /= total);
        }
        first
    }

    /// The most pixels of the picture that count in one that is kept.
    pub fn widest(&self) -> usize {
        ((2.0 * self.support()) as usize + 2).min(self.source)
    }

    fn scale(&self) -> f64 {
        self.source as f64 / self.resized as f64
    }

    /// How far from its centre a pixel looks, pixels of the picture.
    fn support(&self) -> f64 {
        let support = match self.filter {
            Interpolation::Bicubic => 2.0,
            Interpolation::Bilinear => 1.0,
        };
        support * self.scale().max(1.0)
    }
}

/// What a picture becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    /// Side of the square, pixels.
    pub(super) size: usize,
    /// What happens to pictures that are not square.
    pub(super) mode: ResizeMode,
    /// The filter.
    pub(super) filter: Interpolation,
}

impl Target {
    /// How the columns and the rows of a picture of `width` by `height` pixels become those of the model's input.
    pub(super) fn resampling(&self, width: usize, height: usize) -> [Resampling; 2] {
        let Target { size, filter, .. } = *self;
        [width, height].map(|source| {
            let (resized, start) = match self.mode {
                ResizeMode::Squash => (size, 0),
                ResizeMode::Shortest => kept(source, width.min(height), size),
            };
            Resampling { source, resized, start, kept: size, filter }
        })
    }
}

impl Preprocess {
    /// How the columns and the rows of a picture of `width` by `height` pixels become those of the model's input.
    pub fn resampling(&self, width: usize, height: usize) -> [Resampling; 2] {
        self.target().resampling(width, height)
    }

    pub(super) fn target(&self) -> Target {
        Target { size: self.size, mode: self.resize_mode, filter: self.interpolation }
    }
}

/// Whether Pillow, since version 13, resizes the columns of pixels before the rows: the 8 bits between the two passes make it matter.
pub fn vertical_first([columns, rows]: [Resampling; 2]) -> bool {
    let saved = |axis: Resampling| axis.source.saturating_sub(axis.resized);
    saved(rows) > 2 * saved(columns)
}

/// torchvision's arithmetic: the shorter side becomes `size`, the longer `int(size * longer / shorter)`; the crop
/// starts at `int(round((resized - size) / 2))`, where Python rounds halves to even. Gives the resized length and where the crop starts.
fn kept(length: usize, shorter: usize, size: usize) -> (usize, usize) {
    let resized =
        if length == shorter { size } else { (size as f64 * length as f64 / shorter as f64) as usize };
    let margin = resized - size;
    let half = margin / 2;
    (resized, half + usize::from(margin % 2 == 1 && half % 2 == 1))
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

    #[test]
    fn sizes_and_margins_are_those_of_torchvision() {
        // python: r = int(size * long / short); c = int(round((r - size) / 2.0))
        for (length, shorter, size, resized, start) in [
            (640, 480, 224, 298, 37),
            (500, 375, 224, 298, 37),
            (227, 224, 224, 227, 2),
            (225, 224, 224, 225, 0),
            (224, 224, 224, 224, 0),
            (4000, 1, 224, 896_000, 447_888),
            (333, 100, 32, 106, 37),
            (101, 100, 32, 32, 0),
        ] {
            assert_eq!(kept(length, shorter, size), (resized, start), "{length} {shorter} {size}");
        }
    }

    #[test]
    fn weights_add_up_to_one() {
        let mut weights = Vec::new();
        for (source, resized) in [(1, 224), (7, 3), (224, 224), (4000, 224), (3, 1000)] {
            for filter in [Interpolation::Bicubic, Interpolation::Bilinear] {
                let axis = Resampling { source, resized, start: 0, kept: resized, filter };
                for output in 0..resized {
                    let first = axis.weights(output, &mut weights);
                    assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{axis:?} {output}");
                    assert!(weights.len() <= axis.widest() && first + weights.len() <= source);
                }
            }
        }
    }
}
