//! Times one model folder on request, for tests/bench/compare.py, tests/bench/serve.py and tests/gpu/speed.py.
//!
//!     time_runtime DIR THREADS [ENGINE DEVICE] < requests > replies
//!
//! Each line of the requests is `{"images": N}` (N pictures of the tower's size through preprocessing and the image
//! tower), `{"texts": [TEXT...]}` (through the tokenizer and the text tower), `{"file": PATH}` (decoded, resized,
//! cropped and normalised) or `{"embed": PATH}` (the same, and through the image tower). Each line of the replies is the time that took, in seconds. ENGINE and DEVICE are clip-run's
//! `--engine` and `--device`.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clip_runtime::{Clip, Device, EngineKind, Image, Options};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Request {
    Images(usize),
    Texts(Vec<String>),
    File(PathBuf),
    Embed(PathBuf),
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: time_runtime DIR THREADS [ENGINE DEVICE] < requests > replies";
    let folder = arguments.next().context(usage)?;
    let threads = arguments.next().context(usage)?.parse::<usize>()?;
    let mut options = Options::new().threads(threads);
    if let Some(engine) = arguments.next() {
        let device = arguments.next().context(usage)?;
        options = options.engine(engine.parse::<EngineKind>()?).device(device.parse::<Device>()?);
    }
    let clip = Clip::open_with(folder, &options)?;
    let preprocess = &clip.manifest().preprocess;
    let size = preprocess.size;

    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let seconds = match serde_json::from_str(&line?)? {
            Request::Images(count) => {
                let pixels = |n: usize| (0..size * size * 3).map(|i| (i * 31 + n * 97) as u8).collect();
                let images: Result<Vec<Image>, _> =
                    (0..count).map(|n| Image::new(size, size, pixels(n))).collect();
                let images = images?;
                let started = Instant::now();
                clip.encode_images(&images)?;
                started.elapsed()
            }
            Request::Texts(texts) => {
                let started = Instant::now();
                clip.encode_texts(&texts)?;
                started.elapsed()
            }
            Request::File(path) => {
                let mut input = vec![0.0; 3 * size * size];
                let started = Instant::now();
                preprocess.apply(&preprocess.open(&path)?, &mut input)?;
                started.elapsed()
            }
            Request::Embed(path) => {
                let started = Instant::now();
                clip.encode_images(&[clip.open_image(&path)?])?;
                started.elapsed()
            }
        };
        writeln!(out, "{}", seconds.as_secs_f64())?;
        out.flush()?;
    }
    Ok(())
}
