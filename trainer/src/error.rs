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
    /// The shards: one is missing or broken, or has no picture that can be decoded.
    #[error(transparent)]
    Data(#[from] clip_data::Error),
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
    /// The settings file is not understood or contradicts itself.
    #[error("{0}")]
    Settings(String),
    /// No picture of a shard can be validated on.
    #[error("{} has no picture to validate on ({skipped})", path.display())]
    NoPicture {
        /// The shard.
        path: PathBuf,
        /// What is wrong with its samples.
        skipped: clip_data::Skipped,
    },
    /// A tensor has another size than the network's.
    #[error("{name} has {found} values, expected {expected}")]
    Size {
        /// The tensor.
        name: String,
        /// Its values.
        found: usize,
        /// Those of the network's.
        expected: usize,
    },
    /// A new run was to begin in a folder that holds one.
    #[error("{}: there is a run in this folder already", .0.display())]
    RunExists(PathBuf),
    /// A run was to be resumed in a folder that holds none.
    #[error("{}: there is no training state to resume from", .0.display())]
    NoRun(PathBuf),
    /// The output folder cannot be used.
    #[error("{}: {reason}", path.display())]
    Folder {
        /// The output folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A run was to be resumed with other settings than it was started with, and not all were asked for.
    #[error(
        "{} was started with other settings, so resuming would give another run: {difference}; go back to these \
         settings, or start anew in another folder", path.display()
    )]
    SettingsChanged {
        /// The output folder.
        path: PathBuf,
        /// The fields that differ, with both values.
        difference: String,
        /// Their names, with commas between: what has to be asked for.
        names: String,
    },
    /// A run was to be resumed with something else that its weights cannot do without.
    #[error(
        "{} cannot change what its weights were made for: {difference}; go back to these settings, or start a new run \
         from its checkpoint", path.display()
    )]
    Fixed {
        /// The output folder.
        path: PathBuf,
        /// The fields that differ, with both values.
        difference: String,
    },
    /// The run was asked to stop, and has saved.
    #[error("stopped after step {step} of {steps}, which is saved")]
    Stopped {
        /// Steps done.
        step: u64,
        /// Those of the schedule.
        steps: u64,
    },
    /// A validation was asked to stop.
    #[error("the validation was asked to stop")]
    Interrupted,
    /// A run was to start from a checkpoint of another network than the settings describe.
    #[error(
        "the checkpoint {} is not the network of [model]: {differences}; leave out of [model] what the checkpoint says itself, or \
         start from another one", path.display()
    )]
    OtherNetwork {
        /// The checkpoint.
        path: PathBuf,
        /// What differs, with both values.
        differences: String,
    },
    /// A checkpoint to start from is neither here nor on the hub.
    #[error("{name} is no file or folder here, and cannot be had as a model of the hub")]
    NoCheckpoint {
        /// As it was called.
        name: String,
        /// Why the hub does not give it.
        source: clip_checkpoint::Error,
    },
    /// The device cannot be used.
    #[error("device {device}: {reason}")]
    Device {
        /// Its name.
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
    /// An [`Error::Folder`] for `path`.
    pub(crate) fn folder(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Error::Folder { path: path.into(), reason: reason.into() }
    }

    /// An [`Error::Io`] for `path`.
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Error::Io { action, path: path.into(), source }
    }
}
