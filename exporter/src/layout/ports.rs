//! How a graph for another program is run.

use serde::{Deserialize, Serialize};

/// How a graph is run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ports {
    /// Its path in the folder.
    pub file: String,
    /// The input of pictures.
    pub pixels: Option<String>,
    /// The input of texts.
    pub ids: Option<Ids>,
    /// The output with the pictures' embeddings.
    pub images: Option<String>,
    /// That with the texts'.
    pub texts: Option<String>,
    /// Those with similarities.
    pub logits: Vec<String>,
}

/// The input of texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// Its name.
    pub name: String,
    /// Whether it takes int64; else int32.
    pub long: bool,
    /// The input of a mask.
    pub mask: Option<String>,
    /// Whether long texts come without their end.
    pub cuts_ends: bool,
}

impl Ports {
    /// Without any, of the graph in `folder/file`.
    pub fn of(folder: &str, file: &str) -> Ports {
        Ports { file: path(folder, file), ..Ports::default() }
    }
}

/// The path of a file in a folder that may be empty.
pub fn path(folder: &str, file: &str) -> String {
    if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") }
}
