//! One stream's frames: those that wait, and what they came to.

use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use clip_model::Preprocess;
use clip_model::frame::{Frame, View};
use clip_model::preprocess::Scratch;

use super::options::{StreamOptions, WhenFull};
use super::outcome::{Item, Outcome, State};
use super::slot::{Region, Slot};
use super::track::{Due, Tracks};
use super::{Counts, Pushed};
use crate::clip::Clip;
use crate::error::{Error, Result};
use crate::scores::Score;
use crate::slot::LabelSlot;
use crate::thread::lock;

/// Outcomes that may be unread, or be about frames that are gone, besides the frames that wait. A program that polls too rarely loses new frames, and
/// memory does not grow.
const BEHIND: usize = 256;

/// What is told of each outcome.
pub(super) type Told = Box<dyn FnMut(&Outcome) + Send>;

pub(super) struct Lane {
    options: StreamOptions,
    preprocess: Preprocess,
    pub labels: LabelSlot,
    /// One thread at a time pushes: so frames have an order.
    pusher: Mutex<Pusher>,
    queue: Mutex<Queue>,
    /// A frame was taken, or came to something.
    moved: Condvar,
    /// For the dispatcher's thread.
    memory: Mutex<Memory>,
    told: Option<Mutex<Told>>,
}

struct Pusher {
    due: Due,
    scratch: Scratch,
    /// Those of the frame.
    tracks: HashSet<u64>,
}

#[derive(Default)]
struct Memory {
    tracks: Tracks,
    scores: Vec<Score>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Frames among those that wait that are not gone.
    frames: usize,
    /// Frames that the dispatcher has.
    running: VecDeque<Taken>,
    unread: VecDeque<Outcome>,
    /// To be used again.
    free: Vec<Slot>,
    spare: Vec<Outcome>,
    /// Frames that were taken so far, which is the number of the next one.
    next: u64,
    /// Outcomes that were given away so far.
    given: u64,
    counts: Counts,
    /// Why no more frames are taken.
    ended: Option<&'static str>,
    /// Every frame has had its outcome, and there will be no other.
    closed: bool,
}

/// What an outcome says of its frame in any case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    tag: u64,
    sequence: u64,
    since: Instant,
}

/// A frame that waits for the dispatcher.
#[derive(Debug)]
pub(super) enum Waiting {
    Ready(Slot),
    /// It had to go for a newer one, which is told when its turn comes.
    Gone(Taken),
}

