//! How batches are made.

use clip_model::{Preprocess, Tokenizer};

use crate::augment::Augment;
use crate::error::{Error, Result};
use crate::warnings::Warn;

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
        self.preprocess.validate()?;
        self.augment.validate()
    }
}
