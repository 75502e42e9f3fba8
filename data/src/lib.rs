//! Pictures with texts, as CLIP is trained, calibrated and measured on them; without any engine.
//!
//! [`Loader`] turns WebDataset shards into an endless iterator of [`Batch`]es: streamed, shuffled from a seed, decoded and
//! augmented in threads. Its order, captions and augmentations depend on the seed and the position alone, so that any
//! number of threads gives the same batches, and a run that is resumed at a [`Batch::position`] goes on as if it had never
//! stopped. [`samples`] gives the samples of shards once, in order; [`Pictures`] those of a folder or a tar. [`Share`] and
//! [`ranking`] are what measurements are told in.

pub mod augment;
mod cache;
mod captions;
mod distinct;
mod error;
mod loader;
mod options;
mod pattern;
mod pictures;
mod pool;
mod random;
pub mod ranking;
mod sample;
mod samples;
mod shard;
mod share;
mod skipped;
mod stream;
mod warnings;
mod worker;

pub use augment::Augment;
pub use captions::{choose_lines, read_captions};
pub use distinct::Distinct;
pub use error::{Error, Result};
pub use loader::{Batch, Loader};
pub use options::LoaderOptions;
pub use pattern::expand;
pub use pictures::Pictures;
pub use sample::Sample;
pub use samples::{Samples, check_shards, samples};
pub use share::Share;
pub use skipped::{SkipReason, Skipped};
pub use warnings::Warn;
