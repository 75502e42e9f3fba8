//! How a stream treats its frames.

use crate::error::{Error, Result};
use crate::rule::Rule;

/// What happens to a frame when as many wait as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// The frame that waits longest goes, since a newer one says more. For cameras.
    #[default]
    DropOldest,
    /// The new frame goes.
    DropNewest,
    /// Whoever pushes waits. For files, of which no frame may be missed.
    Block,
}

/// How a stream treats its frames. What is not set is as [`StreamOptions::new`] has it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct StreamOptions {
    pub(super) capacity: usize,
    pub(super) when_full: WhenFull,
    pub(super) smoothing: f32,
    pub(super) hold: usize,
    pub(super) rule: Rule,
    pub(super) top: usize,
    pub(super) refresh: usize,
    pub(super) forget: usize,
}

/// The largest [`StreamOptions::capacity`].
const MAX_CAPACITY: usize = 1024;

impl Default for StreamOptions {
    fn default() -> StreamOptions {
        StreamOptions {
            capacity: 2,
            when_full: WhenFull::default(),
            smoothing: 0.0,
            hold: 1,
            rule: Rule::default(),
            top: 5,
            refresh: 1,
            forget: 30,
        }
    }
}

impl StreamOptions {
    /// Two frames wait at most, the oldest is dropped for a new one, nothing is smoothed or held, five labels are told.
    pub fn new() -> StreamOptions {
        StreamOptions::default()
    }

    /// Frames that wait at most, 1 to 1024, besides those that are run. More make results later, and fewer of them missing. Each takes the
    /// memory of one input of the model: 150 KB at 224 pixels.
    pub fn capacity(self, frames: usize) -> StreamOptions {
        StreamOptions { capacity: frames, ..self }
    }

    /// What happens to a frame when as many wait as may.
    pub fn when_full(self, when_full: WhenFull) -> StreamOptions {
        StreamOptions { when_full, ..self }
    }

    /// The share of the past in what is compared with the labels, from 0, none, to below 1: an exponential average of a track's embeddings,
    /// `s * past + (1 - s) * present`. At 0.8 a frame's share halves in three frames. Averaging embeddings, not probabilities, goes on over a
    /// change of labels, and a single odd frame moves it less.
    pub fn smoothing(self, share: f32) -> StreamOptions {
        StreamOptions { smoothing: share, ..self }
    }

    /// Frames in a row in which another label, or none, has to be found until that is what the stream shows; at least 1.
    pub fn hold(self, frames: usize) -> StreamOptions {
        StreamOptions { hold: frames, ..self }
    }

    /// When a frame shows none of the labels.
    pub fn rule(self, rule: Rule) -> StreamOptions {
        StreamOptions { rule, ..self }
    }

    /// How many labels an outcome tells, best first; at least 1.
    pub fn top(self, labels: usize) -> StreamOptions {
        StreamOptions { top: labels, ..self }
    }

    /// Of how many frames that a track is in, the engine sees one; at least 1, which is every one.
    pub fn refresh(self, frames: usize) -> StreamOptions {
        StreamOptions { refresh: frames, ..self }
    }

    /// Frames after which a track is forgotten that was in none of them; at least 1.
    pub fn forget(self, frames: usize) -> StreamOptions {
        StreamOptions { forget: frames, ..self }
    }

    /// Checks that the numbers make sense.
    pub(super) fn check(&self) -> Result<()> {
        let least = |what, found| match found {
            0 => Err(Error::StreamOptions(format!("{what} is 0, expected at least 1"))),
            _ => Ok(()),
        };
        if !(1..=MAX_CAPACITY).contains(&self.capacity) {
            return Err(Error::StreamOptions(format!(
                "the capacity is {} frames, expected 1 to {MAX_CAPACITY}",
                self.capacity
            )));
        }
        if !(0.0..1.0).contains(&self.smoothing) {
            return Err(Error::StreamOptions(format!(
                "the smoothing is {}, expected a share of the past from 0 to below 1",
                self.smoothing
            )));
        }
        least("hold", self.hold)?;
        least("top", self.top)?;
        least("refresh", self.refresh)?;
        least("forget", self.forget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        let new = StreamOptions::new;
        new().check().unwrap();
        for (options, said) in [
            (new().capacity(0), "the capacity is 0 frames, expected 1 to 1024"),
            (new().capacity(1025), "the capacity is 1025 frames"),
            (new().smoothing(1.0), "the smoothing is 1"),
            (new().smoothing(-0.1), "the smoothing is -0.1"),
            (new().smoothing(f32::NAN), "the smoothing is NaN"),
            (new().hold(0), "hold is 0"),
            (new().top(0), "top is 0"),
            (new().refresh(0), "refresh is 0"),
            (new().forget(0), "forget is 0"),
        ] {
            let error = options.check().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
