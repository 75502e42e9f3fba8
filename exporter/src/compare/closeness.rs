//! How close embeddings are to those in single precision.

use serde::Serialize;

/// How close embeddings are to those in single precision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Closeness {
    /// Images or texts compared.
    pub count: usize,
    /// Lowest cosine.
    pub min_cosine: f32,
    /// Mean cosine.
    pub mean_cosine: f32,
    /// Largest difference of two numbers.
    pub max_difference: f32,
}

impl Closeness {
    /// Of the same images or texts, one after the other.
    pub fn of(found: &[Vec<f32>], exact: &[Vec<f32>]) -> Closeness {
        let count = exact.len();
        let cosines: Vec<f32> = found.iter().zip(exact).map(|(a, b)| dot(a, b)).collect();
        let pairs = found.iter().flatten().zip(exact.iter().flatten());
        Closeness {
            count,
            min_cosine: cosines.iter().copied().fold(1.0, f32::min),
            mean_cosine: cosines.iter().sum::<f32>() / count.max(1) as f32,
            max_difference: pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max),
        }
    }
}

/// The cosine of two vectors of length one.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
