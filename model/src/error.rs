//! The one error type of this crate.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::excerpt::{excerpt, shown};

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong in `clip-model`. Each variant names the file, tensor or value that was wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read, written or renamed.
    #[error("cannot {action} {}", shown(path))]
    Io {
        /// What was attempted: `open`, `read`, `write`, `rename`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A device, a pipe or a folder where a regular file has to be.
    #[error("{} is {kind}, expected a file", shown(path))]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there.
        kind: &'static str,
    },
    /// A file is larger than what is read into memory.
    #[error("{} has more than the {limit} bytes that are read of such a file", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes that are read at most.
        limit: u64,
    },
    /// There is not enough memory for something whose size comes from outside.
    #[error("not enough memory for {what}: {bytes} bytes are needed")]
    Memory {
        /// What it is for.
        what: String,
        /// Bytes that were asked for.
        bytes: usize,
    },
    /// A file is not the JSON that was expected.
    #[error("{} is not valid JSON of the expected form", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A configuration describes a network that this crate does not build, or contradicts itself.
    #[error("unsupported or inconsistent configuration: {0}")]
    Config(String),
    /// A file is not a well-formed safetensors file (truncated, lying header length, overlapping tensors, ...).
    #[error("{} is not a well-formed safetensors file", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// The reader's reason.
        source: safetensors::SafeTensorError,
    },
    /// A file of weights cannot be used: what it is cannot be told, it is damaged, or it asks for something else than
    /// tensors.
    #[error("{}: {reason}", path.display())]
    Weights {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, by name.
        reason: String,
    },
    /// Weights without a configuration do not tell their activation, and none was stated.
    #[error(
        "{} says nowhere whether its blocks use GELU or QuickGELU, and weights do not tell: state which one \
         (clip-export: --gelu or --quickgelu)", path.display()
    )]
    ActivationUnknown {
        /// The file.
        path: PathBuf,
    },
    /// The tensors of a checkpoint are not those of its configuration.
    #[error("the checkpoint does not hold the tensors of its configuration: {0}")]
    Tensors(TensorMismatch),
    /// A model folder's `clip.json` has a schema version that this build does not know.
    #[error(
        "{} has schema version {found}; this build reads versions {} to {}: use a matching libclip",
        path.display(), known.start(), known.end()
    )]
    SchemaVersion {
        /// The manifest.
        path: PathBuf,
        /// The version in the file.
        found: u64,
        /// The versions this build reads.
        known: RangeInclusive<u64>,
    },
    /// A file of a model folder is not the one that its manifest describes.
    #[error("{} has sha256 {found}, its manifest says {expected}: the file was changed or the folder mixed", path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// Hex digest in the manifest.
        expected: String,
        /// Hex digest of the file.
        found: String,
    },
    /// A stored label set is damaged, or another model's.
    #[error("{} is no label set for this model: {reason}", path.display())]
    Labels {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A tokenizer file or vocabulary cannot be used.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// A prompt template or a list of labels cannot be used.
    #[error("prompt: {0}")]
    Prompt(String),
    /// An image could not be decoded.
    #[error("cannot decode the image: {0}")]
    Image(String),
    /// Pixels or a buffer do not have the size they must have.
    #[error("{0}")]
    Size(String),
    /// An image was refused because decoding it would take more pixels than the limit allows.
    #[error(
        "the image is {width}x{height} pixels, over the limit of {limit} pixels: raise the limit if you trust the source"
    )]
    ImageTooLarge {
        /// Width in the header, pixels.
        width: u32,
        /// Height in the header, pixels.
        height: u32,
        /// The limit on width times height.
        limit: u64,
    },
}

/// How a checkpoint's tensors differ from what its configuration asks for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct TensorMismatch {
    /// Tensors the configuration asks for and the checkpoint lacks: name and shape.
    pub missing: Vec<(String, Vec<usize>)>,
    /// Tensors of the checkpoint that the configuration has no place for.
    pub surplus: Vec<String>,
    /// Tensors of another shape: name, expected shape, found shape.
    pub wrong: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl TensorMismatch {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.surplus.is_empty() && self.wrong.is_empty()
    }
}

impl std::fmt::Display for TensorMismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        /// More names than this are counted, not listed.
        const LISTED: usize = 5;
        let mut parts = Vec::new();
        let mut list = |kind: &str, items: Vec<String>| {
            if !items.is_empty() {
                let more = items.len().saturating_sub(LISTED);
                let shown = items[..items.len().min(LISTED)].join(", ");
                let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
                parts.push(format!("{} {kind}: {shown}{tail}", items.len()));
            }
        };
        list("missing", self.missing.iter().map(|(n, s)| format!("{n} {s:?}")).collect());
        list("surplus", self.surplus.clone());
        list(
            "of the wrong shape",
            self.wrong.iter().map(|(n, e, s)| format!("{n} (expected {e:?}, found {s:?})")).collect(),
        );
        f.write_str(&parts.join("; "))
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        std::io::Error::other(error)
    }
}

impl Error {
    /// An [`Error::Io`] for `path`.
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Error::Io { action, path: path.into(), source }
    }
    /// An [`Error::Json`] for `path`. A reason that repeats much of the file is shortened.
    pub fn json(path: &Path, source: serde_json::Error) -> Self {
        let reason = source.to_string();
        let source = match excerpt(&reason) {
            Cow::Borrowed(_) => source,
            Cow::Owned(short) => {
                let (line, column) = (source.line(), source.column());
                serde::de::Error::custom(format!("{short} at line {line} column {column}"))
            }
        };
        Error::Json { path: path.to_owned(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_path_is_seen_in_its_message() {
        let error = Error::io("open", "", std::io::ErrorKind::NotFound.into());
        assert_eq!(error.to_string(), "cannot open \"\" (an empty path)");
        let error = Error::io("open", "a b", std::io::ErrorKind::NotFound.into());
        assert_eq!(error.to_string(), "cannot open a b");
    }

    #[test]
    fn reasons_of_json_do_not_repeat_the_file() {
        let reason = |json: &str| {
            let source = serde_json::from_str::<crate::tokenizer::Cleaning>(json).unwrap_err();
            let Error::Json { source, .. } = Error::json(Path::new("a"), source) else {
                panic!("another error")
            };
            source.to_string()
        };
        assert!(reason("\"b\"").starts_with("unknown variant `b`, expected one of"));
        let long = reason(&format!("\"{}\"", "b".repeat(1 << 20)));
        assert!(
            long.starts_with("unknown variant `bbb") && long.contains(" bytes) at line 1 column"),
            "{long:.300}"
        );
        assert!(long.len() < 300, "{}", long.len());
    }
}
