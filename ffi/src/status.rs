//! Status codes, and which error has which.

use std::ffi::{CStr, c_char};

use crate::guard::{self, Error};

/// What a call came to: CLIP_OK or one of the CLIP_ERROR_* above.
pub type clip_status = i32;

/// Status codes. The tens say whose affair it is: 10 an argument, 20 the model folder, 30 an input's content,
/// 40 the engine, 50 the machine, 90 this library. More may come within the tens.
pub const CLIP_OK: i32 = 0;
/// A pointer is NULL that must not be.
pub const CLIP_ERROR_NULL: i32 = 10;
/// A string is not UTF-8.
pub const CLIP_ERROR_UTF8: i32 = 11;
/// A number is out of range, or two arguments do not fit together.
pub const CLIP_ERROR_ARGUMENT: i32 = 12;
/// A buffer is too small.
pub const CLIP_ERROR_CAPACITY: i32 = 13;
/// A struct_size is not one this library knows.
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
/// The bytes are no image that can be decoded.
pub const CLIP_ERROR_IMAGE: i32 = 30;
/// The image has more pixels than the model folder or clip_open_options allow.
pub const CLIP_ERROR_IMAGE_SIZE: i32 = 31;
/// A label, a template or a list of them cannot be used.
pub const CLIP_ERROR_PROMPT: i32 = 32;
/// The shared library of ONNX Runtime was not found or cannot be used.
pub const CLIP_ERROR_LIBRARY: i32 = 40;
/// ONNX Runtime refused the model or failed to run it, for lack of memory or threads perhaps, or the process is a fork.
pub const CLIP_ERROR_ENGINE: i32 = 41;
/// There is not enough memory. The process goes on, and the call may be made again.
pub const CLIP_ERROR_MEMORY: i32 = 50;
/// A bug of this library; the message says where. The process goes on.
pub const CLIP_ERROR_INTERNAL: i32 = 90;

/// The name of a code: "CLIP_ERROR_NULL". "unknown status" for any other number.
#[unsafe(no_mangle)]
pub extern "C" fn clip_status_name(status: clip_status) -> *const c_char {
    name(status).as_ptr()
}

/// Why the last call failed that failed on this thread, in one line without a full stop; "" when none has. The
/// text belongs to the library and stands until the next failure on this thread.
#[unsafe(no_mangle)]
pub extern "C" fn clip_last_error() -> *const c_char {
    guard::last_error()
}

fn name(status: clip_status) -> &'static CStr {
    match status {
        CLIP_OK => c"CLIP_OK",
        CLIP_ERROR_NULL => c"CLIP_ERROR_NULL",
        CLIP_ERROR_UTF8 => c"CLIP_ERROR_UTF8",
        CLIP_ERROR_ARGUMENT => c"CLIP_ERROR_ARGUMENT",
        CLIP_ERROR_CAPACITY => c"CLIP_ERROR_CAPACITY",
        CLIP_ERROR_STRUCT_SIZE => c"CLIP_ERROR_STRUCT_SIZE",
        CLIP_ERROR_FILE => c"CLIP_ERROR_FILE",
        CLIP_ERROR_MODEL => c"CLIP_ERROR_MODEL",
        CLIP_ERROR_SCHEMA => c"CLIP_ERROR_SCHEMA",
        CLIP_ERROR_HASH => c"CLIP_ERROR_HASH",
        CLIP_ERROR_MISSING => c"CLIP_ERROR_MISSING",
        CLIP_ERROR_IMAGE => c"CLIP_ERROR_IMAGE",
        CLIP_ERROR_IMAGE_SIZE => c"CLIP_ERROR_IMAGE_SIZE",
        CLIP_ERROR_PROMPT => c"CLIP_ERROR_PROMPT",
        CLIP_ERROR_LIBRARY => c"CLIP_ERROR_LIBRARY",
        CLIP_ERROR_ENGINE => c"CLIP_ERROR_ENGINE",
        CLIP_ERROR_MEMORY => c"CLIP_ERROR_MEMORY",
        CLIP_ERROR_INTERNAL => c"CLIP_ERROR_INTERNAL",
        _ => c"unknown status",
    }
}

