//! The one error type of this crate.

use std::fmt;
use std::path::PathBuf;

use clip_model::manifest::Precision;
use serde::{Serialize, Serializer};

use crate::tower::Tower;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in an export.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system, or what a model is.
    #[error(transparent)]
    Model(#[from] clip_model::Error),
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] clip_checkpoint::Error),
    /// The model folder is there already and was not to be replaced.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// What was to be replaced is no model folder, or one that this version does not read.
    #[error("{} is not replaced: it is no model folder that this version reads", folder.display())]
    NotAModelFolder {
        /// The folder.
        folder: PathBuf,
        /// What is missing, or unknown.
        source: clip_model::Error,
    },
    /// What was to be replaced holds more than a model.
    #[error("{} is not replaced: it holds {}, which is no part of the model", folder.display(), file.display())]
    ForeignFile {
        /// The folder.
        folder: PathBuf,
        /// The name of a file in it that would be lost.
        file: PathBuf,
    },
    /// What was to be replaced was not written for another program, or by a version that this one does not know.
    #[error("{} is not replaced: it is no folder that was written here for another program", folder.display())]
    NotLaidOut {
        /// The folder.
        folder: PathBuf,
        /// What is missing, or unknown.
        source: clip_model::Error,
    },
    /// Another program cannot run this model.
    #[error("{program} cannot run this model: {reason}")]
    Unsuited {
        /// The program.
        program: &'static str,
        /// What it does otherwise.
        reason: &'static str,
    },
    /// A graph for another program gives something else than the verified one that it was made of.
    #[error(
        "the folder was not kept: {file} gives {}",
        difference.map_or_else(
            || "what is no number".to_owned(),
            |difference| format!("numbers that are {difference:e} from those of the model that was verified")
        )
    )]
    Laid {
        /// The graph's path in the folder.
        file: String,
        /// The largest difference; None where one is no number.
        difference: Option<f32>,
    },
    /// Options contradict each other.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A number among the options is out of range.
    #[error("{what} is not supported: choose {allowed}")]
    Range {
        /// The number, and what it is.
        what: String,
        /// What may be chosen.
        allowed: String,
    },
    /// There are not enough samples for 8-bit integers: calibration must not see what verification does.
    #[error(
        "int8 needs {} like those it will see, {needed} at least, to calibrate on and to verify with, and {}",
        tower.takes(),
        match found { 0 => "none are there".to_owned(), n => format!("{n} is there") }
    )]
    FewSamples {
        /// The tower that they would be for.
        tower: Tower,
        /// How many there are.
        found: usize,
        /// How many are needed.
        needed: usize,
    },
    /// A file of the model folder could not be written, for want of space, say, or because a tensor of the
    /// checkpoint is in a number format that is not supported.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The label set could not be encoded.
    #[error("the labels could not be encoded")]
    Labels(#[source] clip_runtime::Error),
    /// The same, found by another process.
    #[error("the labels could not be encoded: {0}")]
    LabelsApart(String),
    /// A model does not run, or gives what is no embedding. One that was being exported is not kept.
    #[error("the model failed its trial run")]
    Trial(#[source] clip_runtime::Error),
    /// The same, found by another process.
    #[error("the model failed its trial run: {0}")]
    TrialApart(String),
    /// A number that the model computes is beyond half precision: it was not kept.
    #[error(
        "the exported fp16 model was not kept: float16 ends at 65504, and its node {value}{} in {file} gives {number}",
        behind.as_ref().map_or_else(String::new, |tensor| format!(" (behind {tensor})"))
    )]
    Overflow {
        /// The graph's file.
        file: String,
        /// Name of the value in it.
        value: String,
        /// The checkpoint's tensor that was last read before.
        behind: Option<String>,
        /// The number, found in single precision.
        number: f32,
    },
    /// The model did not run on the inputs it was to be calibrated on.
    #[error("the model cannot be calibrated")]
    Calibration(#[source] clip_runtime::Error),
    /// An engine could not be built.
    #[error("the engine could not be built")]
    Plan(#[source] clip_runtime::Error),
    /// The same, found by another process.
    #[error("the engine could not be built: {0}")]
    PlanApart(String),
    /// The program `trtexec` did not build an engine.
    #[error("{} {reason}", program.display())]
    Trtexec {
        /// The program.
        program: PathBuf,
        /// Its own words.
        reason: String,
    },
    /// Calibration met a number that is infinite or none at all.
    #[error("the model cannot be calibrated: its value {value} is not finite")]
    NotFinite {
        /// Name of the value in the graph.
        value: String,
    },
    /// The exported model is too far from the checkpoint in single precision: it was not kept.
    #[error("the exported {} model was not kept: {}", precision.name(), texts(failures).join("; "))]
    Gate {
        /// Its number format.
        precision: Precision,
        /// What it missed.
        failures: Vec<Missed>,
    },
}

/// Options that contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A combined graph, and one tower alone.
    #[error("a combined graph has both encoders")]
    CombinedAlone,
    /// A combined graph, and 8-bit integers.
    #[error("a combined graph is not quantized")]
    CombinedInt8,
    /// Something that has no place in a folder for another program.
    #[error("a folder for another program has no place for {0}")]
    NotLaidOut(&'static str),
    /// Packed bytes as the input of images, and the text tower alone.
    #[error("packed bytes are for the image encoder, which is left out")]
    BytesOfTexts,
    /// Stored labels, and the text tower alone.
    #[error("labels are compared with images, whose encoder is left out")]
    LabelsOfTexts,
    /// An engine of TensorRT, of 8-bit integers as CPUs want them.
    #[error("TensorRT takes symmetric 8-bit integers alone, and these are written for CPUs")]
    PlanOfCpuIntegers,
    /// The program `trtexec`, and TensorRT-RTX.
    #[error("trtexec builds with TensorRT, not with TensorRT-RTX")]
    TrtexecRtx,
}

/// A figure below what was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Missed {
    /// What was measured.
    pub what: String,
    /// The figure; no number where the model gave none.
    pub found: f32,
    /// What it had to be at least.
    pub least: f32,
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, at least {} was asked for", self.what, self.found, self.least)
    }
}

/// In words, for people.
impl Serialize for Missed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn texts(failures: &[Missed]) -> Vec<String> {
    failures.iter().map(Missed::to_string).collect()
}
