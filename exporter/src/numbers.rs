//! The arguments about number formats, calibration and the gate.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, ValueEnum};
use clip_exporter::int8::{Dialect, Method, Settings};
use clip_exporter::samples::Samples;
use clip_exporter::verify::Thresholds;
use clip_exporter::{Numbers, Only};
use clip_model::Preprocess;
use clip_program::input;

/// Number formats and how they are arrived at.
#[derive(Debug, Args)]
pub struct NumberArguments {
    /// Number format of weights and arithmetic; with several, FOLDER gets a model folder for each, named after it
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', default_value = "fp32")]
    pub precision: Vec<Precision>,

    /// Pictures like those that the model will see, to choose 8-bit ranges and to verify: a folder, or a tar file. One of
    /// four is kept for verification. Needed for int8
    #[arg(long, value_name = "PATH")]
    calibration_images: Option<PathBuf>,

    /// Texts like those that the model will see, one a line. Needed for int8, unless the text encoder is left out
    #[arg(long, value_name = "FILE")]
    calibration_texts: Option<PathBuf>,

    /// Pictures and texts to take at most, evenly chosen
    #[arg(long, value_name = "N", default_value_t = 128)]
    calibration_count: usize,

    /// How 8-bit ranges are chosen
    #[arg(long, value_name = "METHOD", default_value = "min-max")]
    calibration_method: MethodName,

    /// Share of the numbers that the method percentile keeps, per cent
    #[arg(long, value_name = "SHARE", default_value_t = 99.99)]
    percentile: f32,

    /// How much of the range between channels int8 moves from activations into weights, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    smoothing: f32,

    /// How int8 is written down, for the engine that will run it
    #[arg(long, value_name = "DIALECT", default_value = "cpu")]
    dialect: DialectName,

    /// Refuse the export when any image or text has a lower cosine to its embedding in fp32
    /// [default: 0.999 for fp16, 0.95 for int8]
    #[arg(long, value_name = "COSINE")]
    min_cosine: Option<f32>,

    /// Refuse the export when the mean of these cosines is lower; products stay in float until int8 reaches it
    /// [default: 0.9995 for fp16, 0.99 for int8]
    #[arg(long, value_name = "COSINE")]
    min_mean_cosine: Option<f32>,

    /// Refuse the export when a smaller share of the pictures keeps its nearest label
    /// [default: 0.95 for fp16, 0.9 for int8]
    #[arg(long, value_name = "SHARE")]
    min_top1: Option<f32>,
}

/// A number format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// IEEE single precision
    Fp32,
    /// IEEE half precision, single where half would overflow or lose
    Fp16,
    /// 8-bit integers, float where integers would lose
    Int8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MethodName {
    /// Everything that was seen
    MinMax,
    /// All but the outermost numbers, see --percentile
    Percentile,
    /// Lowest Kullback-Leibler divergence
    Entropy,
    /// Lowest mean squared error
    Mse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DialectName {
    /// Unsigned activations, integer biases: ONNX Runtime and OpenVINO
    Cpu,
    /// Symmetric activations, float biases: TensorRT
    Trt,
}

impl Precision {
    /// As the command line calls it.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Fp32 => "fp32",
            Precision::Fp16 => "fp16",
            Precision::Int8 => "int8",
        }
    }
}

impl NumberArguments {
    /// The format itself.
    pub fn numbers(&self, precision: Precision) -> Numbers {
        let method = match self.calibration_method {
            MethodName::MinMax => Method::MinMax,
            MethodName::Percentile => Method::Percentile(self.percentile),
            MethodName::Entropy => Method::Entropy,
            MethodName::Mse => Method::Mse,
        };
        let dialect = match self.dialect {
            DialectName::Cpu => Dialect::Cpu,
            DialectName::Trt => Dialect::Trt,
        };
        match precision {
            Precision::Fp32 => Numbers::Fp32,
            Precision::Fp16 => Numbers::Fp16,
            Precision::Int8 => Numbers::Int8(Settings { method, smoothing: self.smoothing, dialect }),
        }
    }

    /// What the model has to reach.
    pub fn thresholds(&self, numbers: Numbers) -> Thresholds {
        let usual = Thresholds::of(numbers.precision());
        Thresholds {
            min_cosine: self.min_cosine.unwrap_or(usual.min_cosine),
            mean_cosine: self.min_mean_cosine.unwrap_or(usual.mean_cosine),
            top1: self.min_top1.unwrap_or(usual.top1),
        }
    }

    /// The user's pictures and texts; None when there are none.
    pub fn samples(&self, preprocess: &Preprocess, only: Option<Only>) -> anyhow::Result<Option<Samples>> {
        if self.calibration_images.is_none() && self.calibration_texts.is_none() {
            return Ok(None);
        }
        if self.calibration_count == 0 {
            bail!("--calibration-count 0 leaves nothing to calibrate on: choose 2 or more");
        }
        // What the user does not give is made up, where that is allowed.
        let mut samples = Samples::generated(preprocess)?;
        match &self.calibration_images {
            Some(path) => samples.images = Samples::read_images(path, preprocess, self.calibration_count)?,
            None if only != Some(Only::Text) && self.precision.contains(&Precision::Int8) => {
                samples.images.clear()
            }
            None => {}
        }
        match &self.calibration_texts {
            Some(path) => {
                let text = input::read_text(path)?;
                let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
                let taken = lines.len().min(self.calibration_count);
                samples.texts = (0..taken).map(|i| lines[i * lines.len() / taken].to_owned()).collect();
            }
            None if only != Some(Only::Visual) && self.precision.contains(&Precision::Int8) => {
                samples.texts.clear()
            }
            None => {}
        }
        Ok(Some(samples))
    }
}
