//! The border: every call from C that can fail passes through [`guard`].

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Once};

use clip_model::memory;

use crate::argument;
use crate::error::Error;
use crate::reserve;
use crate::status::{CLIP_ERROR_MEMORY, CLIP_OK, clip_status, keep_error, prepare_error};

/// Stack that a call may need, and the size of the one that it gets where the caller's has less left: the deepest call took
/// 110 KiB when it was measured.
const STACK_NEEDED: usize = 256 << 10;
const STACK: usize = 1 << 20;

/// Bytes that there must be before a call begins, for its stack and for what it takes in small pieces.
const MEMORY_NEEDED: usize = STACK + (1 << 20);

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A call that runs.
pub(crate) struct Call {
    served: usize,
}

impl Call {
    /// Refuses to go on when the reserve of memory was used since the call began. To be asked before results are given away.
    pub(crate) fn has_memory(&self) -> Result<(), Error> {
        if reserve::served() == self.served { Ok(()) } else { Err(Error::Memory) }
    }
}

/// Runs `body`; an error or a panic becomes a status, its text what `clip_last_error` returns.
pub(crate) fn guard(body: impl FnOnce(&Call) -> Result<(), Error>) -> clip_status {
    if memory::available("a call", MEMORY_NEEDED).is_err() {
        keep_error(None);
        return CLIP_ERROR_MEMORY;
    }
    guard_again(body)
}

/// [`guard`] for calls that are made for every frame of a camera, and take memory in the first of them only: they do not make sure of it each time. What
/// small pieces they lack come from the reserve.
pub(crate) fn guard_again(body: impl FnOnce(&Call) -> Result<(), Error>) -> clip_status {
    let call = Call { served: reserve::served() };
    prepare_error();
    let mut body = Some(body);
    let run = &mut || body.take().map_or(Ok(()), |body| body(&call));
    let error = match unwound(run) {
        Ok(()) => return CLIP_OK,
        Err(error) => error,
    };
    keep_error(Some(error.message()));
    error.status()
}

/// Runs `body` with enough stack; its panic becomes an error. By a pointer, so that it is not compiled into this function,
/// which would take the caller's stack for it.
fn unwound(body: &mut dyn FnMut() -> Result<(), Error>) -> Result<(), Error> {
    hold_panic_messages();
    let mut started = false;
    let whole = || {
        stacker::maybe_grow(STACK_NEEDED, STACK, || {
            started = true;
            body()
        })
    };
    let _ = GUARDED.try_with(|guarded| guarded.set(true));
    let outcome = panic::catch_unwind(AssertUnwindSafe(whole));
    let _ = GUARDED.try_with(|guarded| guarded.set(false));
    let payload = match outcome {
        Ok(result) => return result,
        Err(payload) => payload,
    };
    let mut text = PANIC.try_with(RefCell::take).unwrap_or_default();
    if text.is_empty() {
        // It came from another thread.
        text = panic_text(&*payload).to_owned();
    }
    // Of a type we do not know, and dropping it might panic as well.
    std::mem::forget(payload);
    // Before the body nothing can fail but the making of a stack.
    Err(if started { Error::Panic(text) } else { Error::Memory })
}

/// Runs `make` and gives its result to the caller as a handle in `out`, which is NULL if anything fails.
pub(crate) unsafe fn create<T>(out: *mut *mut T, make: impl FnOnce() -> Result<T, Error>) -> clip_status {
    if let Some(out) = unsafe { out.as_mut() } {
        *out = std::ptr::null_mut();
    }
    guard(|call| {
        let out = unsafe { argument::output(out, "out") }?;
        let made = Box::new(make()?);
        call.has_memory()?;
        out.write(Box::into_raw(made));
        Ok(())
    })
}

/// [`create`] for a handle that several may own: `out` counts as one of them.
pub(crate) unsafe fn create_shared<T>(
    out: *mut *mut T,
    make: impl FnOnce() -> Result<T, Error>,
) -> clip_status {
    if let Some(out) = unsafe { out.as_mut() } {
        *out = std::ptr::null_mut();
    }
    guard(|call| {
        let out = unsafe { argument::output(out, "out") }?;
        let made = Arc::new(make()?);
        call.has_memory()?;
        out.write(Arc::into_raw(made).cast_mut());
        Ok(())
    })
}

