//! Streams of frames.

use std::ffi::{CString, c_char, c_void};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clip_runtime::frame::Rect;
use clip_runtime::frame_memory::CameraFrame;
use clip_runtime::stream::{Outcome, Pushed, Region, State, Stream, StreamOptions, WhenFull};
use clip_runtime::{Clip, LabelSet, Rule};

use crate::argument;
use crate::classify::clip_match;
use crate::decide::{clip_rule, rule};
use crate::error::{Error, Name};
use crate::frame::{clip_frame, given};
use crate::guard::{create, guard, guard_again, release};
use crate::labels::clip_labels;
use crate::model::clip_model;
use crate::status::{CLIP_DROPPED, CLIP_OK, CLIP_TIMEOUT, clip_status};

/// The frame that waits longest goes for a new one. For cameras.
pub const CLIP_DROP_OLDEST: i32 = 0;
/// The new frame goes: clip_stream_push returns CLIP_DROPPED.
pub const CLIP_DROP_NEWEST: i32 = 1;
/// clip_stream_push waits for room. For files, of which no frame may be missed.
pub const CLIP_BLOCK: i32 = 2;

/// One camera's frames, which are classified in the order in which they are pushed. All streams of a model share a
/// thread that runs it for them in turn, so that none starves; it sleeps while no frame waits. Any number of threads
/// may push. A stream goes on when its model is freed.
pub struct clip_stream {
    stream: Stream,
    clip: Arc<Clip>,
    known: Arc<Known>,
    polled: Mutex<Polled>,
}

/// What was found in a frame, or in one of its regions.
#[repr(C)]
pub struct clip_item {
    /// The region's track; 0 where the frame was pushed as a whole.
    pub track: u64,
    /// The label that is shown, after as many frames as `hold` says, or CLIP_NONE.
    pub label: usize,
    /// Its name, or NULL.
    pub name: *const c_char,
    /// Not 0 where that is another label than in the track's outcome before.
    pub changed: i32,
    /// Not 0 where the model has seen this frame's region; 0 where what was found before is repeated.
    pub fresh: i32,
    /// The best labels, smoothed, best first.
    pub matches: *const clip_match,
    /// How many they are; 0 where the model has never seen the track, since its first frames were dropped.
    pub count: usize,
    /// The embedding, smoothed, of clip_model_embed_dim floats; NULL where `count` is 0.
    pub embedding: *const f32,
}

/// What a frame came to. Each frame that clip_stream_push took has one, in the order in which they were taken.
#[repr(C)]
pub struct clip_outcome {
    /// What the frame was pushed with.
    pub tag: u64,
    /// The number of the frame in its stream, from 0.
    pub sequence: u64,
    /// From the push of the frame to its outcome, in nanoseconds.
    pub latency: u64,
    /// CLIP_OK, CLIP_DROPPED, or the error with which the engine failed.
    pub status: clip_status,
    /// Why it failed, or "".
    pub error: *const c_char,
    /// The labels that the frame was compared with, NULL unless `status` is CLIP_OK. They are the stream's, see
    /// clip_labels_retain.
    pub labels: *const clip_labels,
    /// How many items there are: 1 of a whole frame, else one for each region; 0 unless `status` is CLIP_OK.
    pub count: usize,
    /// See clip_outcome_item.
    items: *const clip_item,
}

/// Is told of an outcome, which is valid until it returns, in a thread of the library, for which all streams of the
/// model wait meanwhile; of frames that clip_stream_free gives back, in the thread that called that. It may call whatever
/// it wants, the functions of streams too, but clip_stream_flush and a push that would wait are refused there.
pub type clip_outcome_function =
    Option<unsafe extern "C" fn(user: *mut c_void, outcome: *const clip_outcome)>;

/// How a stream treats its frames. Start from CLIP_STREAM_OPTIONS_INIT, then set the fields that matter to you. A
/// field that is 0 or NULL has its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct clip_stream_options {
    /// sizeof(clip_stream_options).
    pub struct_size: usize,
    /// Frames that wait at most, besides those that are run, up to 1024. The default is 2.
    pub capacity: usize,
    /// What happens to a frame when as many wait: CLIP_DROP_OLDEST, CLIP_DROP_NEWEST or CLIP_BLOCK.
    pub when_full: i32,
    /// The share of the past in what is compared with the labels, from 0, none, to below 1: an exponential average of a
    /// track's embeddings. At 0.8 a frame's share halves in three frames.
    pub smoothing: f32,
    /// Frames in a row in which another label, or none, has to be found until that is what is shown. The default is 1.
    pub hold: usize,
    /// When a frame shows none of the labels. NULL for CLIP_RULE_INIT.
    pub rule: *const clip_rule,
    /// How many labels an outcome tells. The default is 5.
    pub top: usize,
    /// Of how many frames that a track is in, the model sees one. The default is 1.
    pub refresh: usize,
    /// Frames after which a track is forgotten that was in none of them. The default is 30.
    pub forget: usize,
    /// What is told of outcomes. NULL for clip_stream_poll to be called instead.
    pub outcome: clip_outcome_function,
    /// What that function is given with each.
    pub user: *mut c_void,
}

