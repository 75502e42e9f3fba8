//! The arguments about number formats, calibration and the gate.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use clip_exporter::gate::Thresholds;
use clip_exporter::int8::{Dialect, Method, Settings};
use clip_exporter::samples::{Pictures, Samples};
use clip_exporter::{Numbers, Only};
use clip_model::Preprocess;
use clip_model::preprocess::Image;
use clip_program::{Usage, input};

use crate::thresholds::ThresholdArguments;

/// Samples to take at most when nothing is said.
const COUNT: usize = 128;

/// Share of the numbers that the method percentile keeps when nothing is said, per cent.
const PERCENTILE: f32 = 99.99;

/// Number formats and how they are arrived at.
#[derive(Debug, Args)]
pub struct NumberArguments {
    /// Number format of weights and arithmetic; with several, FOLDER gets a model folder for each, named after it
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', default_value = "fp32")]
    pub precision: Vec<Precision>,

    /// Pictures like those that the model will see, to choose 8-bit ranges and to verify: a folder, or a tar file. int8 keeps
    /// one of four for verification. Needed for int8
    #[arg(long, value_name = "PATH")]
    calibration_images: Option<PathBuf>,

    /// Texts like those that the model will see, one a line. Needed for int8, unless the text encoder is left out
    #[arg(long, value_name = "FILE")]
    calibration_texts: Option<PathBuf>,

    /// Pictures and texts to take at most, evenly chosen [default: 128]
    #[arg(long, value_name = "N")]
    calibration_count: Option<NonZeroUsize>,

    /// How 8-bit ranges are chosen [default: min-max]
    #[arg(long, value_name = "METHOD")]
    calibration_method: Option<MethodName>,

    /// Share of the numbers that the method percentile keeps, per cent [default: 99.99]
    #[arg(long, value_name = "SHARE")]
    percentile: Option<f32>,

    /// How much of the range between channels int8 moves from activations into weights, 0 to 1 [default: 0.5]
    #[arg(long, value_name = "SHARE")]
    smoothing: Option<f32>,

    /// How int8 is written down, for the engine that will run it [default: cpu]
    #[arg(long, value_name = "DIALECT")]
    dialect: Option<DialectName>,

    #[command(flatten)]
    thresholds: ThresholdArguments,
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
    /// Refuses what would have no effect: a user who calibrates and forgets to ask for int8 is not to get fp32.
    pub fn check(&self) -> Result<(), Usage> {
        let is = |precision| self.precision.contains(&precision);
        for (i, precision) in self.precision.iter().enumerate() {
            if self.precision[..i].contains(precision) {
                return Err(Usage(format!("--precision names {} twice", precision.name())));
            }
        }
        let compared = [
            ("--calibration-images", self.calibration_images.is_some()),
            ("--calibration-texts", self.calibration_texts.is_some()),
            ("--calibration-count", self.calibration_count.is_some()),
            ("--min-cosine", self.thresholds.min_cosine.is_some()),
            ("--min-mean-cosine", self.thresholds.min_mean_cosine.is_some()),
            ("--min-top1", self.thresholds.min_top1.is_some()),
        ];
        let quantized = [
            ("--calibration-method", self.calibration_method.is_some()),
            ("--percentile", self.percentile.is_some()),
            ("--smoothing", self.smoothing.is_some()),
            ("--dialect", self.dialect.is_some()),
        ];
        if let Some((name, _)) =
            compared.iter().find(|(_, given)| *given && !is(Precision::Fp16) && !is(Precision::Int8))
        {
            return Err(Usage(format!(
                "{name} is about fp16 and int8: ask for one with --precision, or leave it out"
            )));
        }
        if let Some((name, _)) = quantized.iter().find(|(_, given)| *given && !is(Precision::Int8)) {
            return Err(Usage(format!(
                "{name} is about int8: ask for it with --precision int8, or leave it out"
            )));
        }
        if self.percentile.is_some() && self.calibration_method != Some(MethodName::Percentile) {
            let what = "--percentile is about --calibration-method percentile: ask for that, or leave it out";
            return Err(Usage(what.to_owned()));
        }
        Ok(())
    }

    /// The format itself.
    pub fn numbers(&self, precision: Precision) -> Numbers {
        let usual = Settings::default();
        let method = match self.calibration_method {
            None => usual.method,
            Some(MethodName::MinMax) => Method::MinMax,
            Some(MethodName::Percentile) => Method::Percentile(self.percentile.unwrap_or(PERCENTILE)),
        };
        let dialect = match self.dialect {
            None => usual.dialect,
            Some(DialectName::Cpu) => Dialect::Cpu,
            Some(DialectName::Trt) => Dialect::Trt,
        };
        let smoothing = self.smoothing.unwrap_or(usual.smoothing);
        match precision {
            Precision::Fp32 => Numbers::Fp32,
            Precision::Fp16 => Numbers::Fp16,
            Precision::Int8 => Numbers::Int8(Settings { method, smoothing, dialect }),
        }
    }

    /// What the model has to reach.
    pub fn thresholds(&self, numbers: Numbers) -> Thresholds {
        self.thresholds.of(numbers.precision())
    }

    /// The user's pictures and texts; None when there are none.
    pub fn samples(&self, preprocess: &Preprocess, only: Option<Only>) -> anyhow::Result<Option<Samples>> {
        if self.calibration_images.is_none() && self.calibration_texts.is_none() {
            return Ok(None);
        }
        let count = self.calibration_count.map_or(COUNT, NonZeroUsize::get);
        // What the user does not give is made up; int8, which that would not do for, refuses what is empty.
        let mut samples = Samples::generated(preprocess)?;
        let int8 = self.precision.contains(&Precision::Int8);
        match &self.calibration_images {
            Some(path) => samples.images = pictures(path, preprocess, count)?,
            None if int8 && only != Some(Only::Text) => samples.images.clear(),
            None => {}
        }
        match &self.calibration_texts {
            Some(path) => samples.texts = Samples::choose_texts(&input::read_text(path)?, path, count)?,
            None if int8 && only != Some(Only::Visual) => samples.texts.clear(),
            None => {}
        }
        Ok(Some(samples))
    }
}

/// [`Pictures::read`]; what was left out is said on standard error.
pub fn pictures(path: &Path, preprocess: &Preprocess, count: usize) -> anyhow::Result<Vec<Image>> {
    let pictures = Pictures::read(path, preprocess, count)?;
    if let Some(note) = pictures.note() {
        clip_program::note(&note);
    }
    Ok(pictures.images)
}
