//! The section `[data]`: what is done with the training data.

use clip_data::Augment;
use serde::{Deserialize, Serialize};

/// What is done with the training data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSettings {
    /// `openai` (the built-in vocabulary), `train` (a new one of `model.text.vocab_size` tokens, from the captions),
    /// or the path of a `tokenizer.json`.
    pub tokenizer: String,
    /// Samples that are held in memory to be drawn from at random.
    pub shuffle_buffer: usize,
    /// Memory for decoded pictures, megabytes: data that fits is decoded only once. 0 keeps none.
    pub cache_mb: usize,
    /// Random changes to the pictures.
    pub augment: Augment,
}

impl Default for DataSettings {
    fn default() -> Self {
        DataSettings {
            tokenizer: "openai".into(),
            shuffle_buffer: 10_000,
            cache_mb: 0,
            augment: Augment::default(),
        }
    }
}
