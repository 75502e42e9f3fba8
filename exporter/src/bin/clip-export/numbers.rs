//! The arguments about number formats, calibration and the gate.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use clip_data::{Pictures, choose_lines};
use clip_exporter::compare::Samples;
use clip_exporter::{Dialect, Int8, Method, Numbers, Options, Tower};
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
    pub precision: Vec<PrecisionName>,

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
pub enum PrecisionName {
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

impl PrecisionName {
    /// As the command line calls it.
    pub fn name(self) -> &'static str {
        match self {
            PrecisionName::Fp32 => "fp32",
            PrecisionName::Fp16 => "fp16",
            PrecisionName::Int8 => "int8",
        }
    }
}

impl NumberArguments {
    /// The same for engines of TensorRT in `formats`.
    pub fn for_tensorrt(&mut self, formats: &[PrecisionName]) {
        if formats.contains(&PrecisionName::Int8) {
            self.dialect.get_or_insert(DialectName::Trt);
        }
        formats.clone_into(&mut self.precision);
    }

    /// Refuses what would have no effect: a user who calibrates and forgets to ask for int8 is not to get fp32.
    pub fn check(&self) -> Result<(), Usage> {
        let is = |precision| self.precision.contains(&precision);
        for (i, precision) in self.precision.iter().enumerate() {
            if self.precision[..i].contains(precision) {
                return Err(Usage(format!("--precision names {} twice", precision.name())));
            }
        }
        let int8 = is(PrecisionName::Int8);
        let narrow = int8 || is(PrecisionName::Fp16);
        let percentile = self.calibration_method == Some(MethodName::Percentile);
        let (fp16_int8, int8_alone) =
            (("fp16 and int8", "one with --precision", narrow), ("int8", "it with --precision int8", int8));
        let method = ("--calibration-method percentile", "that", percentile);
        let given = [
            ("--calibration-images", self.calibration_images.is_some(), fp16_int8),
            ("--calibration-texts", self.calibration_texts.is_some(), fp16_int8),
            ("--calibration-count", self.calibration_count.is_some(), fp16_int8),
            ("--min-cosine", self.thresholds.min_cosine.is_some(), fp16_int8),
            ("--min-mean-cosine", self.thresholds.min_mean_cosine.is_some(), fp16_int8),
            ("--min-top1", self.thresholds.min_top1.is_some(), fp16_int8),
            ("--calibration-method", self.calibration_method.is_some(), int8_alone),
            ("--percentile", self.percentile.is_some(), int8_alone),
            ("--smoothing", self.smoothing.is_some(), int8_alone),
            ("--dialect", self.dialect.is_some(), int8_alone),
            ("--percentile", self.percentile.is_some(), method),
        ];
        match given.into_iter().find(|(_, given, (_, _, asked_for))| *given && !asked_for) {
            Some((name, _, (about, what, _))) => {
                Err(Usage(format!("{name} is about {about}: ask for {what}, or leave it out")))
            }
            None => Ok(()),
        }
    }

    /// `options` in each of the number formats, with what the model has to reach in it.
    pub fn each(&self, options: &Options) -> Vec<Options> {
        let with_numbers = |precision: &PrecisionName| {
            let numbers = match precision {
                PrecisionName::Fp32 => Numbers::Fp32,
                PrecisionName::Fp16 => Numbers::Fp16,
                PrecisionName::Int8 => Numbers::Int8(self.int8()),
            };
            let thresholds = Some(self.thresholds.of(numbers.precision()));
            Options { numbers, thresholds, ..options.clone() }
        };
        self.precision.iter().map(with_numbers).collect()
    }

    fn int8(&self) -> Int8 {
        let usual = Int8::default();
        let method = match self.calibration_method {
            Some(MethodName::Percentile) => Method::Percentile(self.percentile.unwrap_or(PERCENTILE)),
            Some(MethodName::MinMax) => Method::MinMax,
            None => usual.method,
        };
        let dialect = match self.dialect {
            Some(DialectName::Trt) => Dialect::Trt,
            Some(DialectName::Cpu) => Dialect::Cpu,
            None => usual.dialect,
        };
        Int8 { method, smoothing: self.smoothing.unwrap_or(usual.smoothing), dialect }
    }

    /// The user's pictures and texts; None when there are none.
    pub fn samples(&self, preprocess: &Preprocess, only: Option<Tower>) -> anyhow::Result<Option<Samples>> {
        if self.calibration_images.is_none() && self.calibration_texts.is_none() {
            return Ok(None);
        }
        let count = self.calibration_count.map_or(COUNT, NonZeroUsize::get);
        // What the user does not give is made up; int8, which that would not do for, refuses what is empty.
        let mut samples = Samples::generated(preprocess)?;
        let int8 = self.precision.contains(&PrecisionName::Int8);
        match &self.calibration_images {
            Some(path) => samples.images = pictures(path, preprocess, count)?,
            None if int8 && only != Some(Tower::Text) => samples.images.clear(),
            None => {}
        }
        match &self.calibration_texts {
            Some(path) => samples.texts = choose_lines(&input::read_text(path)?, path, count)?,
            None if int8 && only != Some(Tower::Image) => samples.texts.clear(),
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
