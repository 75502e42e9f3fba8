//! The threads that prepare samples.
//!
//! One thread reads the shards and hands each sample to whichever worker is free, together with a channel for the
//! result; those channels queue up in the stream's order, so that the order of the results does not depend on the
//! workers. The queue's length bounds what is prepared ahead.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use crate::error::{Error, Result};
use crate::location::Location;
use crate::mixture::{Drawn, Mixture};
use crate::worker::Prepared;

/// How long samples are waited for before it is asked whether to go on.
const PATIENCE: Duration = Duration::from_secs(1);

/// A drawn sample, and what a worker made of it.
pub(crate) type Done = (Drawn, Result<Prepared>);

/// Where a sample comes out, or why the stream ended.
type Slot = Receiver<Result<Done>>;

type Job = (Drawn, Sender<Result<Done>>);

/// The threads; they end soon after it is dropped.
pub(crate) struct Pool {
    /// In the stream's order; `None` when the pool is being dropped.
    queue: Option<Receiver<Slot>>,
    stop: Arc<AtomicBool>,
    /// Samples that are prepared and were not taken yet.
    ready: Arc<AtomicUsize>,
}

impl Pool {
    /// Starts a thread that draws from the stream that `open` opens and `count` threads that prepare what it draws, at
    /// most `ahead` samples at a time.
    ///
    /// # Errors
    /// [`Error::Worker`] when a thread cannot be started.
    pub fn start(
        shards: Arc<[Location]>,
        (count, ahead): (usize, usize),
        open: impl FnOnce() -> Result<Mixture> + Send + 'static,
        prepare: impl Fn(&Drawn) -> Result<Prepared> + Send + Sync + 'static,
    ) -> Result<Pool> {
        // Made before the channels, and so dropped after them: when a thread cannot be started, the others end.
        let mut pool = Pool { queue: None, stop: Arc::default(), ready: Arc::default() };
        let (queue, queue_end) = bounded(ahead);
        // Not bounded itself: it never holds more than the queue does.
        let (jobs, jobs_end) = unbounded();
        pool.queue = Some(queue_end);
        let prepare = Arc::new(prepare);
        for number in 0..count {
            let (prepare, jobs, shards) = (prepare.clone(), jobs_end.clone(), shards.clone());
            let (stop, ready) = (pool.stop.clone(), pool.ready.clone());
            pool.thread(format!("decode-{number}"), move || work(&*prepare, &shards, &jobs, &stop, &ready))?;
        }
        pool.thread("read-shards".to_owned(), move || {
            let reading = catch_unwind(AssertUnwindSafe(|| read(open, &queue, &jobs)));
            let reading =
                reading.unwrap_or_else(|panic| Err(failure("the shards' order".to_owned(), &*panic)));
            if let Err(error) = reading {
                let (last, slot) = bounded(1);
                // A pool that is gone wants no error.
                let _ = (last.send(Err(error)), queue.send(slot));
            }
        })?;
        Ok(pool)
    }

    fn thread(&self, name: String, body: impl FnOnce() + Send + 'static) -> Result<()> {
        let started = Builder::new().name(name.clone()).spawn(body);
        started.map(drop).map_err(|e| Error::Worker { at: name, reason: e.to_string() })
    }

    /// The next sample, waited for until `give_up` says so.
    ///
    /// # Errors
    /// What ended the stream; [`Error::Stopped`]; what [`Pool::start`]'s `prepare` returned is in the result.
    pub fn next(&self, give_up: fn() -> bool) -> Result<Done> {
        let slot = wait(self.queue.as_ref().ok_or_else(ended)?, give_up)?;
        let done = wait(&slot, give_up)?;
        if done.is_ok() {
            self.ready.fetch_sub(1, Ordering::Relaxed);
        }
        done
    }

    /// Samples that are prepared and wait to be taken.
    pub fn ready(&self) -> usize {
        self.ready.load(Ordering::Relaxed)
    }
}