// SAFETY: numbers and pointers, of which zeros are what a caller leaves unset.
unsafe impl argument::Options for clip_stream_options {
    const SMALLEST: usize = size_of::<clip_stream_options>();
}

/// A part of a frame, pixels of the frame as it lies in memory.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct clip_region {
    /// What is the same thing in several frames has the same number, as trackers give it; in a frame, each number once.
    pub track: u64,
    /// Columns to the left of it.
    pub left: usize,
    /// Rows above it.
    pub top: usize,
    /// Its width, at least 1.
    pub width: usize,
    /// Its height, at least 1.
    pub height: usize,
}

/// How many frames a stream had so far.
#[repr(C)]
pub struct clip_stream_counts {
    /// Frames that were pushed.
    pub pushed: u64,
    /// Frames that were classified.
    pub done: u64,
    /// Frames that were dropped, as they were pushed or later.
    pub dropped: u64,
    /// Frames on which the engine failed.
    pub failed: u64,
}

/// Opens a stream of frames, to be compared with `labels`. `options` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_stream_open(
    model: *const clip_model,
    labels: *const clip_labels,
    options: *const clip_stream_options,
    out: *mut *mut clip_stream,
) -> clip_status {
    unsafe {
        create(out, || {
            let model = argument::reference(model, "model")?;
            let labels = owned(labels)?;
            let (options, outcome, user) = match options.is_null() {
                true => (StreamOptions::new(), None, ptr::null_mut()),
                false => read(options)?,
            };
            let set = Arc::clone(&labels.set);
            let known = Arc::new(Known(Mutex::new(vec![labels])));
            let dispatcher = model.dispatcher()?;
            let stream = match outcome {
                None => dispatcher.stream(set, options)?,
                Some(function) => {
                    let mut told = Told { function, user, known: Arc::clone(&known), view: View::new() };
                    dispatcher.stream_with(set, options, move |outcome| told.tell(outcome))?
                }
            };
            let polled = Polled { outcome: Outcome::default(), view: View::new() };
            Ok(clip_stream { stream, clip: Arc::clone(&model.clip), known, polled: Mutex::new(polled) })
        })
    }
}

unsafe fn read(
    options: *const clip_stream_options,
) -> Result<(StreamOptions, clip_outcome_function, *mut c_void), Error> {
    let given = unsafe { argument::options(options, "options") }?;
    let when_full = match given.when_full {
        CLIP_DROP_OLDEST => WhenFull::DropOldest,
        CLIP_DROP_NEWEST => WhenFull::DropNewest,
        CLIP_BLOCK => WhenFull::Block,
        other => {
            return Err(Error::Argument(format!(
                "options->when_full is {other}, expected CLIP_DROP_OLDEST, CLIP_DROP_NEWEST or CLIP_BLOCK"
            )));
        }
    };
    let rule = if given.rule.is_null() { Rule::default() } else { unsafe { rule(given.rule) }? };
    let or = |given: usize, default| if given == 0 { default } else { given };
    let options = StreamOptions::new()
        .capacity(or(given.capacity, 2))
        .when_full(when_full)
        .smoothing(given.smoothing)
        .hold(or(given.hold, 1))
        .rule(rule)
        .top(or(given.top, 5))
        .refresh(or(given.refresh, 1))
        .forget(or(given.forget, 30));
    Ok((options, given.outcome, given.user))
}

/// Ends the stream: waits for the frame that runs, and gives the others back as dropped. Not to be called in its own
/// outcome function. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_stream_free(stream: *mut clip_stream) {
    unsafe { release(stream) }
}

/// Takes a frame, whose outcome will have the `tag`: a number, a time stamp or an address, whatever tells you which
/// frame it was. The frame is resized before the function returns; its memory is yours again then. Returns
/// CLIP_DROPPED where there was no room for it; it will have no outcome.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_stream_push(
    stream: *const clip_stream,
    frame: *const clip_frame,
    tag: u64,
) -> clip_status {
    unsafe { push(stream, frame, |stream, frame| stream.push(frame, tag)) }
}

