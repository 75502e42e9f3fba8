//! The one error type of this crate.

use std::path::PathBuf;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong in an export.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The checkpoint or the file system.
    #[error(transparent)]
    Model(#[from] clip_model::Error),
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
    /// The exported model does not run, or gives what is no embedding: it was not kept.
    #[error("the exported model failed its trial run and was not kept")]
    Trial(#[source] clip_runtime::Error),
    /// The same, found by another process.
    #[error("the exported model failed its trial run and was not kept: {0}")]
    TrialApart(String),
    /// The model did not run on the inputs it was to be calibrated on.
    #[error("the model cannot be calibrated")]
    Calibration(#[source] clip_runtime::Error),
    /// Calibration met a number that is infinite or none at all.
    #[error("the model cannot be calibrated: its value {value} is not finite")]
    NotFinite {
        /// Name of the value in the graph.
        value: String,
    },
}
