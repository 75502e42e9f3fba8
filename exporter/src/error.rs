//! The one error type of this crate.

use std::path::PathBuf;

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
    #[error("{} exists already: name another folder, or replace it with --force", .0.display())]
    Exists(PathBuf),
    /// What was to be replaced is no model folder.
    #[error("{} is not replaced: it has no {} of this version and so is no model folder", .0.display(), clip_model::manifest::FILE)]
    NotAModelFolder(PathBuf),
    /// What was to be replaced holds more than a model.
    #[error("{} is not replaced: it holds {}, which is no part of the model", folder.display(), file.display())]
    ForeignFile {
        /// The folder.
        folder: PathBuf,
        /// The name of a file in it that would be lost.
        file: PathBuf,
    },
    /// Options contradict each other, or a number is out of range.
    #[error("{0}")]
    Options(String),
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
        "the exported fp16 model was not kept: float16 ends at 65504, and its node {value}{} in {file} gives {number}: export it with --precision fp32 or int8",
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
    /// Calibration met a number that is infinite or none at all.
    #[error("the model cannot be calibrated: its value {value} is not finite")]
    NotFinite {
        /// Name of the value in the graph.
        value: String,
    },
    /// Samples could not be read.
    #[error("no samples from {}: {reason}", path.display())]
    Samples {
        /// The folder or file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The exported model is too far from the checkpoint in single precision: it was not kept.
    #[error("the exported {} model was not kept: {}", .0.precision.name(), .0.failures.join("; "))]
    Gate(Box<crate::gate::Report>),
}
