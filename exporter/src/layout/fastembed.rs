//! fastembed, in Python (read at 0.9.1) and in Rust (its `UserDefinedEmbeddingModel` and `UserDefinedImageEmbeddingModel`).
//!
//! Each tower is a model of its own, in a folder with `model.onnx`. Texts are fed as int64 with a mask, padded to the longest of
//! a batch; pooling has to be switched off, as the graph does it. Pictures go to whatever the first input is called, and the first
//! output is normalised, which changes nothing here.

use super::described;
use super::graph::{self, Integers, Names};
use super::laid::Laid;
use super::source::Source;

/// Why a SigLIP is refused.
pub const SIGLIP: &str =
    "it pads the texts of a batch to the longest of them, and SigLIP's texts count with their padding";

const FILES: [&str; 2] = ["model.onnx", "model.onnx_data"];
const NAMES: Names = Names {
    pixels: "pixel_values",
    ids: Integers { name: "input_ids", long: true, mask: Some("attention_mask"), cuts_ends: false },
    images: "image_embeds",
    texts: "text_embeds",
};

/// What lies in the folder.
pub fn lay_out(source: &Source<'_>) -> Laid {
    let graphs =
        [graph::text(source, ("text", FILES), NAMES), graph::image(source, ("vision", FILES), NAMES)];
    let mut texts = Vec::new();
    if source.text.is_some() {
        texts.push(described::file("text", "config.json", &described::config(source)));
        texts.extend(described::tokenizer(source, "text"));
    }
    if source.image.is_some() {
        texts.push(described::file("vision", "config.json", &described::config(source)));
        texts.push(described::preprocessor(source, "vision"));
    }
    Laid { graphs: graphs.into_iter().flatten().collect(), texts }
}
