//! The one error type of this crate.

use std::path::PathBuf;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong in `clip-trainer`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something about the model: its configuration, the tokenizer.
    #[error(transparent)]
    Model(#[from] clip_model::Error),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] clip_checkpoint::Error),
    /// A file could not be opened, read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted: `open`, `read`, `write`, `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The training data cannot be used: a truncated tar, no samples, no decodable picture.
    #[error("training data: {0}")]
    Data(String),
    /// A name with braces stands for no list of shards.
    #[error("cannot expand `{pattern}`: {reason}")]
    Pattern {
        /// The name as given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There are no shards to read.
    #[error("no shards were given: name at least one tar with pictures and captions")]
    NoShards,
    /// A shard is not a well-formed tar, or was cut.
    #[error("{}: {reason} (at byte {offset} of the unpacked archive, {sample})", path.display())]
    Shard {
        /// The shard.
        path: PathBuf,
        /// Where, counted in the archive after gzip.
        offset: u64,
        /// In or after which sample.
        sample: String,
        /// What is wrong.
        reason: String,
    },
    /// A shard holds no sample that can be used.
    #[error(
        "{} holds no sample with a picture and a caption ({unusable} had only one of them): the files of a sample lie \
         next to each other and share their name up to the first dot, as in a.jpg, a.txt", path.display()
    )]
    EmptyShard {
        /// The shard.
        path: PathBuf,
        /// Samples that were left out.
        unusable: u64,
    },
    /// In a whole pass over the data no picture could be decoded.
    #[error("none of the {count} pictures could be decoded; the last one, `{key}`: {reason}")]
    Undecodable {
        /// How many were tried.
        count: u64,
        /// Key of the last one.
        key: String,
        /// Why it could not be decoded.
        reason: String,
    },
    /// A thread of the loader panicked; a bug.
    #[error("a thread that prepares the training data stopped at {at}: {reason}")]
    Worker {
        /// The shard and sample it had in hand.
        at: String,
        /// Its message.
        reason: String,
    },
    /// The settings file is not understood or contradicts itself.
    #[error("{0}")]
    Settings(String),
    /// The output folder is not in the state that the command line asks for.
    #[error("{}: {reason}", path.display())]
    Folder {
        /// The output folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A run was to be resumed with other settings than it was started with.
    #[error(
        "{} was started with other settings, so resuming would give another run: {difference}; go back to these \
         settings, or start anew in another folder", path.display()
    )]
    SettingsChanged {
        /// The output folder.
        path: PathBuf,
        /// The fields that differ, with both values.
        difference: String,
    },
    /// The device cannot be used.
    #[error("device {device}: {reason}")]
    Device {
        /// As given on the command line.
        device: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The loss or a gradient became infinite or not a number.
    #[error(
        "step {step}: {what}; the last checkpoint is kept. Try a lower lr, a longer warmup, or clip = 1.0 in [optim], and \
         precision = \"fp32\" if it was bf16"
    )]
    NotFinite {
        /// The step, counted from 1.
        step: u64,
        /// Which quantity, and its value.
        what: String,
    },
    /// libtorch refused an operation, for want of memory as a rule.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}

impl Error {
    /// An [`Error::Io`] for `path`.
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Error::Io { action, path: path.into(), source }
    }
}
