//! The sections besides `[model]`, with what holds where nothing is said.

use clip_checkpoint::WeightFormat;
use clip_data::Augment;
use serde::{Deserialize, Serialize};

use crate::network::Precision;

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

/// The optimiser (AdamW) and its schedule (linear warm-up, then a cosine).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimSettings {
    /// Pairs in a batch; each picture is told apart from all the others' texts, so more is better.
    pub batch: usize,
    /// Length of the run, batches.
    pub steps: u64,
    /// Highest learning rate.
    pub lr: f64,
    /// Learning rate at the end.
    pub min_lr: f64,
    /// Steps until the learning rate is at its highest.
    pub warmup: u64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients: the paper's table 18 has 0.999 for ResNets and 0.98 for ViTs.
    pub beta2: f64,
    /// Added to the root of the mean square: the paper's table 18 has 1e-8 for ResNets and 1e-6 for ViTs.
    pub eps: f64,
    /// Decoupled weight decay of matrices and kernels; gains, biases and the logit scale have none.
    pub weight_decay: f64,
    /// Gradients are scaled down to this global norm when they exceed it; 0 leaves them alone.
    pub clip: f64,
    /// `fp32`, or `bf16` for matrix products and convolutions (the weights themselves stay fp32).
    pub precision: Precision,
    /// Seed of the first weights, of shuffling and of augmentation.
    pub seed: u64,
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
    /// Prompt of zero-shot validation, `{}` stands for the class name.
    pub template: String,
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

impl Default for OptimSettings {
    fn default() -> Self {
        OptimSettings {
            batch: 256,
            steps: 10_000,
            lr: 5e-4,
            min_lr: 0.0,
            warmup: 500,
            beta1: 0.9,
            beta2: 0.98,
            eps: 1e-6,
            weight_decay: 0.2,
            clip: 0.0,
            precision: Precision::Fp32,
            seed: 0,
        }
    }
}

impl Default for RunSettings {
    fn default() -> Self {
        RunSettings {
            log_every: 50,
            checkpoint_every: 1000,
            validate_every: 0,
            template: "{}".into(),
            weights: WeightFormat::Fp32,
        }
    }
}
