//! How alike the order of labels is.

use clip_data::ranking::{rank_correlation, ranks};
use serde::Serialize;

use super::closeness::dot;

/// How alike the order of labels is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ranking {
    /// Labels that images were compared with.
    pub labels: usize,
    /// Share of the images whose nearest label is the same.
    pub top1: f32,
    /// Mean over the images of Spearman's rank correlation between the similarities to all labels.
    pub rank_correlation: f32,
}

impl Ranking {
    /// Of images and labels as exported and in single precision.
    pub fn of(found: (&[Vec<f32>], &[Vec<f32>]), exact: (&[Vec<f32>], &[Vec<f32>])) -> Ranking {
        let similarities = |(images, labels): (&[Vec<f32>], &[Vec<f32>]), i: usize| -> Vec<f32> {
            labels.iter().map(|label| dot(&images[i], label)).collect()
        };
        let (images, labels) = (exact.0.len(), exact.1.len());
        let (mut same, mut correlation) = (0, 0.0);
        for i in 0..images {
            let [a, b] = [found, exact].map(|side| ranks(&similarities(side, i)));
            same += usize::from(nearest(&a) == nearest(&b));
            correlation += rank_correlation(&a, &b);
        }
        let images = images.max(1) as f64;
        Ranking {
            labels,
            top1: (same as f64 / images) as f32,
            rank_correlation: (correlation / images) as f32,
        }
    }
}

/// The place of rank 0.
fn nearest(ranks: &[usize]) -> Option<usize> {
    ranks.iter().position(|&rank| rank == 0)
}
