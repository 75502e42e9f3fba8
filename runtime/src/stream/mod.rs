//! Cameras: frames in at their pace, labels out in their order.
//!
//! ```no_run
//! use std::sync::Arc;
//! use clip_runtime::stream::{Dispatcher, Outcome, StreamOptions};
//! use clip_runtime::{Clip, Frame, FrameLayout, PixelFormat};
//!
//! let clip = Arc::new(Clip::open("emoji")?);
//! let labels = clip.label_set(&["cat", "dog"], &[])?;
//! let dispatcher = Dispatcher::new(clip)?;
//! let options = StreamOptions::new().smoothing(0.8).hold(3);
//! let camera = dispatcher.stream_with(labels, options, |outcome: &Outcome| println!("{outcome:?}"))?;
//! let layout = FrameLayout::new(PixelFormat::Nv12, 1920, 1080)?;
//! # let (luma, chroma) = (vec![0; layout.bytes(0)], vec![0; layout.bytes(1)]);
//! camera.push(&Frame::new(layout, &[&luma, &chroma])?, 1)?;
//! # Ok::<(), clip_runtime::Error>(())
//! ```
//!
//! A [`Dispatcher`] runs one model for any number of streams, in a thread of its own: it takes a frame of each stream that has one waiting, runs
//! them together, and starts its next round at another stream. A frame is resized to the model's input while it is pushed, in the thread that pushes
//! it, so that nothing of it is kept or copied but that.

mod dispatcher;
mod lane;
mod options;
mod outcome;
mod slot;
mod track;

use std::sync::Arc;
use std::time::Duration;

pub use dispatcher::Dispatcher;
pub use options::{StreamOptions, WhenFull};
pub use outcome::{Item, Outcome, State};
pub use slot::Region;

use crate::error::{Error, Result};
use crate::labels::LabelSet;
use clip_model::frame::Frame;
use dispatcher::Core;
use lane::Lane;

/// One camera's frames. Any thread may push; frames that several threads push at the same time get an order, and results come in that.
///
/// When it is dropped, frames that wait are given back as [`State::Dropped`].
#[derive(Debug)]
pub struct Stream {
    core: Arc<Core>,
    lane: Arc<Lane>,
}

/// What became of a frame that was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It will have an outcome, with this number; numbers count up from 0.
    Taken(u64),
    /// There was no room for it, and it will have none.
    Dropped,
}

/// How many frames a stream had so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Frames that were pushed.
    pub pushed: u64,
    /// Frames that were classified.
    pub done: u64,
    /// Frames that were dropped, as they were pushed or later.
    pub dropped: u64,
    /// Frames on which the engine failed.
    pub failed: u64,
}

impl Stream {
    /// Takes the frame, whose outcome will have the `tag`: a number, a time stamp, or an address, whatever tells the caller which frame it was.
    /// After it returns, the frame's memory is the caller's again.
    ///
    /// # Errors
    /// [`clip_model::Error::Memory`] when there is none for it; [`crate::Error::Forked`] in a fork; [`crate::Error::StreamCall`] where it would wait
    /// in a function that is told of outcomes. What fails later is told by the outcome.
    pub fn push(&self, frame: &Frame<'_>, tag: u64) -> Result<Pushed> {
        self.push_some(frame, None::<std::iter::Empty<Region>>, tag)
    }

    /// [`Stream::push`] for parts of a frame, such as a detector's boxes. Each becomes an [`Item`] of the outcome, in their order. The engine sees
    /// a track anew only in every [`StreamOptions::refresh`]th frame that it is in; in the others its item repeats what was found.
    ///
    /// # Errors
    /// [`clip_model::Error::Size`] for a region that is empty or does not lie in the frame, and for a track that is in it twice; else as [`Stream::push`].
    pub fn push_regions<R>(&self, frame: &Frame<'_>, regions: R, tag: u64) -> Result<Pushed>
    where
        R: IntoIterator<Item = Region, IntoIter: Clone>,
    {
        self.push_some(frame, Some(regions.into_iter()), tag)
    }

    fn push_some(
        &self,
        frame: &Frame<'_>,
        regions: Option<impl Iterator<Item = Region> + Clone>,
        tag: u64,
    ) -> Result<Pushed> {
        self.core.check_process()?;
        let pushed = self.lane.push(frame, regions, tag, !self.core.is_this_thread());
        // Also of what was dropped for it, there is an outcome to be given away.
        self.core.call();
        pushed
    }

    /// Puts the next outcome, of a stream without a function that is told, into `outcome`; waits for it so long at most. Says
    /// whether there was one. What `outcome` was made of before is used again, so that nothing is allocated.
    ///
    /// While 256 outcomes are unread, no more frames are taken.
    ///
    /// # Errors
    /// [`crate::Error::StreamCall`] where a function is told instead; [`crate::Error::Forked`] in a fork.
    pub fn poll(&self, timeout: Duration, outcome: &mut Outcome) -> Result<bool> {
        self.core.check_process()?;
        match self.lane.tells() {
            true => Err(Error::StreamCall("its outcomes are told to the function that it was opened with")),
            false => Ok(self.lane.poll(timeout, outcome)),
        }
    }

    /// Compares the frames with other labels from now on, also those that wait. Outcomes say which labels they are about.
    ///
    /// # Errors
    /// [`crate::Error::ForeignLabels`] when another model encoded them; [`crate::Error::Forked`] in a fork.
    pub fn set_labels(&self, labels: impl Into<Arc<LabelSet>>) -> Result<()> {
        self.core.check_process()?;
        let labels = labels.into();
        labels.check_model(self.core.clip().id())?;
        self.lane.labels.swap(labels);
        Ok(())
    }

    /// The labels that are in use.
    pub fn labels(&self) -> Arc<LabelSet> {
        self.lane.labels.load()
    }

    /// Waits until every frame that was pushed before has its outcome.
    ///
    /// # Errors
    /// [`crate::Error::StreamCall`] in a function that is told of outcomes, which would wait for itself; [`crate::Error::Forked`] in a fork.
    pub fn flush(&self) -> Result<()> {
        self.core.check_process()?;
        if self.core.is_this_thread() {
            return Err(Error::StreamCall(lane::WAITS));
        }
        self.lane.flush();
        Ok(())
    }

    /// How many frames it had so far.
    pub fn counts(&self) -> Counts {
        self.lane.counts()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // In a fork, locks may be held by threads that do not exist.
        if self.core.check_process().is_ok() {
            self.core.remove(&self.lane);
            self.lane.close(self.core.is_this_thread());
        }
    }
}
