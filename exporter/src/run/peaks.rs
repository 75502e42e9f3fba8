//! Numbers beyond float16 that graphs compute in float32.

use std::path::Path;

use clip_model::Manifest;
use clip_model::manifest::{Element, Encoder};
use clip_runtime::{Image, Result};
use half::f16;
use serde::{Deserialize, Serialize};

use super::session::{self, Tensor};
use crate::onnx::PEAK;
use crate::tower::Tower;

/// A number beyond float16.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overflow {
    /// The tower that computes it.
    pub tower: Tower,
    /// Name of the value in the graph.
    pub value: String,
    /// Its magnitude.
    pub number: f32,
}

/// The first number beyond float16 that the graphs of `folder`, each [`Graph::with_peaks`](crate::onnx::Graph::with_peaks),
/// give for these images and texts.
///
/// # Errors
/// Those of [`clip_runtime::engine`].
pub fn find(folder: &Path, images: &[Image], texts: &[String]) -> Result<Option<Overflow>> {
    let manifest = Manifest::read(folder)?;
    let image = match &manifest.image {
        Some(encoder) => {
            let pixels =
                session::pixels(images, &manifest.preprocess, encoder.input.element == Element::Uint8);
            first(Tower::Image, folder, encoder, pixels)?
        }
        None => None,
    };
    let (None, Some(encoder), Some(tokenizer)) = (&image, &manifest.text, &manifest.tokenizer) else {
        return Ok(image);
    };
    let opened = tokenizer.open(folder.join(&tokenizer.file))?;
    first(Tower::Text, folder, encoder, session::ids(texts, &opened, tokenizer.context_length))
}

/// The same of one graph.
fn first(
    tower: Tower,
    folder: &Path,
    encoder: &Encoder,
    inputs: impl Iterator<Item = Result<Tensor>>,
) -> Result<Option<Overflow>> {
    let graph = session::open(&folder.join(&encoder.file))?;
    for input in inputs {
        for output in graph.run(&[(&encoder.input.name, &input?)])? {
            let Some(value) = output.name.strip_prefix(PEAK) else { continue };
            // What is infinite in float32 too is meant: the causal mask.
            let beyond = |n: &&f32| n.is_finite() && f16::from_f32(**n).is_infinite();
            if let Some(&number) = output.values.iter().find(beyond) {
                return Ok(Some(Overflow { tower, value: value.to_owned(), number }));
            }
        }
    }
    Ok(None)
}
