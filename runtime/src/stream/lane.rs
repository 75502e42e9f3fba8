//! One stream's frames: those that wait, and what they came to.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use clip_model::Preprocess;
use clip_model::frame::Frame;
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
    running: usize,
    unread: VecDeque<Outcome>,
    /// To be used again.
    free: Vec<Slot>,
    spare: Vec<Outcome>,
    next: u64,
    counts: Counts,
    /// Why no more frames are taken.
    ended: Option<&'static str>,
}

/// A frame that waits for the dispatcher.
#[derive(Debug)]
pub(super) enum Waiting {
    Ready(Slot),
    /// It had to go for a newer one, which is told when its turn comes.
    Gone {
        tag: u64,
        sequence: u64,
        since: Instant,
    },
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
            pusher: Mutex::new(Pusher { due: Due::new(&options), scratch: Scratch::default() }),
            queue: Mutex::default(),
            moved: Condvar::new(),
            memory: Mutex::default(),
            told: told.map(Mutex::new),
        }
    }

    pub fn push(
        &self,
        frame: &Frame<'_>,
        regions: Option<impl Iterator<Item = Region> + Clone>,
        tag: u64,
    ) -> Result<Pushed> {
        let Pusher { due, scratch } = &mut *lock(&self.pusher);
        let since = Instant::now();
        let Some(mut slot) = self.room(due)? else { return Ok(Pushed::Dropped) };
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
    fn room(&self, due: &mut Due) -> Result<Option<Slot>> {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(reason) = queue.ended {
                return Err(Error::StreamEnded(reason));
            }
            let outcomes = queue.waiting.len() + queue.running + queue.unread.len();
            let behind = outcomes >= self.options.capacity + BEHIND;
            if queue.frames < self.options.capacity && !behind {
                return Ok(Some(queue.free.pop().unwrap_or_else(Slot::new)));
            }
            match self.options.when_full {
                WhenFull::Block => {
                    queue = self.moved.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
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
        queue.running += 1;
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
        let mut outcome = self.outcome();
        let slot = match waiting {
            Waiting::Ready(slot) => {
                (outcome.tag, outcome.sequence) = (slot.tag, slot.sequence);
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
            Waiting::Gone { tag, sequence, since } => {
                (outcome.tag, outcome.sequence, outcome.latency) = (tag, sequence, since.elapsed());
                outcome.state = State::Dropped;
                None
            }
        };
        self.tell(&outcome);
        let mut queue = lock(&self.queue);
        queue.free.extend(slot);
        queue.running -= 1;
        queue.count(&outcome.state);
        match &self.told {
            Some(_) => queue.spare.push(outcome),
            None => queue.unread.push_back(outcome),
        }
        self.moved.notify_all();
    }

    /// An empty one.
    fn outcome(&self) -> Outcome {
        let mut outcome = lock(&self.queue).spare.pop().unwrap_or_default();
        outcome.clear();
        outcome
    }

    fn conclude(&self, clip: &Clip, slot: &Slot, embeddings: &[f32], outcome: &mut Outcome) -> Result<()> {
        let StreamOptions { smoothing, hold, rule, top, forget, .. } = self.options;
        let labels = self.labels.load();
        let Memory { tracks, scores } = &mut *lock(&self.memory);
        tracks.begin(forget);
        for asked in &slot.asked {
            let track = tracks.get(asked.track);
            track.compare_with(&labels);
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
        if catch_unwind(AssertUnwindSafe(|| lock(told)(outcome))).is_err() {
            lock(&self.queue).ended = Some(PANICKED);
        }
    }

    pub fn poll(&self, timeout: Duration, outcome: &mut Outcome) -> bool {
        let queue = lock(&self.queue);
        let (mut queue, _) = self
            .moved
            .wait_timeout_while(queue, timeout, |queue| queue.unread.is_empty())
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(next) = queue.unread.pop_front() else { return false };
        queue.spare.push(std::mem::replace(outcome, next));
        self.moved.notify_all();
        true
    }

    pub fn flush(&self) {
        let busy = |queue: &mut Queue| !queue.waiting.is_empty() || queue.running > 0;
        drop(self.moved.wait_while(lock(&self.queue), busy));
    }

    pub fn counts(&self) -> Counts {
        lock(&self.queue).counts
    }

    /// Takes no more frames, and gives those back that wait. `within` its own function that is told, it cannot wait for what runs, nor tell
    /// anything.
    pub fn close(&self, within: bool) {
        let mut queue = lock(&self.queue);
        queue.ended.get_or_insert("it was closed");
        self.moved.notify_all();
        if within {
            return;
        }
        let running = |queue: &mut Queue| queue.running > 0;
        let mut queue =
            self.moved.wait_while(queue, running).unwrap_or_else(std::sync::PoisonError::into_inner);
        let waiting = std::mem::take(&mut queue.waiting);
        queue.frames = 0;
        drop(queue);
        let mut outcome = self.outcome();
        for waiting in waiting {
            (outcome.tag, outcome.sequence, outcome.latency) = match waiting {
                Waiting::Ready(slot) => (slot.tag, slot.sequence, slot.since.elapsed()),
                Waiting::Gone { tag, sequence, since } => (tag, sequence, since.elapsed()),
            };
            outcome.state = State::Dropped;
            self.tell(&outcome);
        }
    }
}

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
    let gone = Waiting::Gone { tag: slot.tag, sequence: slot.sequence, since: slot.since };
    match std::mem::replace(oldest, gone) {
        Waiting::Ready(slot) => Some(slot),
        Waiting::Gone { .. } => None,
    }
}

/// Tracks that the engine will not see in this frame have to be seen in the next one.
fn missed(slot: &Slot, due: &mut Due) {
    let seen = slot.asked.iter().filter(|asked| asked.picture.is_some());
    seen.filter_map(|asked| asked.track).for_each(|track| due.missed(track));
}