/// One more owner of what [`create_shared`] gave; none for NULL.
pub(crate) unsafe fn retain<T>(handle: *const T) {
    if !handle.is_null() {
        // SAFETY: it came from an `Arc`, and the caller is one of its owners.
        unsafe { Arc::increment_strong_count(handle) };
    }
}

/// [`release`] by one of the owners; the last one drops it.
pub(crate) unsafe fn release_shared<T>(handle: *const T) {
    if !handle.is_null() {
        let _ = unwound(&mut || {
            drop(unsafe { Arc::from_raw(handle) });
            Ok(())
        });
    }
}

/// Takes back and drops what [`create`] gave; nothing for NULL. Never refused for lack of memory, and not told when it panics.
pub(crate) unsafe fn release<T>(handle: *mut T) {
    if !handle.is_null() {
        let _ = unwound(&mut || {
            drop(unsafe { Box::from_raw(handle) });
            Ok(())
        });
    }
}

/// Runs what cannot fail; a panic is not told.
pub(crate) fn quietly(body: impl FnOnce()) {
    let mut body = Some(body);
    let _ = unwound(&mut || {
        if let Some(body) = body.take() {
            body();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{CLIP_ERROR_ARGUMENT, CLIP_ERROR_INTERNAL, CLIP_ERROR_NULL, clip_last_error};

    fn said() -> String {
        unsafe { std::ffi::CStr::from_ptr(clip_last_error()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn panics_become_a_status() {
        let none: Option<u8> = std::hint::black_box(None);
        let status = guard(|_| {
            none.unwrap();
            Ok(())
        });
        assert_eq!(status, CLIP_ERROR_INTERNAL);
        let text = said();
        assert!(text.contains("called `Option::unwrap()` on a `None` value at"), "{text}");
        assert!(text.contains("guard.rs:"), "{text}");
        // The thread goes on as before.
        assert_eq!(guard(|_| Ok(())), CLIP_OK);
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
        assert_eq!(guard(|_| panic::panic_any(Bomb)), CLIP_ERROR_INTERNAL);
        assert!(said().contains("panic at "), "{}", said());
    }

    #[test]
    fn a_panic_of_another_thread_is_told_as_well() {
        let status = guard(|_| {
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
    fn a_shared_handle_goes_with_its_last_owner() {
        let value = Arc::new(7);
        let mut out = std::ptr::dangling_mut::<Arc<i32>>();
        assert_eq!(
            unsafe { create_shared(&mut out, || Err(Error::Argument("no".into()))) },
            CLIP_ERROR_ARGUMENT
        );
        assert!(out.is_null());
        assert_eq!(unsafe { create_shared(std::ptr::null_mut(), || Ok(7)) }, CLIP_ERROR_NULL);
        assert_eq!(unsafe { create_shared(&mut out, || Ok(Arc::clone(&value))) }, CLIP_OK);
        unsafe {
            retain(out);
            release_shared(out);
            assert_eq!((**out, Arc::strong_count(&value)), (7, 2));
            release_shared(out);
            retain(std::ptr::null_mut::<u32>());
            release_shared(std::ptr::null_mut::<u32>());
        }
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn a_call_that_used_the_reserve_fails() {
        let call = Call { served: reserve::served().wrapping_sub(1) };
        assert!(matches!(call.has_memory(), Err(Error::Memory)));
    }

    #[test]
    fn a_small_stack_is_enough() {
        let run = || {
            let status = guard(|_| {
                // Half of what a call may need.
                let buffer = std::hint::black_box([1u8; STACK_NEEDED / 2]);
                if buffer.iter().any(|&byte| byte != 1) { Err(Error::Memory) } else { panic!("here") }
            });
            (status, said())
        };
        let (status, text) =
            std::thread::Builder::new().stack_size(64 << 10).spawn(run).unwrap().join().unwrap();
        assert_eq!(status, CLIP_ERROR_INTERNAL);
        assert!(text.contains("here at"), "{text}");
    }

    #[test]
    fn each_thread_has_its_own_error() {
        guard(|_| Err(Error::Argument("here".into())));
        std::thread::spawn(|| {
            assert_eq!(said(), "");
            guard(|_| Err(Error::Argument("there".into())));
            assert_eq!(said(), "there");
        })
        .join()
        .unwrap();
        assert_eq!(said(), "here");
    }
}
