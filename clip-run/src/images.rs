//! Image files, read a few at a time.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clip_model::{files, parallel, shown};
use clip_program::input;
use clip_runtime::{Clip, Image};

/// Images that are held at once.
pub const AT_ONCE: usize = 32;

/// Reads and decodes images in parallel, and resizes them to the model's input, so that large ones are not held.
/// What cannot be read is told to `report`, and is an error in its place.
pub fn read(clip: &Clip, paths: &[PathBuf], report: &dyn Fn(&str)) -> Vec<Result<Image>> {
    let read_one = |path: &PathBuf| read_one(clip, path);
    let images = parallel::each(paths.iter(), clip.threads().min(paths.len()).saturating_sub(1), read_one);
    for error in images.iter().filter_map(|image| image.as_ref().err()) {
        report(&format!("error: {error:#}"));
    }
    images
}

fn read_one(clip: &Clip, path: &Path) -> Result<Image> {
    let read = || -> Result<Image> {
        let decoded = clip.decode_image(&input::read(path, files::IMAGE_LIMIT)?)?;
        Ok(clip.manifest().preprocess.fit(&decoded)?)
    };
    read().with_context(|| shown(path).into_owned())
}
