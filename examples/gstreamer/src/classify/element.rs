//! What `clipclassify` does with buffers.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use clip_runtime::stream::{Outcome, State};
use gstreamer::glib::{self, ParamSpec, Value};
use gstreamer::prelude::*;
use gstreamer::subclass::prelude::*;
use gstreamer::{BufferRef, Caps, ErrorMessage, EventView, FlowError, FlowSuccess, LoggableError};
use gstreamer_base::subclass::BaseTransformMode;
use gstreamer_base::subclass::prelude::*;

use super::properties::{self, Changed};
use crate::error::Error;
use crate::frame::{self, Format};
use crate::objects::{Finder, Object};
use crate::pads;
use crate::report;
use crate::session::Session;
use crate::settings::{Latency, Messages, Mode, Settings};

static LOG: LazyLock<gstreamer::DebugCategory> = LazyLock::new(|| {
    gstreamer::DebugCategory::new(
        "clip",
        gstreamer::DebugColorFlags::empty(),
        Some("zero-shot classification"),
    )
});

/// The element's inside.
#[derive(Default)]
pub struct Element {
    settings: Mutex<Settings>,
    /// While it runs.
    session: Mutex<Option<Arc<Session>>>,
    /// Held while labels are encoded, or the stream that has them is changed, so that those that were set last stay.
    changing: Mutex<()>,
    stream: Mutex<Running>,
    text: Mutex<Option<String>>,
    /// Buffers that were classified, and dropped, in the run that has ended.
    counts: Mutex<(u64, u64)>,
}

/// What the streaming thread knows.
#[derive(Default)]
struct Running {
    mode: Mode,
    latency: Latency,
    embedding: bool,
    format: Option<Format>,
    finder: Finder,
    /// Buffers so far.
    buffers: u64,
    /// The newest outcome, and whether there is one.
    last: Option<Outcome>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[glib::object_subclass]
impl ObjectSubclass for Element {
    const NAME: &'static str = "GstClipClassify";
    type Type = super::ClipClassify;
    type ParentType = gstreamer_base::BaseTransform;
}

impl ObjectImpl for Element {
    fn properties() -> &'static [ParamSpec] {
        static SPECS: LazyLock<Vec<ParamSpec>> = LazyLock::new(properties::specs);
        &SPECS
    }

    fn set_property(&self, _id: usize, value: &Value, spec: &ParamSpec) {
        let changed = properties::set(&mut lock(&self.settings), spec.name(), value);
        if changed != Changed::Labels {
            return;
        }
        let set = {
            let _one = lock(&self.changing);
            let Some(session) = self.session() else { return };
            let settings = lock(&self.settings).clone();
            session.set_labels(&settings)
        };
        // Labels that cannot be used leave those before in use. Whoever is told of that may set others at once.
        if let Err(error) = set {
            gstreamer::element_imp_warning!(self, gstreamer::LibraryError::Settings, ("{}", error.in_full()));
        }
    }

    fn property(&self, _id: usize, spec: &ParamSpec) -> Value {
        let counts = || self.session().map_or_else(|| *lock(&self.counts), |session| session.counts());
        match spec.name() {
            "text" => lock(&self.text).to_value(),
            "classified" => counts().0.to_value(),
            "dropped" => counts().1.to_value(),
            name => {
                properties::get(&lock(&self.settings), name).unwrap_or_else(|| spec.default_value().clone())
            }
        }
    }
}

impl GstObjectImpl for Element {}

impl ElementImpl for Element {
    fn metadata() -> Option<&'static gstreamer::subclass::ElementMetadata> {
        static METADATA: LazyLock<gstreamer::subclass::ElementMetadata> = LazyLock::new(|| {
            gstreamer::subclass::ElementMetadata::new(
                "Zero-shot classification",
                "Filter/Analyzer/Video",
                "Finds the labels that fit pictures, with a CLIP model",
                "libclip",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gstreamer::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gstreamer::PadTemplate>> =
            LazyLock::new(|| pads::templates(&frame::caps()));
        &TEMPLATES
    }
}

impl BaseTransformImpl for Element {
    const MODE: BaseTransformMode = BaseTransformMode::AlwaysInPlace;
    // Metadata is added, for which a buffer has to be writable; its memory never is.
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), ErrorMessage> {
        let _one = lock(&self.changing);
        let settings = lock(&self.settings).clone();
        let session = Session::open(&settings).map_err(|error| refused(&error))?;
        *lock(&self.session) = Some(Arc::new(session));
        let Settings { mode, latency, embedding, .. } = settings;
        *lock(&self.stream) = Running { mode, latency, embedding, ..Running::default() };
        *lock(&self.text) = None;
        self.obj().notify("text");
        Ok(())
    }

    fn stop(&self) -> Result<(), ErrorMessage> {
        if let Some(session) = lock(&self.session).take() {
            *lock(&self.counts) = session.counts();
        }
        *lock(&self.stream) = Running::default();
        Ok(())
    }

    fn set_caps(&self, incaps: &Caps, _outcaps: &Caps) -> Result<(), LoggableError> {
        let format = Format::new(incaps).map_err(|error| {
            gstreamer::element_imp_error!(self, gstreamer::StreamError::Format, ("{}", error.in_full()));
            gstreamer::loggable_error!(LOG, "{}", error.in_full())
        })?;
        lock(&self.stream).format = Some(format);
        Ok(())
    }

    fn sink_event(&self, event: gstreamer::Event) -> bool {
        // Nothing is locked meanwhile but what the streaming thread has: whoever is told of an outcome may ask for properties.
        let session = self.session();
        let done = match (event.view(), session) {
            (EventView::FlushStop(_), Some(session)) => self.forget(&session),
            // What is under way is told before the stream ends.
            (EventView::Eos(_), Some(session)) => {
                session.flush().and_then(|()| self.tell(&session, &mut lock(&self.stream)))
            }
            _ => Ok(()),
        };
        if let Err(error) = done {
            self.failed(&error);
        }
        self.parent_sink_event(event)
    }

    fn transform_ip(&self, buffer: &mut BufferRef) -> Result<FlowSuccess, FlowError> {
        let Some(session) = self.session() else { return Err(FlowError::Flushing) };
        let done = self.classify(&session, &mut lock(&self.stream), buffer);
        done.map_err(|error| {
            self.failed(&error);
            FlowError::Error
        })?;
        Ok(FlowSuccess::Ok)
    }
}

impl Element {
    fn session(&self) -> Option<Arc<Session>> {
        lock(&self.session).clone()
    }