impl Error {
    /// The code that C gets to see.
    pub(crate) fn status(&self) -> clip_status {
        match self {
            Error::Null(_) => CLIP_ERROR_NULL,
            Error::Utf8 { .. } => CLIP_ERROR_UTF8,
            Error::Argument(_) => CLIP_ERROR_ARGUMENT,
            Error::Path(_) => CLIP_ERROR_FILE,
            Error::Capacity { .. } => CLIP_ERROR_CAPACITY,
            Error::StructSize { .. } => CLIP_ERROR_STRUCT_SIZE,
            Error::Memory => CLIP_ERROR_MEMORY,
            Error::Runtime(error) => of_runtime(error),
            Error::Model(error) => of_model(error),
            Error::Panic(_) => CLIP_ERROR_INTERNAL,
        }
    }
}

fn of_runtime(error: &clip_runtime::Error) -> clip_status {
    use clip_runtime::Error::*;
    match error {
        Model(error) => of_model(error),
        Threads { .. } | Device { .. } | ForeignLabels { .. } => CLIP_ERROR_ARGUMENT,
        NoLabels | LabelWithoutDirection { .. } => CLIP_ERROR_PROMPT,
        LibraryNotFound { .. } | LibraryUnusable { .. } | LibraryTooOld { .. } | LibraryLoaded { .. } => {
            CLIP_ERROR_LIBRARY
        }
        Mismatch { .. } => CLIP_ERROR_MODEL,
        Missing { .. } => CLIP_ERROR_MISSING,
        // `Engine`, `Embedding`, `Forked`, and what may come.
        _ => CLIP_ERROR_ENGINE,
    }
}

fn of_model(error: &clip_model::Error) -> clip_status {
    use clip_model::Error::*;
    match error {
        Io { .. } | NotAFile { .. } | FileTooLarge { .. } => CLIP_ERROR_FILE,
        Memory { .. } => CLIP_ERROR_MEMORY,
        SchemaVersion { .. } => CLIP_ERROR_SCHEMA,
        Hash { .. } => CLIP_ERROR_HASH,
        Size(_) => CLIP_ERROR_ARGUMENT,
        Image(_) => CLIP_ERROR_IMAGE,
        ImageTooLarge { .. } => CLIP_ERROR_IMAGE_SIZE,
        Prompt(_) => CLIP_ERROR_PROMPT,
        // What is left is about the files of a model folder.
        _ => CLIP_ERROR_MODEL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_own_names_and_tens() {
        let known: Vec<_> = (-100..200).filter(|&code| name(code) != c"unknown status").collect();
        assert_eq!(known, [0, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24, 30, 31, 32, 40, 41, 50, 90]);
        let names: std::collections::HashSet<_> = known.iter().map(|&code| name(code)).collect();
        assert_eq!(names.len(), known.len());
    }

    /// Errors that are hard to bring about from C; the others are in tests.rs and tests/c/wrong.c.
    #[test]
    fn errors_of_the_runtime_have_their_codes() {
        use clip_runtime::Error as E;
        let file = || "visual.onnx".into();
        let cases = [
            (
                E::LibraryTooOld {
                    engine: "ONNX Runtime",
                    path: file(),
                    found: "1.8".into(),
                    needed: "1.17".into(),
                    help: "fetch one",
                },
                CLIP_ERROR_LIBRARY,
            ),
            (
                E::Engine { engine: "ONNX Runtime", action: "run", file: file(), reason: "memory".into() },
                CLIP_ERROR_ENGINE,
            ),
            (E::Model(clip_model::Error::Memory { what: "a picture".into(), bytes: 9 }), CLIP_ERROR_MEMORY),
            (E::Forked { opened_by: 7 }, CLIP_ERROR_ENGINE),
            (
                E::LibraryNotFound {
                    engine: "ONNX Runtime",
                    tried: vec![(file(), "no".into())],
                    help: "fetch one",
                },
                CLIP_ERROR_LIBRARY,
            ),
            (E::Embedding { file: file(), row: 0, length: f32::NAN }, CLIP_ERROR_ENGINE),
            (E::LabelWithoutDirection { label: "cat".into() }, CLIP_ERROR_PROMPT),
            (E::Missing { model: "emoji".into(), what: clip_runtime::Part::TextEncoder }, CLIP_ERROR_MISSING),
        ];
        for (error, code) in cases {
            assert_eq!(Error::from(error).status(), code);
        }
    }
}
