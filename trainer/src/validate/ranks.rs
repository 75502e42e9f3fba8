//! At which place a query finds what belongs to it.

use tch::{Kind, Tensor};

use crate::error::Result;
use crate::parameters::to_vec;

/// Similarities that are held at a time, 64 MB of them: the whole matrix may not fit into memory.
const SIMILARITIES: i64 = 1 << 24;

/// For each row of `queries` `[Q, D]`, how many rows of `keys` `[K, D]` are more similar to it than the most similar one of its
/// `own` (at least one for each query). Of equally similar ones the first counts as more similar, and what is not a number
/// as more similar than anything.
pub(super) fn of_own(queries: &Tensor, keys: &Tensor, own: &[Vec<usize>]) -> Result<Vec<usize>> {
    let count = keys.size()[0];
    let rows = (SIMILARITIES / count.max(1)).max(1);
    let transposed = keys.f_transpose(0, 1)?;
    let numbers = Tensor::f_arange(count, (Kind::Int64, keys.device()))?;
    let mut ranks = Vec::with_capacity(own.len());
    for (queries, own) in queries.f_split(rows, 0)?.iter().zip(own.chunks(rows as usize)) {
        let similarities = queries.f_matmul(&transposed)?; // [rows, K]
        let own = padded(own)?.f_to_device(keys.device())?; // [rows, most]
        let of_own = similarities.f_gather(1, &own, false)?;
        let best = of_own.f_amax([1i64].as_slice(), true)?; // [rows, 1]
        let first =
            own.f_where_self(&of_own.f_eq_tensor(&best)?, &Tensor::from(count).f_to_device(keys.device())?)?;
        let first = first.f_amin([1i64].as_slice(), true)?;
        let above = similarities.f_le_tensor(&best)?.f_logical_not()?;
        let before = similarities.f_eq_tensor(&best)?.f_logical_and(&numbers.f_lt_tensor(&first)?)?;
        let rank = above.f_logical_or(&before)?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?;
        ranks.extend(to_vec(&rank)?.into_iter().map(|rank| rank as usize));
    }
    Ok(ranks)
}

/// Lists as one tensor `[lists, longest]`; the first element of a shorter one is repeated.
fn padded(lists: &[Vec<usize>]) -> Result<Tensor> {
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let mut numbers = Vec::with_capacity(lists.len() * longest);
    for list in lists {
        let first = list.iter().take(1).cycle().take(longest - list.len());
        numbers.extend(list.iter().chain(first).map(|&number| number as i64));
    }
    Ok(Tensor::f_from_slice(&numbers)?.f_view([lists.len() as i64, longest as i64])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(queries: &[[f32; 2]], keys: &[[f32; 2]], own: &[&[usize]]) -> Vec<usize> {
        let own: Vec<Vec<usize>> = own.iter().map(|own| own.to_vec()).collect();
        of_own(&Tensor::from_slice2(queries), &Tensor::from_slice2(keys), &own).unwrap()
    }

    #[test]
    fn the_most_similar_of_the_own_counts() {
        let keys = [[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]];
        let queries = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]];
        assert_eq!(ranks(&queries, &keys, &[&[0], &[1], &[2], &[0, 2]]), [0, 2, 1, 1]);
        assert_eq!(ranks(&queries[..1], &keys, &[&[1, 2]]), [1]);
    }

    /// A network that gives one embedding for everything finds one of N, not all.
    #[test]
    fn equal_ones_are_counted_in_their_order() {
        let same = [[0.6, 0.8]; 4];
        assert_eq!(ranks(&same, &same, &[&[0], &[1], &[2], &[3]]), [0, 1, 2, 3]);
        assert_eq!(ranks(&same, &same, &[&[3, 1], &[2], &[3], &[0]]), [1, 2, 3, 0]);
    }

    #[test]
    fn what_is_not_a_number_is_never_found() {
        let keys = [[1.0, 0.0], [0.0, 1.0]];
        assert_eq!(ranks(&[[f32::NAN, 0.0]; 2], &keys, &[&[0], &[1]]), [2, 2]);
        assert_eq!(ranks(&[[1.0, 0.0]], &[[1.0, 0.0], [f32::NAN, 0.0]], &[&[0]]), [1]);
    }

    /// Against sorting, with more rows than are held at a time.
    #[test]
    fn a_large_matrix_is_gone_through_in_parts() {
        let (kind, keys) = ((Kind::Float, tch::Device::Cpu), 3000);
        let queries = Tensor::randn([6000, 4], kind);
        let keys = Tensor::randn([keys, 4], kind);
        let own: Vec<Vec<usize>> = (0..6000).map(|n| vec![n % 3000]).collect();
        let ranks = of_own(&queries, &keys, &own).unwrap();
        assert!((ranks.len() as i64) * keys.size()[0] > SIMILARITIES);
        for query in [0, 1, 5591, 5592, 5593, 5999] {
            let row = to_vec(&keys.matmul(&queries.get(query))).unwrap();
            let (own, rank) = (row[query as usize % 3000], ranks[query as usize]);
            let above = |margin: f32| row.iter().filter(|&&s| s > own + margin).count();
            assert!((above(1e-5)..=above(-1e-5)).contains(&rank), "{query}: {rank}");
        }
    }
}
