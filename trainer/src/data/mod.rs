//! Training data: WebDataset shards to batches, streamed, shuffled from a seed, decoded in threads.
//!
//! [`Loader`] is an endless iterator of [`Batch`]es. Its order, captions and augmentations depend on the seed and the
//! position alone, so that any number of threads gives the same batches, and a run that is resumed at a
//! [`Batch::position`] goes on as if it had never stopped.

pub mod augment;
mod cache;
mod loader;
mod names;
mod random;
mod sample;
mod shard;
mod stream;
mod warnings;
mod worker;

pub use augment::Augment;
pub use loader::{Batch, Loader, LoaderOptions};
pub use names::expand;
pub use sample::{Sample, Samples, check_shards, read_captions, samples};