/// Does the same for parts of a frame, such as a detector's boxes. Each becomes an item of the outcome, in their
/// order. Regions are seen instead of the frame's crop, and turned as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_stream_push_regions(
    stream: *const clip_stream,
    frame: *const clip_frame,
    regions: *const clip_region,
    n: usize,
    tag: u64,
) -> clip_status {
    let read = |region: &clip_region| {
        let clip_region { track, left, top, width, height } = *region;
        Region { track, rect: Rect { left, top, width, height } }
    };
    unsafe {
        push_with(stream, frame, |stream, frame| {
            let regions = argument::slice(regions, n, "regions")?;
            Ok(stream.push_regions(frame, regions.iter().map(read), tag)?)
        })
    }
}

unsafe fn push(
    stream: *const clip_stream,
    frame: *const clip_frame,
    push: impl FnOnce(&Stream, &clip_runtime::Frame<'_>) -> clip_runtime::Result<Pushed>,
) -> clip_status {
    unsafe { push_with(stream, frame, |stream, frame| Ok(push(stream, frame)?)) }
}

unsafe fn push_with(
    stream: *const clip_stream,
    pushed: *const clip_frame,
    push: impl FnOnce(&Stream, &clip_runtime::Frame<'_>) -> Result<Pushed, Error>,
) -> clip_status {
    let mut dropped = false;
    let status = guard_again(|_| unsafe {
        let clip_stream { stream, clip, .. } = argument::reference(stream, "stream")?;
        let given = given(pushed, Name("frame", None))?;
        let CameraFrame { memory, layout, view } = given.frame();
        let taken = clip.mapper().with_host(&memory, layout, view, |frame| Ok(push(stream, frame)))?;
        dropped = taken? == Pushed::Dropped;
        Ok(())
    });
    if dropped { CLIP_DROPPED } else { status }
}

/// Writes the next outcome to `*out`, of a stream whose options name no function. Waits for it up to `timeout_ms`
/// milliseconds; then it returns CLIP_TIMEOUT and `*out` is NULL. The outcome is valid until the next call for this
/// stream, so one thread polls. While 256 outcomes are unread, a push waits with CLIP_BLOCK, and else returns CLIP_DROPPED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_stream_poll(
    stream: *const clip_stream,
    timeout_ms: u32,
    out: *mut *const clip_outcome,
) -> clip_status {
    if let Some(out) = unsafe { out.as_mut() } {
        *out = ptr::null();
    }
    let mut timeout = false;
    let status = guard_again(|_| unsafe {
        let stream = argument::reference(stream, "stream")?;
        let out = argument::output(out, "out")?;
        let Polled { outcome, view } = &mut *lock(&stream.polled);
        timeout = !stream.stream.poll(Duration::from_millis(timeout_ms.into()), outcome)?;
        out.write(if timeout { ptr::null() } else { view.of(outcome, &stream.known) });
        Ok(())
    });
    if timeout { CLIP_TIMEOUT } else { status }
}

/// The item at `index` of an outcome, counted from 0, or NULL when there is none. It is valid as long as the outcome.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_outcome_item(outcome: *const clip_outcome, index: usize) -> *const clip_item {
    match unsafe { outcome.as_ref() } {
        Some(outcome) if index < outcome.count => unsafe { outcome.items.add(index) },
        _ => ptr::null(),
    }
}

/// Compares frames with other labels from now on, also those that wait. Outcomes say which labels they are about.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_stream_set_labels(
    stream: *const clip_stream,
    labels: *const clip_labels,
) -> clip_status {
    guard(|_| unsafe {
        let stream = argument::reference(stream, "stream")?;
        let labels = owned(labels)?;
        let set = Arc::clone(&labels.set);
        // They are known before any outcome is about them. Those are let go whose set nothing else has: no stream, no outcome.
        let mut known = lock(&stream.known.0);
        known.retain(|labels| Arc::strong_count(&labels.set) > 1);
        known.push(labels);
        let changed = stream.stream.set_labels(set);
        if changed.is_err() {
            known.pop();
        }
        Ok(changed?)
    })
}

/// Waits until every frame that was pushed before has its outcome.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_stream_flush(stream: *const clip_stream) -> clip_status {
    guard(|_| Ok(unsafe { argument::reference(stream, "stream") }?.stream.flush()?))
}

