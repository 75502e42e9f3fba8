//! The two towers of a model.

use serde::{Deserialize, Serialize};

/// One of the two towers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tower {
    /// From images to embeddings.
    Image,
    /// From texts to embeddings.
    Text,
}

impl Tower {
    /// The two, in the order in which they are exported.
    pub const BOTH: [Tower; 2] = [Tower::Image, Tower::Text];

    /// Name of its graph.
    pub fn name(self) -> &'static str {
        match self {
            Tower::Image => "visual",
            Tower::Text => "text",
        }
    }

    /// Names of its files in a model folder: the graph, and its weights where they lie beside it.
    pub fn files(self) -> [&'static str; 2] {
        match self {
            Tower::Image => ["visual.onnx", "visual.onnx.data"],
            Tower::Text => ["text.onnx", "text.onnx.data"],
        }
    }

    /// What it takes, in the plural.
    pub fn takes(self) -> &'static str {
        match self {
            Tower::Image => "pictures",
            Tower::Text => "texts",
        }
    }
}
