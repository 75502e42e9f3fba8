//! What a call from C can fail with, and which status that is.

use std::borrow::Cow;
use std::error::Error as _;
use std::ffi::CString;
use std::fmt;

use crate::status::*;

/// How an argument is called in messages: `labels`, or `labels[3]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name(pub &'static str, pub Option<usize>);

impl From<&'static str> for Name {
    fn from(name: &'static str) -> Name {
        Name(name, None)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        self.1.map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}

/// Everything that a call from C can come to, besides what it was called for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0} is NULL")]
    Null(Name),
    #[error("{name}->planes[{plane}] is NULL, {format} has {} planes", format.planes())]
    NoPlane { name: Name, plane: usize, format: clip_runtime::PixelFormat },
    #[error("{name} is not UTF-8: byte {at} begins no character")]
    Utf8 { name: Name, at: usize },
    #[error("{0}")]
    Argument(String),
    #[error("{0}")]
    Path(String),
    #[error("{name} has room for {found} elements, {expected} are needed")]
    Capacity { name: &'static str, expected: usize, found: usize },
    #[error("{name}->struct_size is {found}, this library knows {known}: {reason}")]
    StructSize { name: Name, known: usize, found: usize, reason: &'static str },
    #[error("not enough memory: the last of it went while the call ran")]
    Memory,
    #[error(transparent)]
    Runtime(#[from] clip_runtime::Error),
    /// A frame of a stream on which the engine failed.
    #[error(transparent)]
    Failed(std::sync::Arc<clip_runtime::Error>),
    #[error(transparent)]
    Model(#[from] clip_model::Error),
    #[error("internal error, please report it: {0}")]
    Panic(String),
}

impl Error {
    /// The code that C gets to see.
    pub(crate) fn status(&self) -> clip_status {
        match self {
            Error::Null(_) | Error::NoPlane { .. } => CLIP_ERROR_NULL,
            Error::Utf8 { .. } => CLIP_ERROR_UTF8,
            Error::Argument(_) => CLIP_ERROR_ARGUMENT,
            Error::Path(_) => CLIP_ERROR_FILE,
            Error::Capacity { .. } => CLIP_ERROR_CAPACITY,
            Error::StructSize { .. } => CLIP_ERROR_STRUCT_SIZE,
            Error::Memory => CLIP_ERROR_MEMORY,
            Error::Runtime(error) => of_runtime(error),
            Error::Failed(error) => of_runtime(error),
            Error::Model(error) => of_model(error),
            Error::Panic(_) => CLIP_ERROR_INTERNAL,
        }
    }

    /// The error and its causes in one line.
    pub(crate) fn message(&self) -> CString {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        let line = shortened(&text).replace('\0', "\u{fffd}").replace(['\n', '\r'], " ");
        CString::new(line).unwrap_or_default()
    }
}

fn of_runtime(error: &clip_runtime::Error) -> clip_status {
    use clip_runtime::Error::*;
    match error {
        Model(error) => of_model(error),
        Threads { .. }
        | Room { .. }
        | ForeignLabels { .. }
        | Count { .. }
        | Row { .. }
        | Logits(_)
        | Threshold { .. }
        | Truth { .. }
        | Calibration(_) => CLIP_ERROR_ARGUMENT,
        Device { .. } => CLIP_ERROR_DEVICE,
        Misfit { .. } | NoPlan { .. } => CLIP_ERROR_PLAN,
        TensorRt(error) => of_tensorrt(error),
        Plan { source, .. } => of_tensorrt(source),
        Cache { .. } => CLIP_ERROR_FILE,
        StreamOptions(_) | StreamCall(_) | StreamEnded(_) | Frame { .. } => CLIP_ERROR_ARGUMENT,
        TextLength { .. } => CLIP_ERROR_PROMPT,
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

fn of_tensorrt(error: &clip_runtime::TensorRtError) -> clip_status {
    use clip_runtime::TensorRtError::*;
    match error {
        NotFound { .. } | Unusable { .. } | UnknownVersion { .. } | OtherKind { .. } | NoBuilder { .. } => {
            CLIP_ERROR_LIBRARY
        }
        NoDriver | DriverTooOld { .. } | NoDevice { .. } => CLIP_ERROR_DEVICE,
        Plan { .. } => CLIP_ERROR_PLAN,
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
        Labels { .. } => CLIP_ERROR_LABELS,
        // What is left is about the files of a model folder.
        _ => CLIP_ERROR_MODEL,
    }
}

/// A message of reasonable length, of which the beginning and the end are kept.
fn shortened(text: &str) -> Cow<'_, str> {
    const START: usize = 3000;
    const END: usize = 500;
    if text.len() <= START + END {
        return text.into();
    }
    let (start, end) = (text.floor_char_boundary(START), text.ceil_char_boundary(text.len() - END));
    format!("{} ... {}", &text[..start], &text[end..]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (E::Truth { index: 9, labels: 2 }, CLIP_ERROR_ARGUMENT),
            (E::Calibration("no"), CLIP_ERROR_ARGUMENT),
            (E::LabelWithoutDirection { label: "cat".into() }, CLIP_ERROR_PROMPT),
            (E::Missing { model: "emoji".into(), what: clip_runtime::Part::TextEncoder }, CLIP_ERROR_MISSING),
            (
                E::Misfit { file: file(), differs: vec!["another GPU".into()], graph: "visual.onnx".into() },
                CLIP_ERROR_PLAN,
            ),
            (E::TensorRt(clip_runtime::TensorRtError::NoDriver.into()), CLIP_ERROR_DEVICE),
            (
                E::TensorRt(clip_runtime::TensorRtError::NotFound { what: "TensorRT", tried: vec![] }.into()),
                CLIP_ERROR_LIBRARY,
            ),
            (E::TensorRt(clip_runtime::TensorRtError::Cancelled.into()), CLIP_ERROR_ENGINE),
            (
                E::Cache { folder: file(), source: std::io::ErrorKind::PermissionDenied.into() },
                CLIP_ERROR_FILE,
            ),
        ];
        for (error, code) in cases {
            assert_eq!(Error::from(error).status(), code);
        }
        assert_eq!(Error::Memory.status(), CLIP_ERROR_MEMORY);
    }

    #[test]
    fn long_messages_are_cut_in_the_middle() {
        let text = format!("{}reason", "\u{fc}".repeat(1 << 20));
        let line = Error::Argument(text).message();
        let line = line.to_str().unwrap();
        assert!(
            line.len() < 4000 && line.starts_with("\u{fc}\u{fc}") && line.ends_with("\u{fc}reason"),
            "{line}"
        );
    }

    #[test]
    fn causes_are_told_in_one_line() {
        let missing = std::io::Error::other("two\nlines\0");
        let error = Error::Model(clip_model::Error::io("read", "/a", missing));
        assert_eq!(error.message().to_str(), Ok("cannot read /a: two lines\u{fffd}"));
    }
}
