//! Batches, prepared in threads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clip_model::memory;

use crate::cache::Cache;
use crate::dataset::DataSet;
use crate::error::{Error, Result};
use crate::lengths::Lengths;
use crate::location::Location;
use crate::mixture::Mixture;
use crate::options::LoaderOptions;
use crate::pool::{Pool, ended};
use crate::samples::check;
use crate::tally::Tally;
use crate::warnings::Warnings;
use crate::worker::Worker;

/// Batches prepared ahead.
const AHEAD: usize = 2;

/// Pictures and texts of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Pictures as the preprocessing resizes them, not yet normalised: RGB, `[B,S,S,3]`. As floats they would take four times the
    /// memory, and as much longer on their way to a GPU.
    pub pictures: Vec<u8>,
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
    /// Shards left out since the loader was started, in whole or from where they are broken, each time that they were met.
    pub bad_shards: u64,
    /// Samples of all shards, as soon as each was read to its end: as long before the end of the first epoch as the shuffle buffer
    /// holds samples. Those that cannot be decoded count.
    pub samples: Option<u64>,
}

/// How well the threads keep up, as the last batch found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Supply {
    /// Samples that were ready when the batch was asked for. 0: it had to be waited for.
    pub ready: usize,
    /// Samples that can be ready at most: two batches.
    pub capacity: usize,
    /// Time from when the batch was asked for until it was there. To put it together takes some of it in any case.
    pub waited: Duration,
}

/// An endless iterator of batches. It ends only after an error, which it returns once.
pub struct Loader {
    /// Samples in a batch.
    size: usize,
    /// Bytes of a picture.
    bytes: usize,
    pad: i64,
    /// `None` when the loader has ended.
    pool: Option<Pool>,
    tally: Tally,
    lengths: Arc<Mutex<Lengths>>,
    supply: Supply,
    stop: fn() -> bool,
}

impl Loader {
    /// Starts the threads, for one source of shards. See [`Loader::open`].
    ///
    /// # Errors
    /// As [`Loader::open`].
    pub fn new<S: Clone + Into<Location>>(shards: &[S], options: LoaderOptions) -> Result<Loader> {
        Loader::open(&DataSet::of(shards), options)
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// No shards, one that cannot be opened (where those are not to be skipped), or options that make no sense. Broken shards
    /// show when they are read, as an item of the iterator.
    pub fn open(data: &DataSet, options: LoaderOptions) -> Result<Loader> {
        options.validate()?;
        if data.sources().iter().any(|source| source.shards.is_empty()) {
            return Err(Error::NoShards);
        }
        let shards: Arc<[Location]> = data.shards().into();
        if !options.skip_bad_shards {
            check(&shards, &options.fields)?;
        }
        let warnings = Warnings::new(options.warn);
        let (size, side) = (options.batch, options.preprocess.size);
        let pad = i64::from(options.tokenizer.pad_id());
        let lengths = Arc::new(Mutex::new(Lengths(vec![None; shards.len()])));
        let tally = Tally::new(shards.clone(), data.sources().len(), &options, warnings.clone());
        let stream = {
            let (data, options, lengths) = (data.clone(), options.clone(), lengths.clone());
            move || Mixture::open(&data, &options, lengths, &warnings)
        };
        let (threads, capacity, stop) = (options.threads, size * AHEAD, options.stop);
        let worker = Worker { cache: Cache::new(options.cache_mb), options };
        let prepare = move |drawn: &_| worker.prepare(drawn);
        let pool = Some(Pool::start(shards, (threads, capacity), stream, prepare)?);
        let supply = Supply { capacity, ..Supply::default() };
        Ok(Loader { size, bytes: 3 * side * side, pad, pool, tally, lengths, supply, stop })
    }

    /// How well the threads kept up with the last batch.
    pub fn supply(&self) -> Supply {
        self.supply
    }

    /// Samples of each shard that was read to its end so far; [`LoaderOptions::lengths`] takes them.
    pub fn lengths(&self) -> Lengths {
        self.lengths.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The next batch, waited for; there always is one.
    ///
    /// # Errors
    /// Those of [`crate::samples`]; [`Error::Undecodable`] when a whole pass over the shards gave no picture,
    /// [`Error::Worker`] when a thread panicked or the loader had ended with an error before; [`Error::Stopped`].
    pub fn draw(&mut self) -> Result<Batch> {
        self.next().unwrap_or_else(|| Err(ended()))
    }

    fn next_batch(&mut self, pool: &Pool) -> Result<Batch> {
        let Loader { size, bytes, pad, .. } = *self;
        let mut pictures = memory::with_capacity("the pictures of a batch", size.saturating_mul(bytes))?;
        let mut texts = Vec::with_capacity(size);
        let (asked, ready) = (Instant::now(), pool.ready());
        let mut position = 0;
        while texts.len() < size {
            let done = pool.next(self.stop)?;
            position = done.0.position + 1;
            if let Some(prepared) = self.tally.count(done)? {
                pictures.extend_from_slice(prepared.picture.rgb());
                texts.push(prepared.ids);
            }
        }
        self.tally.check_batch(size)?;
        let length = texts.iter().map(Vec::len).max().unwrap_or(0);
        let mut ids = Vec::with_capacity(size * length);
        for text in &texts {
            ids.extend(text.iter().map(|&id| i64::from(id)));
            ids.resize(ids.len() + length - text.len(), pad);
        }
        (self.supply.ready, self.supply.waited) = (ready, asked.elapsed());
        let (skipped, bad_shards, samples) =
            (self.tally.skipped(), self.tally.bad_shards(), self.tally.samples());
        Ok(Batch { pictures, ids, length, size, position, skipped, bad_shards, samples })
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