/// What comes through a channel.
fn wait<T>(channel: &Receiver<T>, give_up: fn() -> bool) -> Result<T> {
    loop {
        match channel.recv_timeout(PATIENCE) {
            Ok(value) => return Ok(value),
            Err(RecvTimeoutError::Disconnected) => return Err(ended()),
            Err(RecvTimeoutError::Timeout) if give_up() => return Err(Error::Stopped),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// What is said when there is nothing to wait for.
pub(crate) fn ended() -> Error {
    Error::Worker { at: "its end".to_owned(), reason: "it left no message".to_owned() }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // The reading thread stops when nobody takes its samples, and the workers when it has stopped. Nobody waits for that: it
        // may itself be waiting for a pipe or a server, for ever perhaps.
        self.stop.store(true, Ordering::Relaxed);
        self.queue = None;
    }
}

/// The reading thread: until the pool is dropped, or an error.
fn read(open: impl FnOnce() -> Result<Mixture>, queue: &Sender<Slot>, jobs: &Sender<Job>) -> Result<()> {
    let mut stream = open()?;
    loop {
        let drawn = stream.draw()?;
        let (result, slot) = bounded(1);
        // Either fails only when the pool is gone.
        if queue.send(slot).is_err() || jobs.send((drawn, result)).is_err() {
            return Ok(());
        }
    }
}

/// A worker thread: until the reading thread has gone and the jobs are done.
fn work(
    prepare: &impl Fn(&Drawn) -> Result<Prepared>,
    shards: &[Location],
    jobs: &Receiver<Job>,
    stop: &AtomicBool,
    ready: &AtomicUsize,
) {
    for (drawn, result) in jobs {
        if stop.load(Ordering::Relaxed) {
            continue;
        }
        let prepared = catch_unwind(AssertUnwindSafe(|| prepare(&drawn))).unwrap_or_else(|panic| {
            let at = format!("{}, sample `{}`", shards[drawn.place.0], drawn.sample.key);
            Err(failure(at, &*panic))
        });
        ready.fetch_add(1, Ordering::Relaxed);
        // Nobody waits for it when the pool is gone.
        let _ = result.send(Ok((drawn, prepared)));
    }
}

fn failure(at: String, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Error::Worker { at, reason: text.unwrap_or_else(|| "no message".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clip_model::preprocess::Image;

    use super::*;
    use crate::sample::Sample;
    use crate::stream::LeftOut;

    #[test]
    fn a_panic_in_a_thread_is_an_error_and_the_thread_goes_on() {
        let (jobs, jobs_end) = unbounded();
        let results: Vec<_> = (0..2u64)
            .map(|position| {
                let sample = Sample { key: "k7".into(), captions: vec![], image: vec![], class: None };
                let (result, end) = bounded(1);
                let (left_out, place) = (LeftOut::default(), (0, 0));
                let drawn =
                    Drawn { position, source: 0, first: false, place, left_out, samples: None, sample };
                jobs.send((drawn, result)).unwrap();
                end
            })
            .collect();
        drop(jobs);
        let prepare = |drawn: &Drawn| match drawn.position {
            0 => panic!("number {}", drawn.position),
            _ => Ok(Prepared { picture: Image::new(1, 1, vec![0; 3]).unwrap(), ids: vec![] }),
        };
        let (shards, ready) = ([Location::File("a.tar".into())], AtomicUsize::new(0));
        work(&prepare, &shards, &jobs_end, &AtomicBool::new(false), &ready);
        assert_eq!(ready.into_inner(), 2);
        let error = results[0].recv().unwrap().unwrap().1.unwrap_err();
        assert!(matches!(&error, Error::Worker { .. }));
        let message = error.to_string();
        assert!(["a.tar", "k7", "number 0"].iter().all(|part| message.contains(part)), "{message}");
        assert!(results[1].recv().unwrap().unwrap().1.is_ok());
    }
}
