//! Rows of numbers that say where images and texts lie.

use clip_model::memory;

use crate::error::{Error, Result};

/// L2-normalised embeddings, `[len, dim]` row by row. The cosine similarity of two of them is their dot product.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    values: Vec<f32>,
    dim: usize,
}

impl Embeddings {
    /// `values` holds whole rows of `dim` numbers.
    pub(crate) fn new(values: Vec<f32>, dim: usize) -> Self {
        debug_assert!(dim > 0 && values.len().is_multiple_of(dim));
        Embeddings { values, dim }
    }

    /// Copies of rows that come from outside, scaled to length one; `values` holds whole rows of `dim` numbers.
    pub(crate) fn normalized(values: &[f32], dim: usize) -> Result<Self> {
        let mut values = memory::copy("embeddings", values)?;
        for (row, values) in values.chunks_exact_mut(dim).enumerate() {
            normalize(values).ok_or(Error::Row { row })?;
        }
        Ok(Embeddings::new(values, dim))
    }

    /// Numbers in a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Row `i`, `[dim]`.
    ///
    /// # Panics
    /// When `i` is not below [`Embeddings::len`], as slices do.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.dim..(i + 1) * self.dim]
    }

    /// The rows, first to last.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.dim)
    }

    /// All rows, one after the other.
    pub fn as_slice(&self) -> &[f32] {
        &self.values
    }
}

/// Sum of the products, in eight lanes so that it compiles to vector instructions.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    let mut lanes = [0.0f32; LANES];
    for (x, y) in a.zip(b) {
        for i in 0..LANES {
            lanes[i] += x[i] * y[i];
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Scales `row` to length one; `None` when its length is zero or not a number.
pub(crate) fn normalize(row: &mut [f32]) -> Option<()> {
    let length = dot(row, row).sqrt();
    if !(length.is_finite() && length > 1e-6) {
        return None;
    }
    row.iter_mut().for_each(|x| *x /= length);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_covers_every_element() {
        for n in 0..40 {
            let a: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let expected: f32 = a.iter().map(|x| x * x).sum();
            assert_eq!(dot(&a, &a), expected, "{n}");
        }
    }

    #[test]
    fn normalize_refuses_what_has_no_direction() {
        let mut row = [3.0, 4.0];
        assert_eq!(normalize(&mut row), Some(()));
        assert_eq!(row, [0.6, 0.8]);
        assert_eq!(normalize(&mut [0.0, 0.0]), None);
        assert_eq!(normalize(&mut [f32::NAN, 1.0]), None);
        assert_eq!(normalize(&mut []), None);
    }

    #[test]
    fn rows_are_cut_at_dim() {
        let e = Embeddings::new(vec![1.0, 2.0, 3.0, 4.0], 2);
        assert_eq!((e.len(), e.dim(), e.row(1)), (2, 2, &[3.0, 4.0][..]));
        assert_eq!(e.rows().len(), 2);
        assert!(Embeddings::new(Vec::new(), 2).is_empty());
    }
}
