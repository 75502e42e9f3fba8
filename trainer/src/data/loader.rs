//! Batches, prepared in threads.
//!
//! One thread reads the shards and hands each sample to whichever worker is free, together with a channel for the
//! result; those channels queue up in the stream's order, so that the order of the results does not depend on the
//! workers. The queue's length bounds what is prepared ahead.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use clip_model::{Preprocess, Tokenizer, memory};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::augment::Augment;
use super::cache::Cache;
use super::sample::check_shards;
use super::stream::{Drawn, Stream};
use super::warnings::Warnings;
use super::worker::{Prepared, Worker};
use crate::error::{Error, Result};

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

/// How a [`Loader`] makes batches.
#[derive(Debug, Clone)]
pub struct LoaderOptions {
    /// Samples in a batch.
    pub batch: usize,
    /// Everything random comes from it.
    pub seed: u64,
    /// Threads that decode and augment, at least 1; one more reads the shards.
    pub threads: usize,
    /// Samples among which the next one is drawn at random; they are kept encoded. 1 leaves the order within a shard.
    pub shuffle_buffer: usize,
    /// The model's preprocessing.
    pub preprocess: Preprocess,
    /// Random changes to the pictures.
    pub augment: Augment,
    /// The model's tokenizer.
    pub tokenizer: Tokenizer,
    /// Tokens at most, start and end included.
    pub context_length: usize,
    /// Position to go on from, see [`Batch::position`].
    pub start: u64,
    /// Decoded pictures are kept in memory up to this many megabytes; 0 keeps none.
    pub cache_mb: usize,
}

/// An endless iterator of batches. It ends only after an error, which it returns once.
pub struct Loader {
    options: LoaderOptions,
    /// In the stream's order; `None` when the loader has ended.
    queue: Option<Receiver<Queued>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    undecodable: Undecodable,
}

/// A sample under way, or why the stream ended.
enum Queued {
    Sample(Ticket, Receiver<Result<Prepared>>),
    Failed(Error),
}

/// What the batch wants to know of a sample besides its content.
struct Ticket {
    position: u64,
    first: bool,
    shard: usize,
    key: String,
    unusable: u64,
}

type Job = (Drawn, Sender<Result<Prepared>>);

/// Counts pictures that could not be decoded, to notice when it is all of them.
struct Undecodable {
    shards: Vec<PathBuf>,
    count: u64,
    /// Of the current epoch, if it was seen from its start.
    epoch: Option<Epoch>,
    warnings: Warnings,
}

#[derive(Default)]
struct Epoch {
    seen: u64,
    decoded: u64,
    /// Key and reason.
    last_failure: Option<(String, String)>,
}

impl Loader {
    /// Starts the threads. `shards` are WebDataset tars, plain or gzip.
    ///
    /// # Errors
    /// No shards, one that cannot be opened, or options that make no sense. Broken shards show when they are read,
    /// as an item of the iterator.
    pub fn new(shards: Vec<PathBuf>, options: LoaderOptions) -> Result<Loader> {
        options.validate()?;
        if shards.is_empty() {
            return Err(Error::NoShards);
        }
        check_shards(&shards)?;
        let warnings = Warnings::default();
        let worker = Arc::new(Worker {
            seed: options.seed,
            preprocess: options.preprocess.clone(),
            augment: options.augment.clone(),
            tokenizer: options.tokenizer.clone(),
            context_length: options.context_length,
            cache: Cache::new(options.cache_mb),
        });
        // Made before the channels, and so dropped after them: when a thread cannot be started, the others end.
        let mut loader = Loader {
            undecodable: Undecodable {
                shards: shards.clone(),
                count: 0,
                epoch: None,
                warnings: warnings.clone(),
            },
            options,
            queue: None,
            stop: Arc::new(AtomicBool::new(false)),
            threads: Vec::new(),
        };
        let (queue, queue_end) = bounded(loader.options.batch * AHEAD);
        // Not bounded itself: it never holds more than the queue does.
        let (jobs, jobs_end) = unbounded();
        loader.queue = Some(queue_end);
        for number in 0..loader.options.threads {
            let (worker, jobs, shards) = (worker.clone(), jobs_end.clone(), shards.clone());
            let stop = loader.stop.clone();
            let prepare = move |drawn: &Drawn| worker.prepare(drawn);
            loader.start(format!("decode-{number}"), move || work(prepare, &shards, &jobs, &stop))?;
        }
        let LoaderOptions { seed, shuffle_buffer, start, .. } = loader.options;
        loader.start("read-shards".to_owned(), move || {
            let reading = AssertUnwindSafe(|| {
                read(Stream::open(shards, seed, shuffle_buffer, start, warnings), &queue, &jobs)
            });
            if let Err(panic) = catch_unwind(reading) {
                let at = "the shards' order".to_owned();
                // A loader that is gone wants no error.
                let _ = queue.send(Queued::Failed(Error::Worker { at, reason: message(&*panic) }));
            }
        })?;
        Ok(loader)
    }

    fn start(&mut self, name: String, body: impl FnOnce() + Send + 'static) -> Result<()> {
        let started = std::thread::Builder::new().name(name.clone()).spawn(body);
        self.threads.push(started.map_err(|e| Error::Worker { at: name, reason: e.to_string() })?);
        Ok(())
    }

