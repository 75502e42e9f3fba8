//! What an exported model has to reach.

use clip_model::manifest::Precision;
use serde::Serialize;

/// What an exported model has to reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Thresholds {
    /// Lowest cosine that any image or text may have to its embedding in single precision.
    pub min_cosine: f32,
    /// Lowest mean of these cosines.
    pub mean_cosine: f32,
    /// Lowest share of the images whose nearest label must stay the same.
    pub top1: f32,
}

impl Thresholds {
    /// What is asked for when the user says nothing.
    pub fn of(precision: Precision) -> Thresholds {
        match precision {
            Precision::Fp32 => Thresholds { min_cosine: 0.9999, mean_cosine: 0.9999, top1: 0.99 },
            Precision::Fp16 => Thresholds { min_cosine: 0.999, mean_cosine: 0.9995, top1: 0.95 },
            Precision::Int8 => Thresholds { min_cosine: 0.95, mean_cosine: 0.99, top1: 0.9 },
        }
    }
}
