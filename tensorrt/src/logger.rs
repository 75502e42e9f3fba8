//! What TensorRT says goes into `tracing`, and its errors into ours.
//!
//! TensorRT keeps the first logger that it is given for as long as any of its objects lives, and ignores others: so there is
//! one a process.

use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, PoisonError};

/// Messages that are kept for an error; the first ones say most.
const KEPT: usize = 8;

/// What kind of interface this is, for those that have a version.
#[repr(C)]
pub struct InterfaceInfo {
    pub kind: *const c_char,
    pub major: i32,
    pub minor: i32,
}

#[repr(C)]
struct Plain {
    log: extern "C" fn(*const c_void, i32, *const c_char),
    destructors: [extern "C" fn(*const c_void); 2],
}

#[repr(C)]
struct Versioned {
    language: extern "C" fn(*const c_void) -> i32,
    info: extern "C" fn(*const c_void) -> InterfaceInfo,
    destructors: [extern "C" fn(*const c_void); 2],
    log: extern "C" fn(*const c_void, i32, *const c_char),
}

static PLAIN: Plain = Plain { log, destructors: [nothing; 2] };
static VERSIONED: Versioned = Versioned { language: cplusplus, info, destructors: [nothing; 2], log };

/// An object of C++: a pointer to the table of its methods.
#[repr(transparent)]
struct Object<T: 'static>(&'static T);

static PLAIN_LOGGER: Object<Plain> = Object(&PLAIN);
static VERSIONED_LOGGER: Object<Versioned> = Object(&VERSIONED);

/// The logger, as families with and without a version in it take it.
pub fn logger(versioned: bool) -> *const c_void {
    match versioned {
        true => (&raw const VERSIONED_LOGGER).cast(),
        false => (&raw const PLAIN_LOGGER).cast(),
    }
}

static ERRORS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Forgets the errors that were logged so far, before something is done whose errors are to be told.
pub fn forget_errors() {
    ERRORS.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// The errors that were logged since [`forget_errors`], in one line; what happens in other threads meanwhile is among them.
pub fn errors() -> String {
    let errors = std::mem::take(&mut *ERRORS.lock().unwrap_or_else(PoisonError::into_inner));
    match errors.is_empty() {
        true => "TensorRT gives no reason".to_owned(),
        false => errors.join("; "),
    }
}

/// `ILogger::log`, with a severity from 0, internal error, to 4, verbose.
extern "C" fn log(_: *const c_void, severity: i32, message: *const c_char) {
    if message.is_null() {
        return;
    }
    // SAFETY: TensorRT passes a string that ends with a zero.
    let message = unsafe { CStr::from_ptr(message) }.to_string_lossy();
    let message = message.trim();
    match severity {
        ..=1 => {
            tracing::error!(target: "tensorrt", "{message}");
            let mut errors = ERRORS.lock().unwrap_or_else(PoisonError::into_inner);
            if errors.len() < KEPT && !errors.iter().any(|known| known == message) {
                errors.push(message.to_owned());
            }
        }
        2 => tracing::warn!(target: "tensorrt", "{message}"),
        3 => tracing::debug!(target: "tensorrt", "{message}"),
        _ => tracing::trace!(target: "tensorrt", "{message}"),
    }
}

/// `IVersionedInterface::getAPILanguage`: the interface is that of C++.
pub extern "C" fn cplusplus(_: *const c_void) -> i32 {
    0
}

extern "C" fn info(_: *const c_void) -> InterfaceInfo {
    InterfaceInfo { kind: c"ILogger".as_ptr(), major: 1, minor: 0 }
}

/// A destructor of what lives on.
pub extern "C" fn nothing(_: *const c_void) {}
