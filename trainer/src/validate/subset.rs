//! Some rows of a table of embeddings.

use std::collections::HashMap;

use tch::Tensor;

use crate::error::Result;

/// Numbers of rows, each once, and the place that each has among them.
pub(super) struct Subset {
    members: Vec<i64>,
    places: HashMap<usize, usize>,
}

impl Subset {
    /// These rows, in the order in which they first appear.
    pub fn of(rows: impl IntoIterator<Item = usize>) -> Subset {
        let mut subset = Subset { members: Vec::new(), places: HashMap::new() };
        for row in rows {
            subset.places.entry(row).or_insert_with(|| {
                subset.members.push(row as i64);
                subset.members.len() - 1
            });
        }
        subset
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// The places of `rows`; those that are no members have none.
    pub fn places(&self, rows: &[usize]) -> Vec<usize> {
        rows.iter().filter_map(|row| self.places.get(row).copied()).collect()
    }

    /// The members of `table` `[N, D]`.
    pub fn rows(&self, table: &Tensor) -> Result<Tensor> {
        rows(table, &self.members)
    }
}

/// The rows of `table` `[N, D]` that have these numbers.
pub(super) fn rows(table: &Tensor, numbers: &[i64]) -> Result<Tensor> {
    let numbers = Tensor::f_from_slice(numbers)?.f_to_device(table.device())?;
    Ok(table.f_index_select(0, &numbers)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_numbered_as_they_appear() {
        let subset = Subset::of([7, 2, 7, 5]);
        assert_eq!((subset.len(), subset.places(&[5, 7, 7])), (3, vec![2, 0, 0]));
        let table = Tensor::arange(10, (tch::Kind::Float, tch::Device::Cpu)).view([10, 1]);
        assert_eq!(crate::parameters::to_vec(&subset.rows(&table).unwrap()).unwrap(), [7.0, 2.0, 5.0]);
    }
}
