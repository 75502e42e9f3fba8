//! The one error type of this crate.

use std::path::PathBuf;

use crate::location::Location;
use crate::skipped::Skipped;

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
    #[error("cannot read {shard}")]
    Read {
        /// The shard.
        shard: Location,
        /// The operating system's reason, or a server's.
        source: std::io::Error,
    },
    /// A shard is something else than a tar.
    #[error("{shard}: {reason}")]
    NotATar {
        /// The shard.
        shard: Location,
        /// What it is, and what to do.
        reason: String,
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
    /// Samples were waited for in vain, until [`crate::LoaderOptions::stop`] said to give up.
    #[error("reading the shards was stopped while samples were waited for")]
    Stopped,
    /// There are no shards to read.
    #[error("no shards were given: name at least one tar with pictures and captions")]
    NoShards,
    /// A shard is not a well-formed tar, or was cut.
    #[error("{shard}: {reason} (at byte {offset} of the unpacked archive, {sample})")]
    Shard {
        /// The shard.
        shard: Location,
        /// Where, counted in the archive after gzip.
        offset: u64,
        /// In or after which sample.
        sample: String,
        /// What is wrong.
        reason: String,
    },
    /// A shard holds no sample that can be used.
    #[error(
        "{shard} holds no sample with a picture and a caption ({unusable} had only one of them): {format}"
    )]
    EmptyShard {
        /// The shard.
        shard: Location,
        /// What a sample is in it.
        format: &'static str,
        /// Samples that were left out.
        unusable: u64,
    },
    /// A table has no column of a name, or cannot be read as one.
    #[error("{shard}: {reason}")]
    Table {
        /// The table.
        shard: Location,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// All shards of a pass over the data were skipped.
    #[error("none of the {count} shards could be read; the last one: {reason}")]
    AllBad {
        /// How many were tried.
        count: u64,
        /// Why the last one could not be read.
        reason: String,
    },
    /// More samples were left out than is allowed.
    #[error(
        "{skipped} of {met} samples had to be left out, more than the share of {limit} that max_skipped allows; {reasons}"
    )]
    TooManySkipped {
        /// Samples left out.
        skipped: u64,
        /// Samples met, those left out included.
        met: u64,
        /// The share that is allowed.
        limit: f64,
        /// Why they were left out, those of the shards that were only read to get to the start included.
        reasons: Skipped,
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
