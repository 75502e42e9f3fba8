//! How tensors of one layout come from those of another.

/// How a tensor comes from tensors of other names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The same values under another name.
    Same(String),
    /// A matrix whose axes are exchanged.
    Transposed(String),
    /// The same values with so many axes of size one in front.
    Wrapped(String, usize),
    /// Several tensors, one above the other, and how many times the rows of the shortest each of them has.
    Stacked(Vec<(String, usize)>),
}

impl Origin {
    /// Tensors of equally many rows, one above the other.
    pub(crate) fn stacked(names: impl IntoIterator<Item = String>) -> Origin {
        Origin::Stacked(names.into_iter().map(|name| (name, 1)).collect())
    }

    /// The tensors it is made of when the result has `shape`, each with its own shape.
    pub(crate) fn sources(&self, shape: &[usize]) -> Vec<(&str, Vec<usize>)> {
        match self {
            Origin::Same(name) => vec![(name, shape.to_vec())],
            Origin::Transposed(name) => vec![(name, shape.iter().rev().copied().collect())],
            Origin::Wrapped(name, ones) => vec![(name, [&vec![1; *ones], shape].concat())],
            Origin::Stacked(parts) => {
                let shares: usize = parts.iter().map(|(_, share)| share).sum();
                let rows = shape.first().copied().unwrap_or(1) / shares.max(1);
                let columns = shape.get(1..).unwrap_or_default();
                parts.iter().map(|(name, share)| (&**name, [&[rows * share], columns].concat())).collect()
            }
        }
    }
}
