//! The order that similarities put things in.

/// The places of the `count` highest numbers, highest first; of equal ones the first counts as higher.
pub fn top(numbers: &[f32], count: usize) -> Vec<usize> {
    let higher = |&a: &usize, &b: &usize| numbers[b].total_cmp(&numbers[a]).then(a.cmp(&b));
    let mut places: Vec<usize> = (0..numbers.len()).collect();
    if count < places.len() {
        if count > 0 {
            places.select_nth_unstable_by(count - 1, higher);
        }
        places.truncate(count);
    }
    places.sort_unstable_by(higher);
    places
}

/// The rank of each number, 0 for the highest.
pub fn ranks(numbers: &[f32]) -> Vec<usize> {
    let mut ranks = vec![0; numbers.len()];
    top(numbers, numbers.len()).into_iter().enumerate().for_each(|(rank, place)| ranks[place] = rank);
    ranks
}

/// Spearman's rank correlation of two lists of [`ranks`] of the same length: 1 for the same order, -1 for the reverse one.
/// Equal numbers, which similarities hardly have, are not averaged.
pub fn rank_correlation(a: &[usize], b: &[usize]) -> f64 {
    let squares: f64 = a.iter().zip(b).map(|(&a, &b)| (a as f64 - b as f64).powi(2)).sum();
    let n = a.len() as f64;
    1.0 - 6.0 * squares / (n * (n * n - 1.0)).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_come_first_and_equal_ones_in_order() {
        let numbers = [0.1, 0.9, 0.5, 0.9, -0.2];
        assert_eq!(top(&numbers, 3), [1, 3, 2]);
        assert_eq!(top(&numbers, 1), [1]);
        assert_eq!(top(&numbers, 9), [1, 3, 2, 0, 4]);
        assert!(top(&numbers, 0).is_empty() && top(&[], 2).is_empty());
    }

    #[test]
    fn ranks_and_their_correlation() {
        assert_eq!(ranks(&[0.1, 0.9, 0.5]), [2, 0, 1]);
        assert_eq!(rank_correlation(&[2, 0, 1], &[2, 0, 1]), 1.0);
        assert_eq!(rank_correlation(&[0, 1, 2], &[2, 1, 0]), -1.0);
        assert_eq!(rank_correlation(&[0, 1, 2], &[0, 2, 1]), 0.5);
        assert_eq!(rank_correlation(&[0], &[0]), 1.0);
    }
}
