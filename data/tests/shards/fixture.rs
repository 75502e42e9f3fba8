//! Small shards, made anew for each test.

use std::io::Write;
use std::path::{Path, PathBuf};

use clip_data::{Augment, Batch, Fields, Lengths, Loader, LoaderOptions, Location, Samples};
use clip_model::{Preprocess, Tokenizer};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use libjpeg_turbo_rs::{PixelFormat, Subsampling};

/// Side of the model's input.
pub const SIZE: usize = 4;

/// A tar of these files.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn write(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A picture of one colour, whose red tells the pictures apart; partly transparent.
pub fn png(red: u8) -> Vec<u8> {
    let pixels: Vec<u8> = (0..100).flat_map(|at| [red, 40, 200, if at < 10 { 0 } else { 255 }]).collect();
    let mut out = Vec::new();
    PngEncoder::new(&mut out).write_image(&pixels, 10, 10, ExtendedColorType::Rgba8).unwrap();
    out
}

pub fn jpeg(red: u8) -> Vec<u8> {
    let pixels = [red, 40, 200].repeat(100);
    libjpeg_turbo_rs::compress(&pixels, 10, 10, PixelFormat::Rgb, 90, Subsampling::S444).unwrap()
}

/// A shard of `range`, with two captions to a sample.
pub fn numbers(dir: &Path, name: &str, range: std::ops::Range<u8>) -> PathBuf {
    let files: Vec<(String, Vec<u8>)> = range
        .flat_map(|n| {
            let captions = format!("number {n}\n\nthe picture {n} of the test\n");
            [(format!("{n:03}.png"), png(n)), (format!("{n:03}.txt"), captions.into_bytes())]
        })
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    write(dir, name, &tar(&files))
}

/// Three shards of 20, 15 and 12 samples.
pub fn three(dir: &Path) -> Vec<PathBuf> {
    vec![numbers(dir, "a.tar", 0..20), numbers(dir, "b.tar", 20..35), numbers(dir, "c.tar", 35..47)]
}

pub fn options() -> LoaderOptions {
    LoaderOptions {
        batch: 5,
        seed: 1,
        threads: 2,
        shuffle_buffer: 16,
        resampled: false,
        fields: Fields::default(),
        skip_bad_shards: false,
        max_skipped: 1.0,
        lengths: Lengths::default(),
        preprocess: Preprocess { size: SIZE, mean: [0.0; 3], std: [1.0; 3], ..Preprocess::default() },
        augment: Augment::default(),
        tokenizer: Tokenizer::openai(),
        context_length: 16,
        start: 0,
        cache_mb: 0,
        warn: |_| {},
        stop: || false,
    }
}

pub fn locations(shards: &[PathBuf]) -> Vec<Location> {
    shards.iter().map(Location::from).collect()
}

/// Those of these shards, without a word about what is left out.
pub fn samples(shards: &[PathBuf]) -> Samples {
    clip_data::samples(shards, |_| {})
}

pub fn batches(shards: &[PathBuf], options: LoaderOptions, count: usize) -> Vec<Batch> {
    Loader::new(shards, options).unwrap().take(count).map(Result::unwrap).collect()
}

/// Which pictures of [`numbers`] a batch has, by the red of their last pixel.
pub fn pictures(batch: &Batch) -> Vec<u8> {
    batch.pictures.chunks_exact(3 * SIZE * SIZE).map(|rgb| rgb[rgb.len() - 3]).collect()
}

/// The error that a loader ends with.
pub fn failure(shards: &[PathBuf], options: LoaderOptions) -> clip_data::Error {
    let mut loader = Loader::new(shards, options).unwrap();
    let error = loader.find_map(Result::err).unwrap();
    assert!(loader.next().is_none(), "an error is the end");
    error
}
