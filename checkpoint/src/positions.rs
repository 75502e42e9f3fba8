//! Position embeddings for images of another size, and texts of another length, than they were trained with.
//!
//! As OpenCLIP does when a configuration asks for other sizes than the weights have (`resize_pos_embed` and
//! `resize_text_pos_embed` in its `model.py`): those of a grid of patches are resized as a picture is, by Keys' cubic
//! convolution, antialiased; the class token's stays; those of tokens are interpolated linearly, not antialiased. The paper
//! trains ViT-L/14@336px so from ViT-L/14 (section 2.5). OpenCLIP leaves ResNets alone, whose attention pooling has such a
//! grid, too: here it is resized in the same way.

use std::fmt;

use clip_model::config::{Config, Family, ImageTower};
use clip_model::memory;
use clip_model::preprocess::{Interpolation, Resampling};
use safetensors::Dtype;

use crate::error::Result;
use crate::weights::{TensorRef, Weights};

/// A table of position embeddings that was interpolated: its values are not those that the files hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Resized {
    /// State-dict name.
    pub name: &'static str,
    /// What the table has a row for, and how many of them were stored.
    pub from: Places,
    /// The same, as the configuration asks for.
    pub to: Places,
    shape: [usize; 2],
    /// Little-endian, row-major.
    bytes: Vec<u8>,
}

/// What a table of position embeddings has rows for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Places {
    /// A square of patches, by its side, and so many tokens in front of it.
    Grid(usize, usize),
    /// The tokens of a text.
    Tokens(usize),
}

impl Places {
    fn rows(self) -> usize {
        match self {
            Places::Grid(side, before) => side * side + before,
            Places::Tokens(count) => count,
        }
    }

    /// The same kind in a table of `rows`, when there is such a one.
    fn of_rows(self, rows: usize) -> Option<Places> {
        let found = match self {
            Places::Grid(_, before) => Places::Grid(rows.checked_sub(before)?.isqrt(), before),
            Places::Tokens(_) => Places::Tokens(rows),
        };
        (found.rows() == rows && found != Places::Grid(0, rows) && rows > 0).then_some(found)
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Places::Grid(side, _) => write!(f, "{side}x{side} patches"),
            Places::Tokens(count) => write!(f, "{count} tokens"),
        }
    }
}

impl fmt::Display for Resized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was interpolated from {} to {}", self.name, self.from, self.to)
    }
}

impl Resized {
    pub(crate) fn tensor(&self) -> TensorRef<'_> {
        TensorRef::in_memory(Dtype::F32, &self.shape, &self.bytes)
    }
}

/// The tables of `config`: their names, what they have rows for, and a row's width.
fn tables(config: &Config) -> [(&'static str, Places, usize); 2] {
    let image = match &config.image {
        ImageTower::ViT(v) => {
            let class_token = usize::from(config.family == Family::Clip);
            ("visual.positional_embedding", Places::Grid(v.grid(), class_token), v.width)
        }
        ImageTower::ResNet(r) => {
            ("visual.attnpool.positional_embedding", Places::Grid(r.image_size / 32, 1), r.features())
        }
    };
    [image, ("positional_embedding", Places::Tokens(config.text.context_length), config.text.width)]
}

/// Interpolates those tables of `weights` that have another number of rows than `config` asks for, where that can be done.
///
/// # Errors
/// Those of reading a tensor.
pub(crate) fn resize(weights: &Weights, config: &Config) -> Result<Vec<Resized>> {
    let mut resized = Vec::new();
    for (name, to, width) in tables(config) {
        let Some(stored) = weights.get(name) else { continue };
        let &[rows, columns] = stored.shape else { continue };
        // A table without columns may claim any number of rows.
        if columns != width {
            continue;
        }
        let Some(from) = to.of_rows(rows).filter(|from| *from != to) else { continue };
        let values = stored.to_f32()?;
        let values = match (from, to) {
            (Places::Grid(from, before), Places::Grid(to, _)) => grid(&values, width, from, to, before)?,
            _ => tokens(&values, width, to.rows())?,
        };
        let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
        resized.push(Resized { name, from, to, shape: [to.rows(), width], bytes });
    }
    Ok(resized)
}

/// `[before + from * from, width]` to `[before + to * to, width]`.
fn grid(values: &[f32], width: usize, from: usize, to: usize, before: usize) -> Result<Vec<f32>> {
    let axis = Resampling { source: from, resized: to, start: 0, kept: to, filter: Interpolation::Bicubic };
    let (class, patches) = values.split_at(before * width);
    let mut weights = Vec::new();
    // Along the rows, `[from, to, width]`, then along the columns.
    let mut rows = memory::filled(WHAT, 0f32, from * to * width)?;
    let mut table = memory::with_capacity(WHAT, (before + to * to) * width)?;
    let mut sum = vec![0f64; width];
    for x in 0..to {
        let first = axis.weights(x, &mut weights);
        for y in 0..from {
            weighted(&mut sum, &weights, |i| &patches[(y * from + first + i) * width..][..width]);
            let place = &mut rows[(y * to + x) * width..][..width];
            place.iter_mut().zip(&sum).for_each(|(value, sum)| *value = *sum as f32);
        }
    }
    table.extend_from_slice(class);
    for y in 0..to {
        let first = axis.weights(y, &mut weights);
        for x in 0..to {
            weighted(&mut sum, &weights, |i| &rows[((first + i) * to + x) * width..][..width]);
            table.extend(sum.iter().map(|sum| *sum as f32));
        }
    }
    Ok(table)
}

/// What the memory is for.
const WHAT: &str = "interpolated position embeddings";

/// The sum of weighted vectors.
fn weighted<'a>(sum: &mut [f64], weights: &[f64], vector: impl Fn(usize) -> &'a [f32]) {
    sum.fill(0.0);
    for (i, weight) in weights.iter().enumerate() {
        sum.iter_mut().zip(vector(i)).for_each(|(sum, value)| *sum += weight * f64::from(*value));
    }
}

