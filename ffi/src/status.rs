//! Status codes, and the error of the last call.

use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_char};

/// What a call came to: CLIP_OK, one of the CLIP_ERROR_* codes, or a code below 10, which is no error.
pub type clip_status = i32;

/// The call succeeded.
pub const CLIP_OK: i32 = 0;
/// A frame was dropped, since there was no room for it or a newer one needed it.
pub const CLIP_DROPPED: i32 = 1;
/// There was no outcome within the time.
pub const CLIP_TIMEOUT: i32 = 2;
/// An argument is NULL that must not be.
pub const CLIP_ERROR_NULL: i32 = 10;
/// A string is not UTF-8.
pub const CLIP_ERROR_UTF8: i32 = 11;
/// A number or a name is not one of those allowed, or two arguments do not fit together.
pub const CLIP_ERROR_ARGUMENT: i32 = 12;
/// A buffer is too small.
pub const CLIP_ERROR_CAPACITY: i32 = 13;
/// The struct_size of an option struct is wrong, or the struct sets a field that this library does not have.
pub const CLIP_ERROR_STRUCT_SIZE: i32 = 14;
/// A file or folder cannot be read.
pub const CLIP_ERROR_FILE: i32 = 20;
/// The folder is not a model folder, or its parts contradict each other.
pub const CLIP_ERROR_MODEL: i32 = 21;
/// The model folder has a schema version that this library does not read.
pub const CLIP_ERROR_SCHEMA: i32 = 22;
/// A file of the model folder is not the one that its clip.json describes.
pub const CLIP_ERROR_HASH: i32 = 23;
/// The model folder was written without what the call needs: an encoder, or labels.
pub const CLIP_ERROR_MISSING: i32 = 24;
/// The file is not a label set, or another model encoded its labels.
pub const CLIP_ERROR_LABELS: i32 = 25;
/// The data is not an image that can be decoded.
pub const CLIP_ERROR_IMAGE: i32 = 30;
/// The image has more pixels than the model folder or clip_open_options allow.
pub const CLIP_ERROR_IMAGE_SIZE: i32 = 31;
/// A label, a template or a list of them cannot be used.
pub const CLIP_ERROR_PROMPT: i32 = 32;
/// The engine's shared library was not found, or cannot be used.
pub const CLIP_ERROR_LIBRARY: i32 = 40;
/// The engine refused the model or failed to run it, perhaps for lack of memory or threads, or in a fork.
pub const CLIP_ERROR_ENGINE: i32 = 41;
/// The device cannot be had: there is no driver or no such GPU, or the engine does not compute there.
pub const CLIP_ERROR_DEVICE: i32 = 42;
/// An engine of TensorRT in the folder was built for another machine: open it with `rebuild`.
pub const CLIP_ERROR_PLAN: i32 = 43;
/// There is not enough memory. The call may be made again.
pub const CLIP_ERROR_MEMORY: i32 = 50;
/// A bug in this library. The message says where.
pub const CLIP_ERROR_INTERNAL: i32 = 90;

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
    /// There was no memory for a message. It has no destructor: to register one takes memory, too.
    static NO_MEMORY: Cell<bool> = const { Cell::new(false) };
}

/// The name of a status, such as "CLIP_ERROR_NULL"; "unknown status" for any other number.
#[unsafe(no_mangle)]
pub extern "C" fn clip_status_name(status: clip_status) -> *const c_char {
    name(status).as_ptr().cast()
}

/// Says in one line why the last failed call on this thread failed; "" if none has. The string belongs to the library
/// and is valid until the next failure on this thread.
#[unsafe(no_mangle)]
pub extern "C" fn clip_last_error() -> *const c_char {
    if NO_MEMORY.get() {
        return c"not enough memory to begin the call".as_ptr();
    }
    // While a thread ends, its message may be gone already.
    LAST_ERROR.try_with(|text| text.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

/// Makes a place for an error of this thread, which takes memory: where there is none, glibc ends the process.
pub(crate) fn prepare_error() {
    let _ = LAST_ERROR.try_with(|_| ());
}

/// Keeps why a call failed on this thread; without a message, there was no memory for one.
pub(crate) fn keep_error(message: Option<CString>) {
    NO_MEMORY.set(message.is_none());
    if let Some(message) = message {
        let _ = LAST_ERROR.try_with(|last| last.replace(message));
    }
}

/// The name with a zero at its end.
fn name(status: clip_status) -> &'static str {
    macro_rules! names {
        ($($code:ident)*) => {
            match status {
                $($code => concat!(stringify!($code), "\0"),)*
                _ => "unknown status\0",
            }
        };
    }
    names! {
        CLIP_OK CLIP_DROPPED CLIP_TIMEOUT CLIP_ERROR_NULL CLIP_ERROR_UTF8 CLIP_ERROR_ARGUMENT CLIP_ERROR_CAPACITY CLIP_ERROR_STRUCT_SIZE
        CLIP_ERROR_FILE CLIP_ERROR_MODEL CLIP_ERROR_SCHEMA CLIP_ERROR_HASH CLIP_ERROR_MISSING CLIP_ERROR_LABELS
        CLIP_ERROR_IMAGE CLIP_ERROR_IMAGE_SIZE CLIP_ERROR_PROMPT CLIP_ERROR_LIBRARY CLIP_ERROR_ENGINE
        CLIP_ERROR_DEVICE CLIP_ERROR_PLAN CLIP_ERROR_MEMORY CLIP_ERROR_INTERNAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_own_names_and_tens() {
        let known: Vec<_> = (-100..200).filter(|&code| name(code) != "unknown status\0").collect();
        assert_eq!(
            known,
            [0, 1, 2, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24, 25, 30, 31, 32, 40, 41, 42, 43, 50, 90]
        );
        let names: std::collections::HashSet<_> = known.iter().map(|&code| name(code)).collect();
        assert_eq!(names.len(), known.len());
        assert!(known.iter().all(|&code| name(code).starts_with("CLIP_") && name(code).ends_with('\0')));
    }
}
