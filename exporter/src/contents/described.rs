//! What other programs' settings for a classifier are made of.

use clip_model::Preprocess;
use clip_model::manifest::Classifier;

use crate::options::Numbers;

/// A classifier whose graph is written.
pub struct Described<'a> {
    /// Its entry in the manifest, as far as that is known.
    pub classifier: &'a Classifier,
    /// How a picture becomes what it takes.
    pub preprocess: &'a Preprocess,
    /// Its number format, and for 8-bit integers their dialect.
    pub numbers: Numbers,
    /// Its labels.
    pub labels: &'a [String],
}
