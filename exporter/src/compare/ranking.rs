//! How alike the order of labels is.

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
            same += usize::from(first(&a) == first(&b));
            // Without ties, which similarities hardly have.
            let squares: f64 = a.iter().zip(&b).map(|(a, b)| (*a as f64 - *b as f64).powi(2)).sum();
            let n = labels as f64;
            correlation += 1.0 - 6.0 * squares / (n * (n * n - 1.0)).max(1.0);
        }
        let images = images.max(1) as f64;
        Ranking {
            labels,
            top1: (same as f64 / images) as f32,
            rank_correlation: (correlation / images) as f32,
        }
    }
}

/// The rank of each number, 0 for the highest.
fn ranks(numbers: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&a, &b| numbers[b].total_cmp(&numbers[a]));
    let mut ranks = vec![0; numbers.len()];
    order.into_iter().enumerate().for_each(|(rank, i)| ranks[i] = rank);
    ranks
}

fn first(ranks: &[usize]) -> Option<usize> {
    ranks.iter().position(|&rank| rank == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_their_correlation() {
        assert_eq!(ranks(&[0.1, 0.9, 0.5]), [2, 0, 1]);
        assert_eq!(first(&ranks(&[0.1, 0.9, 0.5])), Some(1));
    }
}
