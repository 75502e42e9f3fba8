//! Resampling as products of matrices: what a pixel of the model's input is made of, as a row of numbers.

use std::ops::Range;

use clip_model::preprocess::Resampling;

/// One axis of a frame's samples, to be made one of the model's input.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    /// How the pixels that are seen become those of the input.
    pub resampling: Resampling,
    /// Pixels of the frame before those that are seen.
    pub before: usize,
    /// Whether they are seen in the opposite order.
    pub reversed: bool,
    /// Pixels that a sample stands for.
    pub pixels: usize,
}

/// How much each sample of an axis counts in each pixel of the input.
#[derive(Debug)]
pub struct Matrix {
    /// The samples that count in any of them.
    pub samples: Range<usize>,
    /// Pixels of the input.
    pub outputs: usize,
    /// `[outputs, samples]`.
    weights: Vec<f64>,
}

impl Matrix {
    /// Of an axis. A sample that stands for several pixels counts as much as they do together.
    pub fn new(axis: Axis) -> Matrix {
        let Axis { resampling, before, reversed, pixels } = axis;
        let sample = |pixel: usize| {
            let pixel = if reversed { resampling.source - 1 - pixel } else { pixel };
            (before + pixel) / pixels
        };
        let mut weights = Vec::new();
        let rows: Vec<Vec<(usize, f64)>> = (0..resampling.kept)
            .map(|output| {
                let first = resampling.weights(output, &mut weights);
                weights.iter().enumerate().map(|(i, &weight)| (sample(first + i), weight)).collect()
            })
            .collect();
        let samples = || rows.iter().flatten().map(|(sample, _)| *sample);
        let samples = samples().min().unwrap_or(0)..samples().max().map_or(0, |last| last + 1);
        let mut weights = vec![0.0; rows.len() * samples.len()];
        for (row, dense) in rows.iter().zip(weights.chunks_exact_mut(samples.len().max(1))) {
            row.iter().for_each(|(sample, weight)| dense[sample - samples.start] += weight);
        }
        Matrix { samples, outputs: rows.len(), weights }
    }

    /// `[outputs, samples]`.
    pub fn rows(&self) -> Vec<f32> {
        self.weights.iter().map(|&weight| weight as f32).collect()
    }

    /// `[samples, outputs]`.
    pub fn columns(&self) -> Vec<f32> {
        let samples = self.samples.len();
        (0..samples * self.outputs)
            .map(|i| self.weights[i % self.outputs * samples + i / self.outputs] as f32)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clip_model::Preprocess;

    #[test]
    fn only_samples_that_count_are_kept() {
        let preprocess = Preprocess { size: 32, ..Preprocess::default() };
        let [columns, rows] = preprocess.resampling(400, 100);
        let axis = |resampling| Axis { resampling, before: 0, reversed: false, pixels: 1 };
        let matrix = Matrix::new(axis(columns));
        // 100 columns are kept of 400, and a filter of 4 * 3.125 looks 6.25 beyond them.
        assert_eq!(matrix.samples, 145..255);
        assert_eq!(Matrix::new(axis(rows)).samples, 0..100);
        let halved = Matrix::new(Axis { pixels: 2, before: 1, ..axis(columns) });
        assert_eq!(halved.samples, 73..128);
        for matrix in [&matrix, &halved] {
            let (rows, width) = (matrix.rows(), matrix.samples.len());
            assert!(rows.chunks_exact(width).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5));
            let columns = matrix.columns();
            assert_eq!((columns[0], columns[32], columns[1]), (rows[0], rows[1], rows[width]));
        }
        // Mirrored, each pixel is made of the samples on the other side.
        let mirrored = Matrix::new(Axis { reversed: true, ..axis(columns) });
        assert_eq!(mirrored.samples, 400 - matrix.samples.end..400 - matrix.samples.start);
        let width = matrix.samples.len();
        let turned: Vec<f32> =
            mirrored.rows().chunks_exact(width).flat_map(|row| row.iter().rev().copied()).collect();
        assert_eq!(turned, matrix.rows());
    }
}
