//! How a manifest describes an ONNX graph.

use serde::{Deserialize, Serialize};

/// A file of weights beside a graph, which names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// File name inside the folder.
    pub file: String,
    /// Lower-case hex SHA-256 of the file.
    pub sha256: String,
}

/// An ONNX graph of a model folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// File name inside the folder.
    pub file: String,
    /// Lower-case hex SHA-256 of the file.
    pub sha256: String,
    /// Files beside it that hold its weights; none when they are inside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataFile>,
}

impl Graph {
    /// Name and SHA-256 of its file and of those beside it.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        let beside = self.data.iter().map(|data| (data.file.as_str(), data.sha256.as_str()));
        std::iter::once((self.file.as_str(), self.sha256.as_str())).chain(beside)
    }
}
