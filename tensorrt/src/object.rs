//! TensorRT's C++ objects, and calls of their methods.

use std::ffi::c_void;
use std::ptr::NonNull;

/// Pointers below this are none: without a driver, TensorRT 11.4 has returned 0x228.
const LOWEST: usize = 4096;

/// The slot of the destructor that also frees, in all classes but the parser's.
const DELETE: usize = 1;

/// A pointer that TensorRT returned, where it is one.
pub fn pointer(raw: *mut c_void) -> Option<NonNull<c_void>> {
    NonNull::new(raw).filter(|p| p.as_ptr() as usize >= LOWEST)
}

/// The method in `slot` of the virtual table of `object`.
///
/// # Safety
/// `object` is a C++ object whose table has that slot.
pub unsafe fn method(object: *mut c_void, slot: usize) -> *const c_void {
    // SAFETY: an object with virtual methods begins with the pointer to its table (Itanium C++ ABI, on x86-64 and AArch64).
    unsafe { *(*object.cast::<*const *const c_void>()).add(slot) }
}

/// Calls the method in a slot: `call!(object, slot, fn(i32) -> bool, argument)`. The object is an [`Owned`] one's
/// [`Owned::inner`], or for interfaces without an object behind them the pointer itself.
macro_rules! call {
    ($object:expr, $slot:expr, fn($($type:ty),*) $(-> $result:ty)?, $($argument:expr),* $(,)?) => {{
        let object: *mut ::std::ffi::c_void = $object;
        let method = $crate::object::method(object, $slot);
        let method = ::std::mem::transmute::<
            *const ::std::ffi::c_void,
            unsafe extern "C" fn(*mut ::std::ffi::c_void, $($type),*) $(-> $result)?,
        >(method);
        method(object, $($argument),*)
    }};
}
pub(crate) use call;

/// An object that is ours to delete.
#[derive(Debug)]
pub struct Owned {
    object: NonNull<c_void>,
    delete: usize,
}

// SAFETY: TensorRT's objects may be used from any thread, from one at a time; those that are used from several at once
// (engines, runtimes) are thread-safe by its documentation, and the others are only reached through `&mut`.
unsafe impl Send for Owned {}
unsafe impl Sync for Owned {}

impl Owned {
    /// Of what a function of TensorRT returned; `None` when it returned nothing.
    ///
    /// # Safety
    /// The pointer is null, an error's number, or an object that nobody else deletes.
    pub unsafe fn new(raw: *mut c_void) -> Option<Owned> {
        Some(Owned { object: pointer(raw)?, delete: DELETE })
    }

    /// [`Owned::new`] of an object whose deleting destructor is in another slot.
    ///
    /// # Safety
    /// As [`Owned::new`], and `delete` is that slot.
    pub unsafe fn with_delete(raw: *mut c_void, delete: usize) -> Option<Owned> {
        Some(Owned { object: pointer(raw)?, delete })
    }

    /// The interface, as other functions take it.
    pub fn interface(&self) -> *mut c_void {
        self.object.as_ptr()
    }

    /// The object behind the interface, which has the methods.
    ///
    /// # Safety
    /// The object is an interface of TensorRT itself, and not of its parser.
    pub unsafe fn inner(&self) -> *mut c_void {
        // SAFETY: in every known version, `mImpl` is the second word of the interface.
        unsafe { *self.interface().cast::<*mut c_void>().add(1) }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the object is alive and ours, and its table has its destructor there.
        unsafe { call!(self.interface(), self.delete, fn(),) }
    }
}