impl Waiting {
    fn taken(&self) -> Taken {
        match self {
            Waiting::Ready(slot) => Taken { tag: slot.tag, sequence: slot.sequence, since: slot.since },
            Waiting::Gone(taken) => *taken,
        }
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Lane {
    pub fn new(
        options: StreamOptions,
        preprocess: Preprocess,
        labels: LabelSlot,
        told: Option<Told>,
    ) -> Lane {
        Lane {
            options,
            preprocess,
            labels,
            pusher: Mutex::new(Pusher {
                due: Due::new(&options),
                scratch: Scratch::default(),
                tracks: HashSet::new(),
            }),
            queue: Mutex::default(),
            moved: Condvar::new(),
            memory: Mutex::default(),
            told: told.map(Mutex::new),
        }
    }

    /// Where it `may_wait`, it waits for room if the stream's options say so.
    pub fn push(
        &self,
        frame: &Frame<'_>,
        regions: Option<impl Iterator<Item = Region> + Clone>,
        tag: u64,
        may_wait: bool,
    ) -> Result<Pushed> {
        let mut pusher = match self.options.when_full {
            // Whoever pushes now may wait for room.
            WhenFull::Block if !may_wait => match self.pusher.try_lock() {
                Ok(pusher) => pusher,
                Err(TryLockError::Poisoned(pusher)) => pusher.into_inner(),
                Err(TryLockError::WouldBlock) => return Err(Error::StreamCall(WAITS)),
            },
            _ => lock(&self.pusher),
        };
        let Pusher { due, scratch, tracks } = &mut *pusher;
        let since = Instant::now();
        // Before anything has to go for it.
        if let Some(regions) = regions.clone() {
            check(frame, regions, tracks)?;
        }
        let Some(mut slot) = self.room(due, may_wait)? else { return Ok(Pushed::Dropped) };
        due.begin();
        let filled = slot.fill(frame, regions, due, &self.preprocess, scratch);
        let mut queue = lock(&self.queue);
        if let Err(error) = filled {
            missed(&slot, due);
            queue.free.push(slot);
            return Err(error);
        }
        (slot.tag, slot.sequence, slot.since) = (tag, queue.next, since);
        queue.next += 1;
        queue.counts.pushed += 1;
        queue.frames += 1;
        let sequence = slot.sequence;
        queue.waiting.push_back(Waiting::Ready(slot));
        Ok(Pushed::Taken(sequence))
    }

    /// A place for one more frame, or none.
    fn room(&self, due: &mut Due, may_wait: bool) -> Result<Option<Slot>> {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(reason) = queue.ended {
                return Err(Error::StreamEnded(reason));
            }
            let outcomes = queue.waiting.len() + queue.running.len() + queue.unread.len();
            let behind = outcomes >= self.options.capacity + BEHIND;
            if queue.frames < self.options.capacity && !behind {
                return Ok(Some(queue.free.pop().unwrap_or_else(Slot::new)));
            }
            match self.options.when_full {
                WhenFull::Block if !may_wait => return Err(Error::StreamCall(WAITS)),
                WhenFull::Block => {
                    queue = self.moved.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
                WhenFull::DropOldest if !behind => {
                    if let Some(oldest) = queue.waiting.iter_mut().find(|w| matches!(w, Waiting::Ready(_))) {
                        drop_for_another(oldest, due).into_iter().for_each(|slot| queue.free.push(slot));
                        queue.frames -= 1;
                    }
                }
                WhenFull::DropOldest | WhenFull::DropNewest => {
                    queue.counts.pushed += 1;
                    queue.counts.dropped += 1;
                    return Ok(None);
                }
            }
        }
    }

    /// The next frame, for the dispatcher, which will [`Lane::finish`] it.
    pub fn take(&self) -> Option<Waiting> {
        let mut queue = lock(&self.queue);
        let waiting = queue.waiting.pop_front()?;
        queue.frames -= usize::from(matches!(waiting, Waiting::Ready(_)));
        queue.running.push_back(waiting.taken());
        self.moved.notify_all();
        Some(waiting)
    }

    /// Makes of a frame's embeddings what it came to, and gives that away.
    pub fn finish(
        &self,
        clip: &Clip,
        waiting: Waiting,
        embeddings: std::result::Result<&[f32], &Arc<Error>>,
    ) {
        let mut outcome = self.outcome(waiting.taken());
        let slot = match waiting {
            Waiting::Ready(slot) => {
                let concluded = match embeddings {
                    Ok(embeddings) => self.conclude(clip, &slot, embeddings, &mut outcome).map_err(Arc::new),
                    Err(error) => Err(Arc::clone(error)),
                };
                if let Err(error) = concluded {
                    outcome.clear();
                    outcome.state = State::Failed(error);
                }
                outcome.latency = slot.since.elapsed();
                Some(slot)
            }
            Waiting::Gone(_) => {
                outcome.state = State::Dropped;
                None
            }
        };
        if lock(&self.queue).closed {
            return;
        }
        self.tell(&outcome);
        let mut queue = lock(&self.queue);
        queue.free.extend(slot);
        queue.running.pop_front();
        queue.given += 1;
        queue.count(&outcome.state);
        match &self.told {
            Some(_) => queue.spare.push(outcome),
            None => queue.unread.push_back(outcome),
        }
        self.moved.notify_all();
    }

    /// One that says no more than whose it is.
    fn outcome(&self, taken: Taken) -> Outcome {
        let mut outcome = lock(&self.queue).spare.pop().unwrap_or_default();
        outcome.clear();
        (outcome.tag, outcome.sequence, outcome.latency) = (taken.tag, taken.sequence, taken.since.elapsed());
        outcome
    }

    fn conclude(&self, clip: &Clip, slot: &Slot, embeddings: &[f32], outcome: &mut Outcome) -> Result<()> {
        let StreamOptions { smoothing, hold, rule, top, forget, .. } = self.options;
        let labels = self.labels.load();
        let Memory { tracks, scores } = &mut *lock(&self.memory);
        tracks.begin(forget);
        for asked in &slot.asked {
            let track = tracks.get(asked.track);
            let lost = track.compare_with(&labels);
            if let Some(picture) = asked.picture {
                let dim = clip.embed_dim();
                track.see(&embeddings[picture * dim..][..dim], smoothing);
            }
            scores.clear();
            let mut changed = false;
            if !track.embedding().is_empty() {
                clip.nearest_into(track.embedding(), &labels, top, scores)?;
                let decided = rule.decide(&labels, scores).map(|score| score.index);
                changed = asked.picture.is_some() && track.find(decided, hold);
            }
            if let Some(lost) = lost {
                // Of labels that were swapped under way, the names count.
                changed = track.shown().map(|label| &labels.labels()[label]) != lost.name();
            }
            let (found, numbers) = (outcome.scores.len(), outcome.embeddings.len());
            outcome.scores.extend_from_slice(scores);
            outcome.embeddings.extend_from_slice(track.embedding());
            outcome.items.push(Item {
                track: asked.track,
                label: track.shown(),
                changed,
                fresh: asked.picture.is_some(),
                scores: found..outcome.scores.len(),
                embedding: numbers..outcome.embeddings.len(),
            });
        }
        outcome.labels = Some(labels);
        Ok(())
    }

    /// Tells an outcome to who wants to be told.
    fn tell(&self, outcome: &Outcome) {
        let Some(told) = &self.told else { return };
        if lock(&self.queue).ended == Some(PANICKED) {
            return;
        }
        let mut told = match told.try_lock() {
            Ok(told) => told,
            Err(TryLockError::Poisoned(told)) => told.into_inner(),
            // The stream ends in its own function.
            Err(TryLockError::WouldBlock) => return,
        };
        if catch_unwind(AssertUnwindSafe(|| told(outcome))).is_err() {
            lock(&self.queue).ended = Some(PANICKED);
        }
    }

    /// Whether outcomes are told to a function.
    pub fn tells(&self) -> bool {
        self.told.is_some()
    }

    pub fn poll(&self, timeout: Duration, outcome: &mut Outcome) -> bool {
        let queue = lock(&self.queue);
        let (mut queue, _) = self
            .moved
            .wait_timeout_while(queue, timeout, |queue| queue.unread.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let Some(next) = queue.unread.pop_front() else { return false };
        queue.spare.push(std::mem::replace(outcome, next));
        self.moved.notify_all();
        true
    }

    /// Waits for the outcomes of all frames that were taken until now.
    pub fn flush(&self) {
        let queue = lock(&self.queue);
        let last = queue.next;
        drop(self.moved.wait_while(queue, |queue| queue.given < last && !queue.closed));
    }

    pub fn counts(&self) -> Counts {
        lock(&self.queue).counts
    }

    /// Takes no more frames, waits for those that run, and gives those back that wait. `within` the dispatcher's thread, those that run
    /// are given back, too: it would wait for itself.
    pub fn close(&self, within: bool) {
        let mut queue = lock(&self.queue);
        queue.ended.get_or_insert("it was closed");
        self.moved.notify_all();
        if !within {
            let runs = |queue: &mut Queue| !queue.running.is_empty();
            queue = self.moved.wait_while(queue, runs).unwrap_or_else(PoisonError::into_inner);
        }
        queue.closed = true;
        queue.frames = 0;
        let running = std::mem::take(&mut queue.running);
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        for taken in running.into_iter().chain(waiting.iter().map(Waiting::taken)) {
            let mut outcome = self.outcome(taken);
            outcome.state = State::Dropped;
            self.tell(&outcome);
            lock(&self.queue).spare.push(outcome);
        }
        self.moved.notify_all();
    }
}

/// Whether the regions lie in the frame, and each track is in it once.
fn check(frame: &Frame<'_>, regions: impl Iterator<Item = Region>, tracks: &mut HashSet<u64>) -> Result<()> {
    tracks.clear();
    for (number, Region { rect, track }) in regions.enumerate() {
        let view = View { crop: Some(rect), ..frame.view() };
        let reason = match view.check(frame.layout()) {
            Err(_) => format!(
                "{}x{} pixels at ({}, {}), which are not in a frame of {}x{}: cut it to the frame, or leave it out",
                rect.width,
                rect.height,
                rect.left,
                rect.top,
                frame.layout().width,
                frame.layout().height
            ),
            Ok(()) if !tracks.insert(track) => format!("track {track}, as one before in the same frame"),
            Ok(()) => continue,
        };
        return Err(clip_model::Error::Size(format!("region {number} is {reason}")).into());
    }
    Ok(())
}

/// Why a call is refused in a function that is told of outcomes.
pub(super) const WAITS: &str =
    "a function that is told of outcomes cannot wait for others: they come in the same thread, after it";

/// Why a stream ended whose function that is told of outcomes panicked.
const PANICKED: &str = "the function that is told of its outcomes panicked";

impl Queue {
    fn count(&mut self, state: &State) {
        let counts = &mut self.counts;
        *match state {
            State::Done => &mut counts.done,
            State::Dropped => &mut counts.dropped,
            State::Failed(_) => &mut counts.failed,
        } += 1;
    }
}

/// Takes the memory of a frame that waits; it is gone then.
fn drop_for_another(oldest: &mut Waiting, due: &mut Due) -> Option<Slot> {
    let Waiting::Ready(slot) = oldest else { return None };
    missed(slot, due);
    let gone = Waiting::Gone(oldest.taken());
    match std::mem::replace(oldest, gone) {
        Waiting::Ready(slot) => Some(slot),
        Waiting::Gone(_) => None,
    }
}

/// Tracks that the engine will not see in this frame have to be seen in the next one.
fn missed(slot: &Slot, due: &mut Due) {
    let seen = slot.asked.iter().filter(|asked| asked.picture.is_some());
    seen.filter_map(|asked| asked.track).for_each(|track| due.missed(track));
}
