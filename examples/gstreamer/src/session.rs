//! A model, and the stream of pictures that it classifies.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clip_runtime::Clip;
use clip_runtime::stream::{Dispatcher, Outcome, Stream};
use gstreamer::BufferRef;

use crate::analytics;
use crate::error::Error;
use crate::frame::Format;
use crate::models;
use crate::objects::Object;
use crate::report;
use crate::settings::Settings;

/// A model, and the stream of pictures that it classifies.
#[derive(Debug)]
pub struct Session {
    stream: Stream,
    /// Kept, so that it is not made for each buffer.
    outcome: Mutex<Outcome>,
    // After the stream, which ends first.
    model: Arc<Dispatcher>,
    /// Frames that were classified, and dropped, by streams before this one.
    before: (u64, u64),
}

impl Session {
    /// Opens what the settings name.
    pub fn open(settings: &Settings) -> Result<Session, Error> {
        if settings.embedding {
            analytics::has_tensors().map_err(|reason| Error::Tensors(reason.to_owned()))?;
        }
        let model = models::open(settings)?;
        let labels = settings.label_set(model.clip())?;
        let stream = model.stream(labels, settings.stream_options()?)?;
        Ok(Session { stream, outcome: Mutex::default(), model, before: (0, 0) })
    }

    /// Changes the labels under way.
    pub fn set_labels(&self, settings: &Settings) -> Result<(), Error> {
        Ok(self.stream.set_labels(settings.label_set(self.clip())?)?)
    }

    /// Frames that were classified, and that had to go.
    pub fn counts(&self) -> (u64, u64) {
        let counts = self.stream.counts();
        (self.before.0 + counts.done, self.before.1 + counts.dropped)
    }

    /// The same with a new stream, which remembers nothing.
    pub fn again(&self, settings: &Settings) -> Result<Session, Error> {
        let model = Arc::clone(&self.model);
        let stream = model.stream(self.stream.labels(), settings.stream_options()?)?;
        self.stream.flush()?;
        Ok(Session { stream, outcome: Mutex::default(), model, before: self.counts() })
    }

    /// Takes the picture of a buffer, or its objects.
    pub fn push(&self, format: &Format, buffer: &BufferRef, objects: Option<&[Object]>) -> Result<(), Error> {
        let tag = report::tag(buffer);
        format.with_frame(buffer, self.clip(), |frame| match objects {
            None => self.stream.push(frame, tag),
            Some(objects) => self.stream.push_regions(frame, objects.iter().map(|object| object.region), tag),
        })?;
        Ok(())
    }

    /// Waits until all that was pushed has its outcome.
    pub fn flush(&self) -> Result<(), Error> {
        Ok(self.stream.flush()?)
    }

    /// Tells of every outcome that is there.
    pub fn each_outcome(&self, mut told: impl FnMut(&Outcome)) -> Result<(), Error> {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        while self.stream.poll(Duration::ZERO, &mut outcome)? {
            told(&outcome);
        }
        Ok(())
    }

    fn clip(&self) -> &Clip {
        self.model.clip()
    }
}
