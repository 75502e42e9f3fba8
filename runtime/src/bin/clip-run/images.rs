//! Image files, read a few at a time.

use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result};
use clip_model::files;
use clip_program::input;
use clip_runtime::{Clip, Image};

/// Images that are held at once.
pub const AT_ONCE: usize = 32;

/// Reads and decodes images in parallel, and resizes them to the model's input, so that large ones are not held.
/// What cannot be read is told to `report`, and is an error in its place.
pub fn read(clip: &Clip, paths: &[PathBuf], report: &dyn Fn(&str)) -> Vec<Result<Image>> {
    let share = paths.len().div_ceil(clip.threads()).max(1);
    let images: Vec<Result<Image>> = thread::scope(|scope| {
        let threads: Vec<_> = paths
            .chunks(share)
            .map(|paths| scope.spawn(move || paths.iter().map(|path| read_one(clip, path)).collect()))
            .collect();
        let join = |t: thread::ScopedJoinHandle<Vec<_>>| {
            t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().flat_map(join).collect()
    });
    for error in images.iter().filter_map(|image| image.as_ref().err()) {
        report(&format!("error: {error:#}"));
    }
    images
}

fn read_one(clip: &Clip, path: &Path) -> Result<Image> {
    let read = || -> Result<Image> {
        let encoded = input::read(path, files::IMAGE_LIMIT)?;
        let preprocess = &clip.manifest().preprocess;
        Ok(preprocess.fit(&preprocess.decode(&encoded)?)?)
    };
    read().with_context(|| path.display().to_string())
}
