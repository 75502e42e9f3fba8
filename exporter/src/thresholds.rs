//! The arguments about what a model has to reach.

use clap::Args;
use clip_exporter::gate::Thresholds;
use clip_model::manifest::Precision;

/// What an exported model has to reach; a precision's usual thresholds where nothing is said.
#[derive(Debug, Args)]
pub struct ThresholdArguments {
    /// Lowest cosine that any image or text may have to its embedding in fp32 [default: 0.999 for fp16, 0.95 for int8]
    #[arg(long, value_name = "COSINE")]
    pub min_cosine: Option<f32>,

    /// Lowest mean of these cosines; int8 leaves products in float until it is reached
    /// [default: 0.9995 for fp16, 0.99 for int8]
    #[arg(long, value_name = "COSINE")]
    pub min_mean_cosine: Option<f32>,

    /// Lowest share of the pictures that keep their nearest label [default: 0.95 for fp16, 0.9 for int8]
    #[arg(long, value_name = "SHARE")]
    pub min_top1: Option<f32>,
}

impl ThresholdArguments {
    /// For a model of this precision.
    pub fn of(&self, precision: Precision) -> Thresholds {
        let usual = Thresholds::of(precision);
        Thresholds {
            min_cosine: self.min_cosine.unwrap_or(usual.min_cosine),
            mean_cosine: self.min_mean_cosine.unwrap_or(usual.mean_cosine),
            top1: self.min_top1.unwrap_or(usual.top1),
        }
    }
}
