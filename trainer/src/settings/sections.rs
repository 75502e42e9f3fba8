//! The sections besides `[model]`, with what holds where nothing is said.

use clip_checkpoint::WeightFormat;
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

/// What is written and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunSettings {
    /// Steps between lines of the log.
    pub log_every: u64,
    /// Steps between checkpoints; there is one at the end as well.
    pub checkpoint_every: u64,
    /// Steps between validations on the validation shards; there is one at the end as well. 0: at the end only.
    pub validate_every: u64,
    /// Number format of the weights in `open_clip_model.safetensors`: `fp32` or `fp16` (half the size).
    pub weights: WeightFormat,
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

impl Default for RunSettings {
    fn default() -> Self {
        RunSettings { log_every: 50, checkpoint_every: 1000, validate_every: 0, weights: WeightFormat::Fp32 }
    }
}
