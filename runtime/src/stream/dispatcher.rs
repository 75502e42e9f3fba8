//! What runs the frames of all streams of a model.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};

use clip_model::parallel;

use super::Stream;
use super::lane::{Lane, Told, Waiting};
use super::options::StreamOptions;
use super::outcome::Outcome;
use crate::clip::Clip;
use crate::error::{Error, Part, Result};
use crate::input::grow;
use crate::labels::LabelSet;
use crate::slot::LabelSlot;
use crate::thread::lock;

/// Pictures that run together, unless it is said otherwise. On a processor, more than a few gain little, and make the first of them wait.
const AT_ONCE: usize = 8;

/// Runs a model for any number of streams, fairly, in a thread of its own, which sleeps while no frame waits. The thread ends with the last of
/// them. A clone is the same dispatcher.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    core: Arc<Core>,
}

impl Dispatcher {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Error::Missing`] when the model has no image encoder; [`Error::Thread`] when the thread cannot be started.
    pub fn new(clip: Arc<Clip>) -> Result<Dispatcher> {
        Dispatcher::with_batch(clip, AT_ONCE)
    }

    /// The same, with at most so many pictures that run together, at least 1. A frame's regions are not torn apart.
    ///
    /// # Errors
    /// As [`Dispatcher::new`].
    pub fn with_batch(clip: Arc<Clip>, most: usize) -> Result<Dispatcher> {
        if clip.manifest().image.is_none() {
            return Err(Error::Missing { model: clip.name().to_owned(), what: Part::ImageEncoder });
        }
        let shared =
            Arc::new(Shared { clip, most: most.max(1), lanes: Mutex::default(), called: Condvar::new() });
        if !parallel::can_start() {
            return Err(Error::Thread("there is too little memory for one".to_owned()));
        }
        let run = {
            let shared = Arc::clone(&shared);
            move || serve(&shared)
        };
        let thread = thread::Builder::new()
            .name("clip-streams".to_owned())
            .spawn(run)
            .map_err(|e| Error::Thread(e.to_string()))?;
        let core =
            Core { shared, id: thread.thread().id(), thread: Some(thread), process: std::process::id() };
        Ok(Dispatcher { core: Arc::new(core) })
    }

    /// The model.
    pub fn clip(&self) -> &Arc<Clip> {
        &self.core.shared.clip
    }

    /// A stream whose outcomes are polled, by [`Stream::poll`].
    ///
    /// # Errors
    /// [`Error::StreamOptions`] for options that make no sense; [`Error::ForeignLabels`] when another model encoded the labels.
    pub fn stream(&self, labels: impl Into<Arc<LabelSet>>, options: StreamOptions) -> Result<Stream> {
        self.open(labels.into(), options, None)
    }

    /// A stream of whose outcomes `told` is told, in the dispatcher's thread: all streams wait for it. It may use streams, but neither
    /// [`Stream::flush`] nor push where that waits. A stream whose function panics ends.
    ///
    /// # Errors
    /// As [`Dispatcher::stream`].
    pub fn stream_with(
        &self,
        labels: impl Into<Arc<LabelSet>>,
        options: StreamOptions,
        told: impl FnMut(&Outcome) + Send + 'static,
    ) -> Result<Stream> {
        self.open(labels.into(), options, Some(Box::new(told)))
    }

    fn open(&self, labels: Arc<LabelSet>, options: StreamOptions, told: Option<Told>) -> Result<Stream> {
        options.check()?;
        let clip = self.core.clip();
        labels.check_model(clip.id())?;
        let preprocess = clip.manifest().preprocess.clone();
        let lane = Arc::new(Lane::new(options, preprocess, LabelSlot::new(labels), told));
        lock(&self.core.shared.lanes).lanes.push(Arc::clone(&lane));
        Ok(Stream { core: Arc::clone(&self.core), lane })
    }
}

/// The dispatcher, as its streams hold it.
#[derive(Debug)]
pub(super) struct Core {
    shared: Arc<Shared>,
    id: ThreadId,
    thread: Option<JoinHandle<()>>,
    process: u32,
}

/// What the thread has, too.
#[derive(Debug)]
struct Shared {
    clip: Arc<Clip>,
    most: usize,
    lanes: Mutex<Lanes>,
    called: Condvar,
}

#[derive(Debug, Default)]
struct Lanes {
    lanes: Vec<Arc<Lane>>,
    /// Whose turn is the first of the next round.
    turn: usize,
    /// A frame was pushed since the thread looked last.
    called: bool,
    closing: bool,
}

impl Core {
    pub fn clip(&self) -> &Clip {
        &self.shared.clip
    }

    /// Whether this is the dispatcher's own thread.
    pub fn is_this_thread(&self) -> bool {
        thread::current().id() == self.id
    }

    /// In a fork, the thread does not exist, and waiting for it would never end.
    pub fn check_process(&self) -> Result<()> {
        match self.process == std::process::id() {
            true => Ok(()),
            false => Err(Error::Forked { opened_by: self.process }),
        }
    }

    /// A frame waits.
    pub fn call(&self) {
        lock(&self.shared.lanes).called = true;
        self.shared.called.notify_one();
    }

    pub fn remove(&self, lane: &Arc<Lane>) {
        lock(&self.shared.lanes).lanes.retain(|known| !Arc::ptr_eq(known, lane));
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if self.check_process().is_err() {
            return;
        }
        lock(&self.shared.lanes).closing = true;
        self.shared.called.notify_one();
        // The last of the streams may go in a function that the thread calls, and no thread waits for itself.
        if let Some(thread) = self.thread.take()
            && !self.is_this_thread()
        {
            // It returns nothing, and has no panic of its own.
            let _ = thread.join();
        }
    }
}

/// Frames that run together, and memory for that, which is used again.
#[derive(Default)]
struct Batch {
    taken: Vec<(Arc<Lane>, Waiting)>,
    /// For each picture, the frame and its number in there.
    pictures: Vec<(usize, usize)>,
    embeddings: Vec<f32>,
}

fn serve(shared: &Shared) {
    let mut batch = Batch::default();
    while shared.gather(&mut batch) {
        shared.run(&mut batch);
    }
}

impl Shared {
    /// Waits for frames and takes some, of each stream in turn. False when it is to end.
    fn gather(&self, batch: &mut Batch) -> bool {
        let mut state = lock(&self.lanes);
        loop {
            if state.closing {
                return false;
            }
            state.called = false;
            state.take(self.most, batch);
            if !batch.taken.is_empty() {
                return true;
            }
            let idle = |state: &mut Lanes| !state.called && !state.closing;
            state = self.called.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Computes the embeddings of a batch, and finishes its frames.
    fn run(&self, Batch { taken, pictures, embeddings }: &mut Batch) {
        pictures.clear();
        for (frame, (_, waiting)) in taken.iter().enumerate() {
            pictures.extend((0..waiting.pictures()).map(|picture| (frame, picture)));
        }
        let dim = self.clip.embed_dim();
        let picture = |i: usize| {
            let (frame, picture) = pictures[i];
            match &taken[frame].1 {
                Waiting::Ready(slot) => slot.picture(picture, self.clip.manifest().preprocess.size),
                Waiting::Gone(_) => &[],
            }
        };
        let encode =
            |pictures: Range<usize>, embeddings: &mut Vec<f32>| -> std::result::Result<(), Arc<Error>> {
                if pictures.is_empty() {
                    return Ok(());
                }
                let (first, own) = (pictures.start, pictures.start * dim..pictures.end * dim);
                let of_these = |i: usize| picture(first + i);
                grow("embeddings", embeddings, own.end)
                    .and_then(|()| self.clip.encode_fitted(pictures.len(), &of_these, &mut embeddings[own]))
                    .map_err(Arc::new)
            };
        let done = encode(0..pictures.len(), embeddings);
        // What fails together is tried one by one: the frame of one camera is no reason for another's to fail.
        let mut first = 0;
        let own = taken.iter().map(|(_, waiting)| {
            let own = first..first + waiting.pictures();
            first = own.end;
            own
        });
        let alone: Vec<std::result::Result<(), Arc<Error>>> = match &done {
            Err(_) if taken.len() > 1 => own.map(|own| encode(own, embeddings)).collect(),
            _ => Vec::new(),
        };
        let mut first = 0;
        for (frame, (lane, waiting)) in taken.drain(..).enumerate() {
            let own = first..first + waiting.pictures() * dim;
            first = own.end;
            let done = alone.get(frame).unwrap_or(&done);
            lane.finish(&self.clip, waiting, done.as_ref().map(|()| &embeddings[own]));
        }
    }
}

impl Lanes {
    /// Takes a frame of each stream, and again, until there are `most` pictures or none waits.
    fn take(&mut self, most: usize, batch: &mut Batch) {
        let lanes = self.lanes.len();
        self.turn = (self.turn + 1) % lanes.max(1);
        let mut pictures = 0;
        let (mut turn, mut idle) = (self.turn, 0);
        while idle < lanes && pictures < most {
            let lane = &self.lanes[turn % lanes];
            turn += 1;
            match lane.take() {
                Some(waiting) => {
                    idle = 0;
                    pictures += waiting.pictures();
                    batch.taken.push((Arc::clone(lane), waiting));
                }
                None => idle += 1,
            }
        }
    }
}

impl Waiting {
    fn pictures(&self) -> usize {
        match self {
            Waiting::Ready(slot) => slot.pictures,
            Waiting::Gone(_) => 0,
        }
    }
}
