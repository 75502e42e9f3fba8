//! Samples per second of the loader, on shards of one's own: `time_loader SIZE THREADS SHARD...`, pictures at SIZE pixels, five passes of
//! as many batches as take about two seconds each.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Instant;

use clip_data::{Augment, Fields, Lengths, Loader, LoaderOptions, expand};
use clip_model::{Preprocess, Tokenizer};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [size, threads, shards @ ..] = arguments.as_slice() else {
        panic!("usage: time_loader SIZE THREADS SHARD...")
    };
    let options = LoaderOptions {
        batch: 256,
        seed: 1,
        threads: threads.parse().unwrap(),
        shuffle_buffer: 1000,
        resampled: false,
        fields: Fields::default(),
        skip_bad_shards: false,
        max_skipped: 1.0,
        lengths: Lengths::default(),
        preprocess: Preprocess { size: size.parse().unwrap(), ..Preprocess::default() },
        augment: Augment::default(),
        tokenizer: Tokenizer::openai(),
        context_length: 77,
        start: 0,
        cache_mb: 0,
        warn: |line| eprintln!("{line}"),
        stop: || false,
    };
    let mut loader = Loader::new(&expand(shards).unwrap(), options).unwrap();
    loader.draw().unwrap();
    for _ in 0..5 {
        let (start, mut samples) = (Instant::now(), 0);
        while start.elapsed().as_secs_f64() < 2.0 {
            samples += loader.draw().unwrap().size;
        }
        println!("{:.0} samples/s, {:?}", samples as f64 / start.elapsed().as_secs_f64(), loader.supply());
    }
}
