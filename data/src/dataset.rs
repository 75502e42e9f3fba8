//! What a run is trained on: sources, each a list of shards.

use crate::error::{Error, Result};
use crate::location::Location;
use crate::pattern::expand_sources;

/// Shards that are drawn from together.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its shards.
    pub shards: Vec<Location>,
    /// How often a sample is drawn from it, beside the weights of the others.
    pub weight: f64,
}

/// What a run is trained on. One source is passed over in epochs, each of which has each sample once. Of several, each sample comes
/// from one that is drawn by the weights, and each has epochs of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSet {
    sources: Vec<Source>,
}

impl DataSet {
    /// One source.
    pub fn of<S: Clone + Into<Location>>(shards: &[S]) -> DataSet {
        let shards = shards.iter().cloned().map(Into::into).collect();
        DataSet { sources: vec![Source { shards, weight: 1.0 }] }
    }

    /// The shards that `words` stand for, as [`crate::expand`] reads them. Without `weights` they are one source; else each
    /// word, and in `a::b` each part, is a source with a weight of its own.
    ///
    /// # Errors
    /// Those of [`crate::expand`]; [`Error::Options`] for weights of another number than the sources, or that are not above 0.
    pub fn parse(words: &[impl AsRef<str>], weights: &[f64]) -> Result<DataSet> {
        let mut sources = Vec::new();
        for word in words {
            sources.extend(expand_sources(word.as_ref())?);
        }
        if weights.is_empty() {
            return Ok(DataSet::of(&sources.concat()));
        }
        if weights.len() != sources.len() {
            let (weights, sources) = (weights.len(), sources.len());
            return Err(Error::Options(format!(
                "there are {weights} weights for {sources} sources of data: give one for each word, and one for each part of a::b"
            )));
        }
        if let Some(weight) = weights.iter().find(|weight| !weight.is_finite() || **weight <= 0.0) {
            return Err(Error::Options(format!("the weight {weight} of a source is not above 0")));
        }
        let sources = sources.into_iter().zip(weights);
        Ok(DataSet { sources: sources.map(|(shards, &weight)| Source { shards, weight }).collect() })
    }

    /// The sources, at least one.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The shards of all sources, in order.
    pub fn shards(&self) -> Vec<Location> {
        self.sources.iter().flat_map(|source| source.shards.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sources_where_there_are_weights() {
        let words = ["a-{0..1}.tar", "b.tar::c.tar"];
        let one = DataSet::parse(&words, &[]).unwrap();
        assert_eq!((one.sources().len(), one.shards().len()), (1, 4));
        let three = DataSet::parse(&words, &[1.0, 0.5, 2.0]).unwrap();
        let found: Vec<_> =
            three.sources().iter().map(|source| (source.shards.len(), source.weight)).collect();
        assert_eq!(found, [(2, 1.0), (1, 0.5), (1, 2.0)]);
        assert_eq!(three.shards(), one.shards());
    }

    #[test]
    fn weights_that_fit_nothing_are_refused() {
        for (weights, part) in [
            (&[1.0, 2.0][..], "2 weights for 3 sources"),
            (&[1.0, 2.0, 0.0], "weight 0 of a source"),
            (&[1.0, f64::NAN, 1.0], "weight NaN"),
        ] {
            let message = DataSet::parse(&["a.tar", "b.tar::c.tar"], weights).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
