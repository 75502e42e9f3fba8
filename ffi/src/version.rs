//! Which version this is.

use std::ffi::{CStr, c_char};

/// The version of this header. While MAJOR is 0, a new MINOR may change the interface.
pub const CLIP_VERSION_MAJOR: i32 = 0;
/// See CLIP_VERSION_MAJOR.
pub const CLIP_VERSION_MINOR: i32 = 1;
/// See CLIP_VERSION_MAJOR.
pub const CLIP_VERSION_PATCH: i32 = 0;
/// The version as one number, which grows from version to version: 100 for 0.1.0, 10203 for 1.2.3.
pub const CLIP_VERSION_NUMBER: i32 =
    CLIP_VERSION_MAJOR * 10000 + CLIP_VERSION_MINOR * 100 + CLIP_VERSION_PATCH;

/// CLIP_VERSION_NUMBER of the library that is running, which may differ from that of the header.
#[unsafe(no_mangle)]
pub extern "C" fn clip_version_number() -> i32 {
    CLIP_VERSION_NUMBER
}

/// The version of the library that is running, as text: "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn clip_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}