    fn next_batch(&mut self) -> Result<Batch> {
        let size = self.options.batch;
        let pixels = 3 * self.options.preprocess.size * self.options.preprocess.size;
        let mut images = memory::with_capacity("the pictures of a batch", size.saturating_mul(pixels))?;
        let mut texts = Vec::with_capacity(size);
        let (mut position, mut unusable) = (0, 0);
        while texts.len() < size {
            let ended =
                || Error::Worker { at: "its end".to_owned(), reason: "it left no message".to_owned() };
            let queue = self.queue.as_ref().ok_or_else(ended)?;
            let (ticket, result) = match queue.recv().map_err(|_| ended())? {
                Queued::Sample(ticket, result) => (ticket, result.recv().map_err(|_| ended())?),
                Queued::Failed(error) => return Err(error),
            };
            (position, unusable) = (ticket.position + 1, ticket.unusable);
            if let Some(prepared) = self.undecodable.count(ticket, result)? {
                images.extend_from_slice(&prepared.pixels);
                texts.push(prepared.ids);
            }
        }
        let length = texts.iter().map(Vec::len).max().unwrap_or(0);
        let pad = i64::from(self.options.tokenizer.pad_id());
        let mut ids = Vec::with_capacity(size * length);
        for text in &texts {
            ids.extend(text.iter().map(|&id| i64::from(id)));
            ids.resize(ids.len() + length - text.len(), pad);
        }
        Ok(Batch { images, ids, length, size, position, skipped: unusable + self.undecodable.count })
    }
}

impl LoaderOptions {
    fn validate(&self) -> Result<()> {
        for (name, value) in [
            ("batch", self.batch),
            ("threads", self.threads),
            ("shuffle_buffer", self.shuffle_buffer),
            ("context_length", self.context_length),
        ] {
            if value == 0 {
                return Err(Error::Settings(format!("{name} is 0, expected at least 1")));
            }
        }
        self.preprocess.validate()?;
        self.augment.validate()
    }
}

impl Undecodable {
    /// Passes on what was decoded, counts what was not.
    fn count(&mut self, ticket: Ticket, result: Result<Prepared>) -> Result<Option<Prepared>> {
        if ticket.first {
            if let Some(Epoch { seen: count, decoded: 0, last_failure: Some((key, reason)) }) =
                self.epoch.take()
            {
                return Err(Error::Undecodable { count, key, reason });
            }
            self.epoch = Some(Epoch::default());
        }
        let failure = match result {
            Ok(prepared) => {
                if let Some(epoch) = &mut self.epoch {
                    epoch.seen += 1;
                    epoch.decoded += 1;
                }
                return Ok(Some(prepared));
            }
            Err(Error::Model(error)) => error.to_string(),
            Err(other) => return Err(other),
        };
        self.count += 1;
        self.warnings.say(&self.shards[ticket.shard], &ticket.key, &failure);
        if let Some(epoch) = &mut self.epoch {
            epoch.seen += 1;
            epoch.last_failure = Some((ticket.key, failure));
        }
        Ok(None)
    }
}

/// The reading thread: until the loader is dropped, or an error.
fn read(stream: Result<Stream>, queue: &Sender<Queued>, jobs: &Sender<Job>) {
    let failed = |error| drop(queue.send(Queued::Failed(error)));
    let mut stream = match stream {
        Ok(stream) => stream,
        Err(error) => return failed(error),
    };
    loop {
        let drawn = match stream.draw() {
            Ok(drawn) => drawn,
            Err(error) => return failed(error),
        };
        let ticket = Ticket {
            position: drawn.position,
            first: drawn.first,
            shard: drawn.shard,
            key: drawn.sample.key.clone(),
            unusable: drawn.unusable,
        };
        let (result, result_end) = bounded(1);
        // Either fails only when the loader is gone.
        if queue.send(Queued::Sample(ticket, result_end)).is_err() || jobs.send((drawn, result)).is_err() {
            return;
        }
    }
}

/// A worker thread: until the reading thread has gone and the jobs are done.
fn work(
    prepare: impl Fn(&Drawn) -> Result<Prepared>,
    shards: &[PathBuf],
    jobs: &Receiver<Job>,
    stop: &AtomicBool,
) {
    for (drawn, result) in jobs {
        if stop.load(Ordering::Relaxed) {
            continue;
        }
        let prepared = catch_unwind(AssertUnwindSafe(|| prepare(&drawn))).unwrap_or_else(|panic| {
            let at = format!("{}, sample `{}`", shards[drawn.shard].display(), drawn.sample.key);
            Err(Error::Worker { at, reason: message(&*panic) })
        });
        // Nobody waits for it when the loader is gone.
        let _ = result.send(prepared);
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

impl Iterator for Loader {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.queue.as_ref()?;
        let batch = self.next_batch();
        if batch.is_err() {
            self.queue = None;
        }
        Some(batch)
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // The reading thread stops when nobody takes its samples, the workers when it has stopped.
        self.queue = None;
        for thread in self.threads.drain(..) {
            // What it had to say was said through the queue.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Sample;

    #[test]
    fn a_panic_in_a_thread_is_an_error_and_the_thread_goes_on() {
        let (jobs, jobs_end) = unbounded();
        let results: Vec<_> = (0..2u64)
            .map(|position| {
                let sample = Sample { key: "k7".into(), captions: vec![], image: vec![], class: None };
                let (result, end) = bounded(1);
                let drawn = Drawn { position, first: false, shard: 0, index: 0, unusable: 0, sample };
                jobs.send((drawn, result)).unwrap();
                end
            })
            .collect();
        drop(jobs);
        let prepare = |drawn: &Drawn| match drawn.position {
            0 => panic!("number {}", drawn.position),
            _ => Ok(Prepared { pixels: vec![], ids: vec![] }),
        };
        work(prepare, &["a.tar".into()], &jobs_end, &AtomicBool::new(false));
        let error = results[0].recv().unwrap().unwrap_err();
        assert!(matches!(&error, Error::Worker { .. }));
        let message = error.to_string();
        assert!(["a.tar", "k7", "number 0"].iter().all(|part| message.contains(part)), "{message}");
        assert!(results[1].recv().unwrap().is_ok());
    }
}
