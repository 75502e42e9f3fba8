//! Batches, prepared in threads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clip_model::memory;

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::options::LoaderOptions;
use crate::pool::{Done, Pool, ended};
use crate::samples::check_shards;
use crate::stream::Stream;
use crate::warnings::Warnings;
use crate::worker::{Prepared, Worker};

/// Batches prepared ahead.
const AHEAD: usize = 2;

/// Pictures and texts of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Normalised pictures, float32 `[B,3,S,S]`.
    pub images: Vec<f32>,
    /// Token ids `[B,L]`, padded to the longest text.
    pub ids: Vec<i64>,
    /// L, tokens of the longest text in the batch.
    pub length: usize,
    /// B, samples.
    pub size: usize,
    /// Samples drawn from the endless stream up to the end of this batch, undecodable ones included: what
    /// [`LoaderOptions::start`] takes to go on behind it.
    pub position: u64,
    /// Samples left out since the loader was started, for want of a picture, a caption, or because the picture
    /// could not be decoded.
    pub skipped: u64,
}

/// An endless iterator of batches. It ends only after an error, which it returns once.
pub struct Loader {
    /// Samples in a batch.
    size: usize,
    /// Numbers in a picture.
    pixels: usize,
    pad: i64,
    /// `None` when the loader has ended.
    pool: Option<Pool>,
    undecodable: Undecodable,
}

/// Counts pictures that could not be decoded, to notice when it is all of them.
struct Undecodable {
    shards: Arc<[PathBuf]>,
    count: u64,
    /// Those of the current epoch, while it has nothing else; `None` also when its start was not seen.
    all: Option<u64>,
    /// Key and reason of the last one.
    last: (String, String),
    warnings: Warnings,
}

impl Loader {
    /// Starts the threads. `shards` are WebDataset tars, plain or gzip.
    ///
    /// # Errors
    /// No shards, one that cannot be opened, or options that make no sense. Broken shards show when they are read,
    /// as an item of the iterator.
    pub fn new(shards: &[impl AsRef<Path>], options: LoaderOptions) -> Result<Loader> {
        options.validate()?;
        if shards.is_empty() {
            return Err(Error::NoShards);
        }
        check_shards(shards)?;
        let shards: Arc<[PathBuf]> = shards.iter().map(|shard| shard.as_ref().to_owned()).collect();
        let warnings = Warnings::new(options.warn);
        let (size, side) = (options.batch, options.preprocess.size);
        let pad = i64::from(options.tokenizer.pad_id());
        let LoaderOptions { seed, shuffle_buffer, start, threads, cache_mb, .. } = options;
        let stream = {
            let (shards, warnings) = (shards.clone(), warnings.clone());
            move || Stream::open(shards, seed, shuffle_buffer, start, warnings)
        };
        let worker = Worker { options, cache: Cache::new(cache_mb) };
        let prepare = move |drawn: &_| worker.prepare(drawn);
        let pool = Some(Pool::start(shards.clone(), (threads, size * AHEAD), stream, prepare)?);
        let last = (String::new(), String::new());
        let undecodable = Undecodable { shards, count: 0, all: None, last, warnings };
        Ok(Loader { size, pixels: 3 * side * side, pad, pool, undecodable })
    }

    /// The next batch, waited for; there always is one.
    ///
    /// # Errors
    /// Those of [`crate::samples`]; [`Error::Undecodable`] when a whole pass over the shards gave no picture,
    /// [`Error::Worker`] when a thread panicked or the loader had ended with an error before.
    pub fn draw(&mut self) -> Result<Batch> {
        self.next().unwrap_or_else(|| Err(ended()))
    }

    fn next_batch(&mut self, pool: &Pool) -> Result<Batch> {
        let Loader { size, pixels, pad, .. } = *self;
        let mut images = memory::with_capacity("the pictures of a batch", size.saturating_mul(pixels))?;
        let mut texts = Vec::with_capacity(size);
        let (mut position, mut unusable) = (0, 0);
        while texts.len() < size {
            let done = pool.next()?;
            (position, unusable) = (done.0.position + 1, done.0.unusable);
            if let Some(prepared) = self.undecodable.count(done)? {
                images.extend_from_slice(&prepared.pixels);
                texts.push(prepared.ids);
            }
        }
        let length = texts.iter().map(Vec::len).max().unwrap_or(0);
        let mut ids = Vec::with_capacity(size * length);
        for text in &texts {
            ids.extend(text.iter().map(|&id| i64::from(id)));
            ids.resize(ids.len() + length - text.len(), pad);
        }
        Ok(Batch { images, ids, length, size, position, skipped: unusable + self.undecodable.count })
    }
}

impl Iterator for Loader {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let pool = self.pool.take()?;
        let batch = self.next_batch(&pool);
        if batch.is_ok() {
            self.pool = Some(pool);
        }
        Some(batch)
    }
}

impl Undecodable {
    /// Passes on what was decoded, counts what was not.
    fn count(&mut self, (drawn, prepared): Done) -> Result<Option<Prepared>> {
        if drawn.first
            && let Some(count @ 1..) = self.all.replace(0)
        {
            let (key, reason) = std::mem::take(&mut self.last);
            return Err(Error::Undecodable { count, key, reason });
        }
        match prepared {
            Ok(prepared) => {
                self.all = None;
                Ok(Some(prepared))
            }
            Err(Error::Model(error)) => {
                self.count += 1;
                self.all = self.all.map(|count| count + 1);
                self.last = (drawn.sample.key, error.to_string());
                self.warnings.say(&self.shards[drawn.place.0], &self.last.0, &self.last.1);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }
}
