//! The border: every call from C that can fail passes through [`guard`].

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::ffi::{CString, c_char};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::argument;
use crate::status::{CLIP_OK, clip_status};

/// Everything that a call from C can come to, besides what it was called for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0} is NULL")]
    Null(String),
    #[error("{name} is not UTF-8: byte {at} begins no character")]
    Utf8 { name: String, at: usize },
    #[error("{0}")]
    Argument(String),
    #[error("{name} has room for {found} elements, {expected} are needed")]
    Capacity { name: &'static str, expected: usize, found: usize },
    #[error("{name}->struct_size is {found}, this library knows {known}: {reason}")]
    StructSize { name: &'static str, known: usize, found: usize, reason: &'static str },
    #[error(transparent)]
    Runtime(#[from] clip_runtime::Error),
    #[error(transparent)]
    Model(#[from] clip_model::Error),
    #[error("internal error, please report it: {0}")]
    Panic(String),
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What `clip_last_error` returns.
pub(crate) fn last_error() -> *const c_char {
    // While a thread ends, its message may be gone already.
    LAST_ERROR.try_with(|text| text.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

/// Runs `body`; an error or a panic becomes a status, its text what `clip_last_error` returns.
pub(crate) fn guard(body: impl FnOnce() -> Result<(), Error>) -> clip_status {
    hold_panic_messages();
    let _ = GUARDED.try_with(|guarded| guarded.set(true));
    let outcome = panic::catch_unwind(AssertUnwindSafe(body));
    let _ = GUARDED.try_with(|guarded| guarded.set(false));
    let error = match outcome {
        Ok(Ok(())) => return CLIP_OK,
        Ok(Err(error)) => error,
        Err(payload) => {
            let mut text = PANIC.try_with(RefCell::take).unwrap_or_default();
            if text.is_empty() {
                // It came from another thread.
                text = panic_text(&*payload).to_owned();
            }
            // Of a type we do not know, and dropping it might panic as well.
            std::mem::forget(payload);
            Error::Panic(text)
        }
    };
    let _ = LAST_ERROR.try_with(|last| last.replace(message(&error)));
    error.status()
}

/// Runs `make` and gives its result to the caller as a handle in `out`, which is NULL if anything fails.
pub(crate) unsafe fn create<T>(out: *mut *mut T, make: impl FnOnce() -> Result<T, Error>) -> clip_status {
    guard(|| {
        let out = unsafe { argument::output(out, "out") }?;
        out.write(std::ptr::null_mut());
        out.write(Box::into_raw(Box::new(make()?)));
        Ok(())
    })
}

/// Takes back and drops what [`create`] gave; nothing for NULL.
pub(crate) unsafe fn release<T>(handle: *mut T) {
    guard(|| {
        if !handle.is_null() {
            drop(unsafe { Box::from_raw(handle) });
        }
        Ok(())
    });
}

/// Keeps the messages of panics for `clip_last_error`, where Rust would print them. The library has its own copy of
/// Rust's standard library, so every panic that comes here is ours, on whatever thread.
fn hold_panic_messages() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let otherwise = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            // Except in this crate's unit tests.
            if cfg!(test) && !GUARDED.get() {
                return otherwise(panic);
            }
            let text = panic_text(panic.payload());
            let place = panic.location().map(|l| format!(" at {l}")).unwrap_or_default();
            let _ = PANIC.try_with(|held| held.replace(format!("{text}{place}")));
        }));
    });
}

fn panic_text(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("panic")
}

/// The error and its causes in one line.
fn message(error: &Error) -> CString {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    let line = text.replace('\0', "\u{fffd}").replace(['\n', '\r'], " ");
    CString::new(line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{CLIP_ERROR_ARGUMENT, CLIP_ERROR_INTERNAL, CLIP_ERROR_NULL};

    fn said() -> String {
        unsafe { std::ffi::CStr::from_ptr(last_error()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn panics_become_a_status() {
        let none: Option<u8> = std::hint::black_box(None);
        let status = guard(|| {
            none.unwrap();
            Ok(())
        });
        assert_eq!(status, CLIP_ERROR_INTERNAL);
        let text = said();
        assert!(text.contains("called `Option::unwrap()` on a `None` value at"), "{text}");
        assert!(text.contains("guard.rs:"), "{text}");
        // The thread goes on as before.
        assert_eq!(guard(|| Ok(())), CLIP_OK);
        assert_eq!(said(), text);
    }

    #[test]
    fn a_payload_that_panics_when_dropped_does_no_harm() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        assert_eq!(guard(|| panic::panic_any(Bomb)), CLIP_ERROR_INTERNAL);
        assert!(said().contains("panic at "), "{}", said());
    }

    #[test]
    fn a_panic_of_another_thread_is_told_as_well() {
        let status = guard(|| {
            let other = std::thread::spawn(|| panic!("worker {}", 3));
            other.join().unwrap_or_else(|payload| panic::resume_unwind(payload))
        });
        assert_eq!(status, CLIP_ERROR_INTERNAL);
        assert_eq!(said(), "internal error, please report it: worker 3");
    }

    #[test]
    fn a_handle_is_null_unless_it_was_made() {
        let mut out = std::ptr::dangling_mut::<u32>();
        let fail = || Err(Error::Argument("no".into()));
        assert_eq!(unsafe { create(&mut out, fail) }, CLIP_ERROR_ARGUMENT);
        assert!(out.is_null());
        out = std::ptr::dangling_mut();
        assert_eq!(unsafe { create(&mut out, || panic!("no")) }, CLIP_ERROR_INTERNAL);
        assert!(out.is_null());
        assert_eq!(unsafe { create(std::ptr::null_mut(), || Ok(7)) }, CLIP_ERROR_NULL);
        assert_eq!(unsafe { create(&mut out, || Ok(7)) }, CLIP_OK);
        assert_eq!(unsafe { *out }, 7);
        unsafe { release(out) };
        unsafe { release(std::ptr::null_mut::<u32>()) };
    }

    #[test]
    fn causes_are_told_in_one_line() {
        let missing = std::io::Error::other("two\nlines\0");
        let error = Error::Model(clip_model::Error::io("read", "/a", missing));
        assert_eq!(message(&error).to_str(), Ok("cannot read /a: two lines\u{fffd}"));
    }

    #[test]
    fn each_thread_has_its_own_error() {
        guard(|| Err(Error::Argument("here".into())));
        std::thread::spawn(|| {
            assert_eq!(said(), "");
            guard(|| Err(Error::Argument("there".into())));
            assert_eq!(said(), "there");
        })
        .join()
        .unwrap();
        assert_eq!(said(), "here");
    }
}
