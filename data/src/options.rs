//! How batches are made.

use clip_model::{Preprocess, Tokenizer};

use crate::augment::Augment;
use crate::error::{Error, Result};
use crate::fields::Fields;
use crate::lengths::Lengths;
use crate::warnings::Warn;

/// Samples after which the share of those left out says something.
pub(crate) const MANY: u64 = 1000;

/// How a [`crate::Loader`] makes batches.
#[derive(Debug, Clone)]
pub struct LoaderOptions {
    /// Samples in a batch.
    pub batch: usize,
    /// Everything random comes from it.
    pub seed: u64,
    /// Threads that decode and augment, at least 1; one more reads the shards.
    pub threads: usize,
    /// Samples among which the next one is drawn at random; they are kept encoded. 1 leaves the order within a shard.
    pub shuffle_buffer: usize,
    /// Shards are drawn with replacement, and epochs have as many draws as there are shards; else each epoch has each sample once.
    pub resampled: bool,
    /// Where captions and pictures are looked for.
    pub fields: Fields,
    /// Go on behind a shard that is missing, broken or empty.
    pub skip_bad_shards: bool,
    /// Share of the samples that may be left out, 0 to 1. It is looked at once 1,000 samples were met.
    pub max_skipped: f64,
    /// Samples of the shards, where an earlier loader has counted them: [`crate::Loader::lengths`].
    pub lengths: Lengths,
    /// The model's preprocessing.
    pub preprocess: Preprocess,
    /// Random changes to the pictures.
    pub augment: Augment,
    /// The model's tokenizer.
    pub tokenizer: Tokenizer,
    /// Tokens at most, start and end included.
    pub context_length: usize,
    /// Position to go on from, see [`crate::Batch::position`].
    pub start: u64,
    /// Decoded pictures are kept in memory up to this many megabytes; 0 keeps none.
    pub cache_mb: usize,
    /// Takes the warnings about samples that are left out.
    pub warn: Warn,
    /// Asked once a second while samples are waited for: whether to give up, with [`Error::Stopped`].
    pub stop: fn() -> bool,
}

impl LoaderOptions {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Options`] with the first one that makes no sense.
    pub fn validate(&self) -> Result<()> {
        for (name, value) in [
            ("batch", self.batch),
            ("threads", self.threads),
            ("shuffle_buffer", self.shuffle_buffer),
            ("context_length", self.context_length),
        ] {
            if value == 0 {
                return Err(Error::Options(format!("{name} is 0, expected at least 1")));
            }
        }
        if !(0.0..=1.0).contains(&self.max_skipped) {
            let reason = format!("max_skipped is {}, expected a share from 0 to 1", self.max_skipped);
            return Err(Error::Options(reason));
        }
        self.fields.validate()?;
        self.preprocess.validate()?;
        self.augment.validate()
    }
}
