//! How every command opens the model folder.

use std::path::Path;

use clap::builder::RangedU64ValueParser;
use clip_runtime::{Clip, MAX_THREADS, Options, Result};

/// Options of every command.
#[derive(clap::Args)]
pub struct ModelOptions {
    /// Threads to compute with [default: one for each physical core]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=MAX_THREADS as u64))]
    threads: Option<usize>,
    /// Pixels of the largest image to decode, where that is fewer than the model folder allows
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    max_pixels: Option<u64>,
    /// Hash only files of the folder that changed since they were last found whole with this option; what was found is
    /// kept in the folder, or in the user's cache folder
    #[arg(long)]
    trust_unchanged: bool,
}

impl ModelOptions {
    /// Opens `folder` as they say.
    pub fn open(&self, folder: &Path) -> Result<Clip> {
        let options = Options::new()
            .threads(self.threads)
            .max_pixels(self.max_pixels)
            .trust_unchanged(self.trust_unchanged);
        Clip::open_with(folder, &options)
    }
}