    /// Begins anew after a seek: what was seen before says nothing about what comes.
    fn forget(&self, session: &Session) -> Result<(), Error> {
        let _one = lock(&self.changing);
        let settings = lock(&self.settings).clone();
        let mut running = lock(&self.stream);
        (running.buffers, running.last, running.finder) = (0, None, Finder::default());
        *lock(&self.session) = Some(Arc::new(session.again(&settings)?));
        Ok(())
    }

    fn failed(&self, error: &Error) {
        gstreamer::element_imp_error!(self, gstreamer::LibraryError::Failed, ("{}", error.in_full()));
    }

    /// Classifies a buffer, tells what was found, and writes it to the buffer.
    fn classify(
        &self,
        session: &Session,
        running: &mut Running,
        buffer: &mut BufferRef,
    ) -> Result<(), Error> {
        let interval = lock(&self.settings).interval;
        let Running { mode, latency, embedding, .. } = *running;
        let Some(format) = running.format.clone() else {
            return Err(Error::Picture("a buffer came before its caps".to_owned()));
        };
        let objects: Option<Vec<Object>> = match mode {
            Mode::Frame => None,
            Mode::Objects => {
                let (width, height) = format.size();
                Some(running.finder.find(buffer, width, height))
            }
        };
        let is_due = running.buffers.is_multiple_of(u64::from(interval.max(1)));
        running.buffers += 1;
        if is_due && !objects.as_ref().is_some_and(Vec::is_empty) {
            session.push(&format, buffer, objects.as_deref())?;
            if latency == Latency::Sync {
                session.flush()?;
            }
        }
        self.tell(session, running)?;
        if let Some(outcome) = &running.last {
            report::attach(buffer, outcome, objects.as_deref(), embedding);
        }
        Ok(())
    }

    /// Tells of the outcomes that are there, and keeps the newest.
    fn tell(&self, session: &Session, running: &mut Running) -> Result<(), Error> {
        let messages = lock(&self.settings).messages;
        let (mut failed, mut text) = (None, None);
        session.each_outcome(|outcome| {
            match &outcome.state {
                State::Done => {}
                State::Dropped => return,
                State::Failed(error) => {
                    failed.get_or_insert_with(|| error.clone());
                    return;
                }
            }
            for item in outcome.items() {
                let is_told = match messages {
                    Messages::All => true,
                    Messages::Changed => item.changed,
                    Messages::None => false,
                };
                if is_told {
                    let structure = report::structure(outcome, item);
                    let message = gstreamer::message::Element::builder(structure).src(&*self.obj()).build();
                    let _ = self.obj().post_message(message);
                }
                text = Some(report::text(outcome, item));
            }
            match &mut running.last {
                Some(last) => last.clone_from(outcome),
                none => *none = Some(outcome.clone()),
            }
        })?;
        if let Some(text) = text {
            let changed = lock(&self.text).replace(text.clone()) != Some(text);
            if changed {
                self.obj().notify("text");
            }
        }
        failed.map_or(Ok(()), |error| Err(Error::Failed(error)))
    }
}

/// A model or labels that cannot be had, as an error of the element.
fn refused(error: &Error) -> ErrorMessage {
    match error {
        Error::Model { .. } => {
            gstreamer::error_msg!(gstreamer::ResourceError::OpenRead, ("{}", error.in_full()))
        }
        _ => gstreamer::error_msg!(gstreamer::ResourceError::Settings, ("{}", error.in_full())),
    }
}
