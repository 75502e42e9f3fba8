//! Image files to embeddings: while some threads read and decode, others compute.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clip_model::{files, shown};
use clip_program::input;
use clip_runtime::{Clip, Error, Image};

use crate::in_order;

/// Images that all threads together read and then compute at once, and that each does at least: with fewer, the model's weights are read too often.
const AT_ONCE: usize = 32;
const AT_ONCE_AT_LEAST: usize = 8;

/// Images that follow one another.
pub struct Run<'a, R> {
    pub paths: &'a [PathBuf],
    /// What could be read of them, resized to the model's input.
    pub images: Vec<Result<Image>>,
    /// What was made of those.
    pub made: R,
}

/// Reads and decodes images in `clip`'s threads, and gives `take` what `make` makes of them, some at a time and in their order. What cannot be read is told to `report`
/// before that.
pub fn each<'a, R: Send>(
    clip: &Clip,
    paths: &'a [PathBuf],
    report: &dyn Fn(&str),
    make: impl Fn(&[Result<Image>]) -> Result<R> + Sync,
    mut take: impl FnMut(Run<'a, R>) -> Result<()>,
) -> Result<()> {
    let threads = clip.threads();
    let fixed = clip.manifest().image.as_ref().and_then(|encoder| encoder.batch);
    let most = fixed.unwrap_or((AT_ONCE / threads).max(AT_ONCE_AT_LEAST));
    let at_once = most.min(paths.len().div_ceil(threads)).max(1);
    let runs: Vec<(usize, &[PathBuf])> =
        paths.chunks(at_once).enumerate().map(|(run, paths)| (run * at_once, paths)).collect();
    let work = |&(first, paths): &(usize, &'a [PathBuf])| {
        let images: Vec<_> = paths.iter().map(|path| read(clip, path)).collect();
        let made = make(&images).map_err(|error| counted(error, first, &images))?;
        Ok(Run { paths, images, made })
    };
    in_order::each(&runs, threads - 1, work, |run: Result<Run<'a, R>>| {
        let run = run?;
        for error in run.images.iter().filter_map(|image| image.as_ref().err()) {
            report(&format!("error: {error:#}"));
        }
        take(run)
    })
}

/// The error that one of the images that could be read has caused tells its number among all of them: `images` are those from `first` on.
fn counted(mut error: anyhow::Error, first: usize, images: &[Result<Image>]) -> anyhow::Error {
    if let Some(Error::Embedding { row, .. }) = error.downcast_mut() {
        let mut read = images.iter().enumerate().filter(|(_, image)| image.is_ok());
        *row = first + read.nth(*row).map_or(*row, |(place, _)| place);
    }
    error
}

fn read(clip: &Clip, path: &Path) -> Result<Image> {
    let read = || -> Result<Image> {
        let decoded = clip.decode_image(&input::read(path, files::IMAGE_LIMIT)?)?;
        Ok(clip.manifest().preprocess.fit(&decoded)?)
    };
    read().with_context(|| shown(path).into_owned())
}
