//! The one error type of this crate.

use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong with a checkpoint. Each variant names the file, tensor or value that was wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system, or a part of the model that more than checkpoints have: its sizes, its tokenizer, its preprocessing.
    #[error(transparent)]
    Model(#[from] clip_model::Error),
    /// A configuration describes a network that is not built, or contradicts itself.
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
    #[error("{} says nowhere whether its blocks use GELU or QuickGELU, and weights do not tell: state which one", path.display())]
    ActivationUnknown {
        /// The file.
        path: PathBuf,
    },
    /// The tensors of a checkpoint are not those of its configuration.
    #[error("the checkpoint does not hold the tensors of its configuration: {0}")]
    Tensors(TensorMismatch),
    /// A variable that says how to reach the hub, or a file that it names, cannot be used.
    #[error("{0}")]
    HubSettings(String),
    /// The hub, or a server it points to, cannot be reached or broke the connection time and again.
    #[error("no connection to {url}; what has arrived is kept, and the same command goes on from there")]
    HubConnection {
        /// What was asked for.
        url: String,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The hub refused a request.
    #[error("{url} answers {status}: {advice}")]
    HubStatus {
        /// What was asked for.
        url: String,
        /// HTTP status.
        status: u16,
        /// What it means here, and what can be done.
        advice: String,
    },
    /// The hub's answer does not make sense.
    #[error("the answer of {url} cannot be used: {what}")]
    HubAnswer {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        what: String,
    },
    /// The model on the hub has no files in a format that this program reads.
    #[error("{id} cannot be exported: {what}")]
    HubFiles {
        /// The model's name on the hub.
        id: String,
        /// What is missing, and what there is.
        what: String,
    },
    /// What was downloaded is not what the hub announced.
    #[error(
        "{url} sent a file with the hash {found}, the hub announced {expected}: it was not kept, try again"
    )]
    HubHash {
        /// What was downloaded.
        url: String,
        /// The hub's hash.
        expected: String,
        /// The hash of what was sent.
        found: String,
    },
    /// Work without a connection was asked for, and the cache does not hold the model.
    #[error("{id} is not in {} ({missing} is missing), and downloads are off: fetch it once with downloads on", cache.display())]
    HubOffline {
        /// The model's name on the hub.
        id: String,
        /// The cache.
        cache: PathBuf,
        /// What is not there.
        missing: String,
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
    /// A file that could not be opened, read, written or renamed.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        clip_model::Error::io(action, path, source).into()
    }

    /// A file that is not the JSON that was expected.
    pub(crate) fn json(path: &Path, source: serde_json::Error) -> Self {
        clip_model::Error::json(path, source).into()
    }

    /// A tokenizer that does not fit.
    pub(crate) fn tokenizer(reason: String) -> Self {
        clip_model::Error::Tokenizer(reason).into()
    }
}