/// Writes to `*counts` how many frames the stream had so far.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_stream_count(
    stream: *const clip_stream,
    counts: *mut clip_stream_counts,
) -> clip_status {
    guard_again(|_| unsafe {
        let stream = argument::reference(stream, "stream")?;
        let found = stream.stream.counts();
        argument::output(counts, "counts")?.write(clip_stream_counts {
            pushed: found.pushed,
            done: found.done,
            dropped: found.dropped,
            failed: found.failed,
        });
        Ok(())
    })
}

/// One more owner of labels that C has.
unsafe fn owned(labels: *const clip_labels) -> Result<Arc<clip_labels>, Error> {
    unsafe {
        argument::reference(labels, "labels")?;
        Arc::increment_strong_count(labels);
        Ok(Arc::from_raw(labels))
    }
}

/// The labels that outcomes may be about.
struct Known(Mutex<Vec<Arc<clip_labels>>>);

impl Known {
    /// C's labels of these.
    fn find(&self, set: &Arc<LabelSet>) -> *const clip_labels {
        let known = lock(&self.0);
        known.iter().find(|labels| Arc::ptr_eq(&labels.set, set)).map_or(ptr::null(), Arc::as_ptr)
    }
}

/// An outcome as C sees it, and the memory that it points to, which is used again.
struct View {
    outcome: clip_outcome,
    items: Vec<clip_item>,
    matches: Vec<clip_match>,
    error: CString,
}

impl View {
    fn new() -> View {
        let outcome = clip_outcome {
            tag: 0,
            sequence: 0,
            latency: 0,
            status: CLIP_OK,
            error: c"".as_ptr(),
            labels: ptr::null(),
            count: 0,
            items: ptr::null(),
        };
        View { outcome, items: Vec::new(), matches: Vec::new(), error: CString::default() }
    }

    /// The outcome, valid as long as neither it nor this is changed.
    fn of(&mut self, outcome: &Outcome, known: &Known) -> *const clip_outcome {
        let labels = outcome.labels.as_ref().map_or(ptr::null(), |labels| known.find(labels));
        self.items.clear();
        self.matches.clear();
        for item in outcome.items() {
            let scores = outcome.scores(item);
            self.matches.extend(scores.iter().map(|score| clip_match {
                index: score.index,
                probability: score.probability,
                similarity: score.similarity,
            }));
            let embedding = outcome.embedding(item);
            self.items.push(clip_item {
                track: item.track.unwrap_or(0),
                label: item.label.unwrap_or(usize::MAX),
                name: unsafe { labels.as_ref() }
                    .zip(item.label)
                    .map_or(ptr::null(), |(labels, label)| labels.name(label)),
                changed: item.changed.into(),
                fresh: item.fresh.into(),
                matches: ptr::null(),
                count: scores.len(),
                embedding: if embedding.is_empty() { ptr::null() } else { embedding.as_ptr() },
            });
        }
        // All of them are there now, and move no more.
        let mut first = 0;
        for item in &mut self.items {
            item.matches = self.matches[first..].as_ptr();
            first += item.count;
        }
        let failed = match &outcome.state {
            State::Failed(error) => {
                let error = Error::Failed(Arc::clone(error));
                self.error = error.message();
                Some((error.status(), self.error.as_ptr()))
            }
            State::Dropped => Some((CLIP_DROPPED, c"".as_ptr())),
            State::Done => None,
        };
        let (status, error) = failed.unwrap_or((CLIP_OK, c"".as_ptr()));
        self.outcome = clip_outcome {
            tag: outcome.tag,
            sequence: outcome.sequence,
            latency: outcome.latency.as_nanos().try_into().unwrap_or(u64::MAX),
            status,
            error,
            labels,
            count: self.items.len(),
            items: self.items.as_ptr(),
        };
        &raw const self.outcome
    }
}

/// The outcome that was polled last.
struct Polled {
    outcome: Outcome,
    view: View,
}

// SAFETY: its pointers are to what it owns itself, or to what its stream owns.
unsafe impl Send for Polled {}

/// C's function, and what it is given.
struct Told {
    function: unsafe extern "C" fn(*mut c_void, *const clip_outcome),
    user: *mut c_void,
    known: Arc<Known>,
    view: View,
}

// SAFETY: as of `Polled`; and the caller knows that the function is called in another thread.
unsafe impl Send for Told {}

impl Told {
    fn tell(&mut self, outcome: &Outcome) {
        let outcome = self.view.of(outcome, &self.known);
        unsafe { (self.function)(self.user, outcome) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
