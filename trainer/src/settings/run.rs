//! The section `[run]`: what is written and when.

use clip_checkpoint::WeightFormat;
use serde::{Deserialize, Serialize};

/// What is written and when; nothing here changes the result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunSettings {
    /// Steps between lines of the log.
    pub log_every: u64,
    /// Steps between checkpoints; there is one at the end as well, and when the run is told to stop. 0: by time alone.
    pub checkpoint_every: u64,
    /// Minutes between checkpoints, when there were not so many steps before. 0: by steps alone.
    pub checkpoint_minutes: f64,
    /// Newest checkpoints that are kept in `checkpoints/`, 1 or more; the run goes on from the newest.
    pub keep_last: usize,
    /// Also keep the best checkpoint: by `top1`, `top5`, or the share of `image_to_text` or `text_to_image` that is found first, on all
    /// validation shards together. It is made at a validation, and `best.json` names it. Not given: none.
    pub keep_best: Option<KeepBest>,
    /// Steps between validations on the validation shards; there is one at the end as well. 0: at the end only.
    pub validate_every: u64,
    /// Number format of the weights in `open_clip_model.safetensors`: `fp32` or `fp16` (half the size).
    pub weights: WeightFormat,
}

impl Default for RunSettings {
    fn default() -> Self {
        RunSettings {
            log_every: 50,
            checkpoint_every: 1000,
            checkpoint_minutes: 15.0,
            keep_last: 1,
            keep_best: None,
            validate_every: 0,
            weights: WeightFormat::Fp32,
        }
    }
}

/// A figure of the validation, of which more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepBest {
    /// Zero-shot classification, the first guess.
    Top1,
    /// One of the first five guesses.
    Top5,
    /// Retrieval of captions.
    ImageToText,
    /// Retrieval of pictures.
    TextToImage,
}

impl KeepBest {
    /// The figure's name in `Figures::numbers`.
    pub fn name(self) -> &'static str {
        match self {
            KeepBest::Top1 => "top1",
            KeepBest::Top5 => "top5",
            KeepBest::ImageToText => "image_to_text_r1",
            KeepBest::TextToImage => "text_to_image_r1",
        }
    }
}
