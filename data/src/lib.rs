//! Pictures with texts, as CLIP is trained, calibrated and measured on them; without any engine.
//!
//! [`Loader`] turns a [`DataSet`] into an endless iterator of [`Batch`]es: streamed, shuffled from a seed, decoded and
//! augmented in threads. Its order, captions and augmentations depend on the seed and the position alone, so that any
//! number of threads gives the same batches, and a run that is resumed at a [`Batch::position`] goes on as if it had never
//! stopped. [`samples`] gives the samples of shards once, in order; [`Pictures`] those of a folder or a tar. [`Share`] and
//! [`ranking`] are what measurements are told in.
//!
//! A shard is at a [`Location`]; a WebDataset tar as a rule, or a folder or table. [`expand`] reads lists of them, and [`fingerprint()`]
//! tells whether they are what they were.

pub mod augment;
mod byte_stream;
mod cache;
mod captions;
mod content;
mod dataset;
mod distinct;
mod error;
mod fields;
pub mod fingerprint;
mod format;
mod lengths;
mod loader;
mod location;
mod mixture;
mod options;
mod pass;
mod pattern;
mod pictures;
mod pool;
mod random;
pub mod ranking;
#[cfg(feature = "remote")]
mod remote;
mod sample;
mod samples;
mod share;
mod skipped;
mod stream;
mod tally;
mod walk;
mod warnings;
mod word;
mod worker;

pub use augment::Augment;
pub use captions::{choose_lines, read_captions};
pub use dataset::{DataSet, Source};
pub use distinct::Distinct;
pub use error::{Error, Result};
pub use fields::{CaptionSource, Fields};
pub use fingerprint::fingerprint;
pub use lengths::Lengths;
pub use loader::{Batch, Loader, Supply};
pub use location::Location;
pub use options::LoaderOptions;
pub use pattern::{expand, parse_list};
pub use pictures::Pictures;
pub use sample::Sample;
pub use samples::{Samples, check_shards, check_shards_with, samples};
pub use share::Share;
pub use skipped::{SkipReason, Skipped};
pub use warnings::Warn;
