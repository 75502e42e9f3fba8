//! The one error type of this crate.

use std::path::PathBuf;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in `clip-data`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that cannot be opened, a picture that cannot be decoded or preprocessed.
    #[error(transparent)]
    Model(#[from] clip_model::Error),
    /// A shard could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The shard.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// Options of a loader or an augmentation are out of their range.
    #[error("{0}")]
    Options(String),
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
    /// A folder or file holds no pictures or texts that can be used.
    #[error("no samples from {}: {reason}", path.display())]
    NoSamples {
        /// The folder or file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
}
