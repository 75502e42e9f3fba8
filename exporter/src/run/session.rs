//! Single graphs in the runtime's engine, for a look at more than their embeddings.

use std::path::Path;

use clip_model::{Preprocess, Tokenizer};
pub use clip_runtime::graph::{Graph as Session, Input as Tensor};
use clip_runtime::{Image, Result};

/// Opens the graph in `file`, to be run on all cores.
///
/// # Errors
/// Those of [`Session::open`].
pub fn open(file: &Path) -> Result<Session> {
    Session::open(file, std::thread::available_parallelism().map_or(1, usize::from))
}

/// A picture of the model's size as its image encoder takes it, on its own: packed bytes, or normalised numbers.
///
/// # Errors
/// Those of [`Preprocess::normalize`].
pub fn pixels(image: &Image, preprocess: &Preprocess, bytes: bool) -> Result<Tensor> {
    let side = preprocess.size;
    if bytes {
        return Ok(Tensor::UInt8(vec![1, side, side, 3], image.rgb().to_vec()));
    }
    let mut pixels = vec![0.0; 3 * side * side];
    preprocess.normalize(image, &mut pixels)?;
    Ok(Tensor::Float32(vec![1, 3, side, side], pixels))
}

/// A text as a text encoder takes it, on its own.
pub fn ids(text: &str, tokenizer: &Tokenizer, context_length: usize) -> Tensor {
    let batch = tokenizer.encode_batch(&[text], context_length);
    Tensor::Int32(vec![1, batch.length], batch.ids)
}
