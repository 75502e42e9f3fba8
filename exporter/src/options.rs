//! What is exported, and how.

use std::path::PathBuf;

use clip_model::manifest::Precision;

use crate::error::{Error, Result};
use crate::gate::Thresholds;
use crate::int8::{self, Method};
use crate::labels::Labels;
use crate::onnx::OPSETS;
use crate::samples::Samples;
use crate::tower::Form;

/// What is exported, and how.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// Human-readable name of the model, kept in its manifest.
    pub model: String,
    /// Whether a model folder that is there already may be replaced.
    pub replace: bool,
    /// One encoder instead of both.
    pub only: Option<Only>,
    /// Operator set, batch and input of the graphs.
    pub form: Form,
    /// Whether weights go into files beside the graphs, however small they are; large ones always do.
    pub external_data: bool,
    /// Whether there is also one graph of both towers.
    pub combined: bool,
    /// Labels to be encoded once and kept in the folder.
    pub labels: Option<Labels>,
    /// Number format of the encoders.
    pub numbers: Numbers,
    /// What the encoders are verified on, and calibrated; generated when it is None, which 8-bit integers refuse.
    pub samples: Option<Samples>,
    /// What encoders below single precision have to reach; [`Thresholds::of`] their precision when it is None.
    pub thresholds: Option<Thresholds>,
    /// The program that runs the encoders, see [`crate::apart`]; this process when it is None.
    pub runner: Option<PathBuf>,
}

/// Samples without which there are no 8-bit integers: calibration must not see what verification does.
const INT8_SAMPLES: usize = 2;

/// The number format of weights and arithmetic.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Numbers {
    /// IEEE single precision.
    #[default]
    Fp32,
    /// IEEE half precision, single where half would overflow or lose.
    Fp16,
    /// 8-bit integers, float where integers would lose.
    Int8(int8::Settings),
}

impl Numbers {
    /// As the manifest calls it.
    pub fn precision(&self) -> Precision {
        match self {
            Numbers::Fp32 => Precision::Fp32,
            Numbers::Fp16 => Precision::Fp16,
            Numbers::Int8(_) => Precision::Int8,
        }
    }
}

/// The encoder that a folder holds, when it holds only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Only {
    /// The image encoder
    Visual,
    /// The text encoder
    Text,
}

impl Options {
    /// Refuses options that contradict each other or are out of range.
    ///
    /// # Errors
    /// [`Error::Options`], with what to do instead.
    pub fn check(&self) -> Result<()> {
        let bad = |message: String| Err(Error::Options(message));
        let Form { opset, batch, bytes, .. } = self.form;
        if !OPSETS.contains(&opset) {
            let (first, last) = (OPSETS.start(), OPSETS.end());
            return bad(format!("operator set {opset} is not supported: choose {first} to {last}"));
        }
        let limit = clip_model::manifest::MAX_BATCH;
        if let Some(found) = batch.filter(|n| !(1..=limit).contains(n)) {
            return bad(format!("a batch of {found} is not supported: choose 1 to {limit}"));
        }
        if self.combined && self.only.is_some() {
            return bad(
                "a combined graph has both encoders: leave one of --combined and --only out".to_owned()
            );
        }
        if let Numbers::Int8(int8::Settings { smoothing, method, .. }) = self.numbers {
            if !(0.0..=1.0).contains(&smoothing) {
                return bad(format!("a smoothing of {smoothing} is not supported: choose 0 to 1"));
            }
            if let Method::Percentile(share) = method
                && !(share > 50.0 && share <= 100.0)
            {
                return bad(format!(
                    "a percentile of {share} is not supported: choose more than 50, up to 100"
                ));
            }
            let samples = self.samples.as_ref();
            let needed = [
                (Only::Text, "pictures", samples.map_or(0, |s| s.images.len()), "--calibration-images"),
                (
                    Only::Visual,
                    "texts",
                    samples.map_or(0, |s| s.texts.len()),
                    "--calibration-texts, or --only visual",
                ),
            ];
            for (other, what, given, option) in needed {
                if self.only != Some(other) && given < INT8_SAMPLES {
                    let there = match given {
                        0 => "none are there".to_owned(),
                        _ => format!("{given} is there"),
                    };
                    return bad(format!(
                        "int8 needs {what} like those it will see, {INT8_SAMPLES} at least, to calibrate on and to verify with, and {there}: give {option}"
                    ));
                }
            }
            if self.combined {
                return bad("a combined graph is not quantized: leave --combined out".to_owned());
            }
        }
        if self.only == Some(Only::Text) && bytes {
            return bad("--uint8-input is about the image encoder, which --only text leaves out".to_owned());
        }
        if self.only == Some(Only::Text) && self.labels.is_some() {
            return bad("labels are compared with images, whose encoder --only text leaves out".to_owned());
        }
        Ok(())
    }
}
