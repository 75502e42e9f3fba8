//! Image files, read a few at a time.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, ensure};
use clip_runtime::{Clip, Image};

/// Images that are held at once.
pub const AT_ONCE: usize = 32;

/// The path that stands for standard input.
const STDIN: &str = "-";

/// Standard input can be read once.
pub fn check_paths(paths: &[PathBuf]) -> Result<()> {
    let stdin = paths.iter().filter(|path| path.as_os_str() == STDIN).count();
    ensure!(stdin <= 1, "\"{STDIN}\" (standard input) is named {stdin} times; it can be read once");
    Ok(())
}

/// Reads and decodes images in parallel, and resizes them to the model's input, so that large ones are not held.
/// What cannot be read is reported on standard error, and is an error in its place.
pub fn read(clip: &Clip, paths: &[PathBuf]) -> Vec<Result<Image>> {
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
        eprintln!("error: {error:#}");
    }
    images
}

fn read_one(clip: &Clip, path: &Path) -> Result<Image> {
    let read = || -> Result<Image> {
        let mut encoded = Vec::new();
        if path.as_os_str() == STDIN {
            std::io::stdin().read_to_end(&mut encoded)?;
        } else {
            std::fs::File::open(path)?.read_to_end(&mut encoded)?;
        }
        let preprocess = &clip.manifest().preprocess;
        Ok(preprocess.fit(&preprocess.decode(&encoded)?))
    };
    read().with_context(|| path.display().to_string())
}
