//! Which version this is.

use std::ffi::{CStr, c_char};

/// Version of this header, `MAJOR.MINOR.PATCH`. While MAJOR is 0, a new MINOR may change the interface.
pub const CLIP_VERSION_MAJOR: u32 = 0;
/// See CLIP_VERSION_MAJOR.
pub const CLIP_VERSION_MINOR: u32 = 1;
/// See CLIP_VERSION_MAJOR.
pub const CLIP_VERSION_PATCH: u32 = 0;

/// The version of the library that is running, "0.1.0"; compare it with CLIP_VERSION_*.
#[unsafe(no_mangle)]
pub extern "C" fn clip_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}