/// `[from, width]` to `[to, width]`; the middle of a row counts, as with PyTorch's `align_corners=False`.
fn tokens(values: &[f32], width: usize, to: usize) -> Result<Vec<f32>> {
    let from = values.len() / width.max(1);
    let row = |n: usize| &values[n.min(from - 1) * width..][..width];
    let mut table = memory::with_capacity(WHAT, to * width)?;
    for n in 0..to {
        let place = ((n as f64 + 0.5) * (from as f64 / to as f64) - 0.5).max(0.0);
        let (low, share) = (place as usize, place.fract());
        let between = |(a, b): (&f32, &f32)| f64::from(*a) * (1.0 - share) + f64::from(*b) * share;
        table.extend(row(low).iter().zip(row(low + 1)).map(|pair| between(pair) as f32));
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `open_clip.model.resize_pos_embed` and `resize_text_pos_embed` on the same values; tests/parity/positions.py compares real
    /// sizes.
    #[test]
    fn values_are_open_clips() {
        let values: Vec<f32> = (0..10).map(|n| ((n * n) % 7) as f32).collect();
        // A class token and 3x3 patches.
        for (side, expected) in [
            (2, &[0.0, 2.475_493_7, 2.544_182_3, 1.163_764_8, 2.661_617_5][..]),
            (
                4,
                &[
                    0.0,
                    0.788_315_9,
                    2.997_417,
                    3.487_148,
                    1.950_490_1,
                    1.639_431_4,
                    3.512_31,
                    3.244_359,
                    1.003_560_3,
                    1.242_352_4,
                    2.357_549,
                    2.679_422,
                    2.006_185,
                    -0.153_987_53,
                    0.257_068_28,
                    2.146_503_2,
                    4.329_806_3,
                ],
            ),
        ] {
            close(&super::grid(&values, 1, 3, side, 1).unwrap(), expected);
        }
        close(&super::tokens(&values, 1, 4).unwrap(), &[0.75, 2.0, 1.75, 1.75]);
        close(
            &super::tokens(&values, 1, 13).unwrap(),
            &[
                0.0,
                0.653_846_2,
                2.269_23,
                3.615_384_6,
                2.076_923,
                2.0,
                3.0,
                3.192_307_7,
                0.961_538_5,
                0.192_307_7,
                0.576_923,
                2.038_461_5,
                4.0,
            ],
        );
    }

    fn close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 2e-6, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn rows_that_make_no_grid_are_left_alone() {
        let grid = Places::Grid(3, 1);
        assert_eq!(grid.of_rows(17), Some(Places::Grid(4, 1)));
        for rows in [0, 1, 3, 16] {
            assert_eq!(grid.of_rows(rows), None, "{rows}");
        }
        assert_eq!(Places::Grid(3, 0).of_rows(16), Some(Places::Grid(4, 0)));
        assert_eq!(Places::Tokens(3).of_rows(0), None);
    }
}
