//! How many samples shards have, as far as they were counted.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Samples of each shard that was read to its end, in the order of the shards. A run that goes on with them need not read again
/// what lies before the epoch that it was in. As text: numbers, or `-`, between spaces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lengths(pub Vec<Option<u64>>);

impl Lengths {
    /// The sum, when all are known.
    pub fn total(&self) -> Option<u64> {
        self.0.iter().copied().sum()
    }
}

impl fmt::Display for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, length) in self.0.iter().enumerate() {
            let space = if number == 0 { "" } else { " " };
            match length {
                Some(length) => write!(f, "{space}{length}")?,
                None => write!(f, "{space}-")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Lengths {
    type Err = Error;

    fn from_str(text: &str) -> Result<Lengths> {
        let length = |word: &str| match word {
            "-" => Ok(None),
            number => number
                .parse()
                .map(Some)
                .map_err(|_| Error::Options(format!("`{number}` is no number of samples of a shard"))),
        };
        Ok(Lengths(text.split_whitespace().map(length).collect::<Result<_>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_and_read() {
        for (lengths, total) in
            [(vec![], Some(0)), (vec![Some(3), Some(0)], Some(3)), (vec![None, Some(7)], None)]
        {
            let lengths = Lengths(lengths);
            assert_eq!(lengths.to_string().parse::<Lengths>().unwrap(), lengths);
            assert_eq!(lengths.total(), total);
        }
        assert!("3 x".parse::<Lengths>().unwrap_err().to_string().contains("`x`"));
    }
}
