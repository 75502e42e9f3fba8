//! How far a build is, told by TensorRT, and how it is cancelled.

use std::ffi::{CStr, c_char, c_void};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use crate::logger::{InterfaceInfo, cplusplus, nothing};

/// How far a build is. It goes through phases, which contain others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Name of the phase, in TensorRT's words.
    pub phase: &'a str,
    /// How many phases it is inside of.
    pub depth: usize,
    /// Steps of the phase that are done.
    pub done: usize,
    /// Steps that it has.
    pub steps: usize,
}

/// What is told of the progress; [`ControlFlow::Break`] cancels the build.
pub type Watch<'a> = &'a mut (dyn FnMut(Progress<'_>) -> ControlFlow<()> + Send);

#[repr(C)]
struct Methods {
    language: extern "C" fn(*const c_void) -> i32,
    info: extern "C" fn(*const c_void) -> InterfaceInfo,
    destructors: [extern "C" fn(*const c_void); 2],
    phase_start: unsafe extern "C" fn(*const c_void, *const c_char, *const c_char, i32),
    step_complete: unsafe extern "C" fn(*const c_void, *const c_char, i32) -> bool,
    phase_finish: unsafe extern "C" fn(*const c_void, *const c_char),
}

static METHODS: Methods = Methods {
    language: cplusplus,
    info,
    destructors: [nothing; 2],
    phase_start,
    step_complete,
    phase_finish,
};

/// An `IProgressMonitor`. TensorRT calls it from several threads.
#[repr(C)]
pub struct Monitor<'a> {
    methods: &'static Methods,
    state: Mutex<State<'a>>,
}

struct State<'a> {
    watch: Watch<'a>,
    /// The phases that are under way: name, depth, steps.
    phases: Vec<(String, usize, usize)>,
    cancelled: bool,
}

impl<'a> Monitor<'a> {
    pub fn new(watch: Watch<'a>) -> Monitor<'a> {
        Monitor {
            methods: &METHODS,
            state: Mutex::new(State { watch, phases: Vec::new(), cancelled: false }),
        }
    }

    /// The interface. It must not be used after the monitor has gone.
    pub fn interface(&self) -> *const c_void {
        std::ptr::from_ref(self).cast()
    }

    pub fn cancelled(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).cancelled
    }
}

impl State<'_> {
    fn tell(&mut self, place: usize, done: usize) {
        let (phase, depth, steps) = &self.phases[place];
        let progress = Progress { phase, depth: *depth, done: done.min(*steps), steps: *steps };
        // A panic must not reach TensorRT's frames: it cancels.
        let watch = &mut self.watch;
        let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| watch(progress)));
        self.cancelled |= !matches!(answer, Ok(ControlFlow::Continue(())));
    }

    fn place(&self, phase: &str) -> Option<usize> {
        self.phases.iter().rposition(|(name, ..)| name == phase)
    }
}

/// Does something with the state behind the interface that TensorRT passes.
///
/// # Safety
/// The monitor is alive, and `phase` is null or a string that ends with a zero.
unsafe fn with<T>(
    monitor: *const c_void,
    phase: *const c_char,
    then: impl FnOnce(&mut State<'_>, String) -> T,
) -> T {
    // SAFETY: the interface is the monitor's own address.
    let monitor = unsafe { &*monitor.cast::<Monitor<'_>>() };
    // SAFETY: as promised.
    let phase = if phase.is_null() { "".into() } else { unsafe { CStr::from_ptr(phase) }.to_string_lossy() };
    then(&mut monitor.state.lock().unwrap_or_else(PoisonError::into_inner), phase.into_owned())
}

unsafe extern "C" fn phase_start(
    monitor: *const c_void,
    phase: *const c_char,
    parent: *const c_char,
    steps: i32,
) {
    // SAFETY: TensorRT calls this with what it was given, and strings.
    let parent =
        (!parent.is_null()).then(|| unsafe { CStr::from_ptr(parent) }.to_string_lossy().into_owned());
    unsafe {
        with(monitor, phase, |state, phase| {
            let parent = parent.and_then(|parent| state.place(&parent));
            let depth = parent.map_or(0, |place| state.phases[place].1 + 1);
            state.phases.push((phase, depth, usize::try_from(steps).unwrap_or(0)));
            state.tell(state.phases.len() - 1, 0);
        });
    }
}

unsafe extern "C" fn step_complete(monitor: *const c_void, phase: *const c_char, step: i32) -> bool {
    // SAFETY: as above.
    unsafe {
        with(monitor, phase, |state, phase| {
            if let Some(place) = state.place(&phase) {
                state.tell(place, usize::try_from(step).map_or(0, |step| step.saturating_add(1)));
            }
            !state.cancelled
        })
    }
}

unsafe extern "C" fn phase_finish(monitor: *const c_void, phase: *const c_char) {
    // SAFETY: as above.
    unsafe {
        with(monitor, phase, |state, phase| {
            if let Some(place) = state.place(&phase) {
                state.tell(place, usize::MAX);
                state.phases.remove(place);
            }
        });
    }
}

extern "C" fn info(_: *const c_void) -> InterfaceInfo {
    InterfaceInfo { kind: c"IProgressMonitor".as_ptr(), major: 1, minor: 0 }
}
