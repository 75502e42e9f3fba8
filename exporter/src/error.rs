//! The one error type of this crate.

use std::fmt;
use std::path::PathBuf;

use clip_model::excerpt;
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
    /// A model of that name is in the model repository already.
    #[error(
        "{} {}", model.display(),
        if *ours { "exists already" } else { "is not replaced: its configuration was not written by this exporter" }
    )]
    TritonModel {
        /// The model's folder.
        model: PathBuf,
        /// Whether it would be replaced if that was asked for.
        ours: bool,
    },
    /// A model's name of which nothing can be in a URL.
    #[error("the models of {name:?} need a name of Latin letters or digits, in a model repository")]
    TritonName {
        /// The name.
        name: String,
    },
    /// A model repository inside a model folder, or the other way round.
    #[error("the model repository {} and the model folder {} must not lie in each other", repository.display(), folder.display())]
    TritonNested {
        /// The repository.
        repository: PathBuf,
        /// The folder.
        folder: PathBuf,
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
    /// A classifier's label that is no line of text.
    #[error(
        "label {} is {:?}, and a classifier's labels are also written as lines: it needs one that is not empty and has no line break",
        index + 1, excerpt(label)
    )]
    Label {
        /// Its place in the list, from 0.
        index: usize,
        /// The label.
        label: String,
    },
    /// The classifier that was exported gives other probabilities than the encoder and the labels that it is made of.
    #[error(
        "the classifier was not kept: it gives {} for label {}, where encoder and labels give {expected}",
        found.map_or_else(|| "no number".to_owned(), |found| found.to_string()), index + 1
    )]
    Classifier {
        /// The label's place in the list, from 0.
        index: usize,
        /// The classifier's probability; None where that is no number.
        found: Option<f32>,
        /// The runtime's.
        expected: f32,
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
    /// A camera, and the text tower alone.
    #[error("a camera's graph is made of the image encoder, which is left out")]
    CameraOfTexts,
    /// An engine of TensorRT, of 8-bit integers as CPUs want them.
    #[error("TensorRT takes symmetric 8-bit integers alone, and these are written for CPUs")]
    PlanOfCpuIntegers,
    /// Engines of none of the encoders that are exported.
    #[error("engines were asked for of an encoder that is left out")]
    PlanOfNothing,
    /// The program `trtexec`, and TensorRT-RTX.
    #[error("trtexec builds with TensorRT, not with TensorRT-RTX")]
    TrtexecRtx,
    /// A classifier, and no labels.
    #[error("a classifier is of stored labels, and there are none")]
    ClassifierOfNothing,
    /// A classifier that takes something else than the packed bytes that its image encoder takes.
    #[error("a classifier is made of the image encoder, and that takes packed bytes")]
    ClassifierOfBytes,
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
