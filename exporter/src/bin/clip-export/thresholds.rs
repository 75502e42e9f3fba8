//! The arguments about what a model has to reach.

use clap::Args;
use clip_exporter::compare::Thresholds;
use clip_model::manifest::Precision;

/// What an exported model has to reach; a precision's usual thresholds where nothing is said.
#[derive(Debug, Args)]
pub struct ThresholdArguments {
    /// Lowest cosine that any image or text may have to its embedding in fp32
    /// [default: 0.9999 for fp32, which only verify compares, 0.999 for fp16, 0.95 for int8]
    #[arg(long, value_name = "COSINE", value_parser = cosine, allow_negative_numbers = true)]
    pub min_cosine: Option<f32>,

    /// Lowest mean of these cosines; an export to int8 leaves products in float until it is reached
    /// [default: 0.9999 for fp32, 0.9995 for fp16, 0.99 for int8]
    #[arg(long, value_name = "COSINE", value_parser = cosine, allow_negative_numbers = true)]
    pub min_mean_cosine: Option<f32>,

    /// Lowest share of the pictures that keep their nearest label
    /// [default: 0.99 for fp32, 0.95 for fp16, 0.9 for int8]
    #[arg(long, value_name = "SHARE", value_parser = share)]
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

fn cosine(text: &str) -> Result<f32, String> {
    within(text, -1.0, 1.0)
}

fn share(text: &str) -> Result<f32, String> {
    within(text, 0.0, 1.0)
}

/// NaN, which everything would reach, is no number within limits either.
fn within(text: &str, lowest: f32, highest: f32) -> Result<f32, String> {
    match text.parse() {
        Ok(number) if (lowest..=highest).contains(&number) => Ok(number),
        _ => Err(format!("expected a number from {lowest} to {highest}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_numbers_that_can_be_missed_and_reached() {
        assert_eq!(
            (cosine("-1"), cosine("0.5"), share("1"), share("0")),
            (Ok(-1.0), Ok(0.5), Ok(1.0), Ok(0.0))
        );
        for wrong in ["nan", "NaN", "inf", "-inf", "1e400", "1.5", "-1.5", "", "half"] {
            assert_eq!(cosine(wrong), Err("expected a number from -1 to 1".to_owned()), "{wrong}");
            assert!(share(wrong).is_err(), "{wrong}");
        }
        assert!(share("-0.5").is_err());
    }
}
