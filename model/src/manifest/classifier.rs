//! How a manifest describes a graph that takes pictures and gives probabilities.

use serde::{Deserialize, Serialize};

use super::encoder::{Element, Encoder};
use super::graph::DataFile;

/// The image tower, a label set's embeddings and what makes probabilities of their similarities, as one file for other
/// programs: nothing of ours runs it but the export, which tries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classifier {
    /// The file, and what goes in. What comes out is float32 `[B, labels]`: the probabilities of the labels of
    /// [`Manifest::labels`](super::Manifest::labels), in their order.
    pub encoder: Encoder,
    /// What the numbers are that go in.
    pub values: Values,
    /// The labels as text, one a line.
    pub labels: DataFile,
    /// Settings for the programs that run it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<DataFile>,
}

impl Classifier {
    /// Name and SHA-256 of all its files.
    pub fn all_files(&self) -> impl Iterator<Item = (&str, &str)> {
        let texts = std::iter::once(&self.labels).chain(&self.settings);
        self.encoder.all_files().chain(texts.map(|text| (text.file.as_str(), text.sha256.as_str())))
    }
}

/// What the numbers of a picture are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Values {
    /// float32 `[B, 3, S, S]`, normalised as the manifest's preprocessing says.
    Normalised,
    /// uint8 `[B, S, S, 3]`, 0 to 255, red, green, blue: the graph normalises them.
    Bytes,
    /// float32 `[B, 3, S, S]`, 0 to 255, red, green, blue: the graph normalises them.
    Pixels,
}

impl Values {
    /// What an image encoder with such elements takes.
    pub fn of_encoder(element: Element) -> Values {
        match element {
            Element::Uint8 => Values::Bytes,
            Element::Float32 | Element::Int32 => Values::Normalised,
        }
    }

    /// What an element of them is.
    pub fn element(self) -> Element {
        match self {
            Values::Bytes => Element::Uint8,
            Values::Normalised | Values::Pixels => Element::Float32,
        }
    }
}
