//! Single graphs in the runtime's engine, for a look at more than their embeddings.

use std::path::Path;

use clip_model::manifest::Encoder;
use clip_model::{Preprocess, Tokenizer};
use clip_runtime::{EngineKind, Image, Options, Result, engine};

use super::inputs::Inputs;

/// What goes into a graph.
pub type Tensor = engine::Tensor;

/// An open graph.
pub type Session = Box<dyn engine::Session>;

/// Opens the graph in `file`, to be run on all cores.
///
/// # Errors
/// Those of [`clip_runtime::engine`].
pub fn open(file: &Path) -> Result<Session> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Options::new().start_engine()?.open(file, threads)
}

/// Opens what an encoder of `folder` runs: its plan on the first GPU, or where the inputs say so the graph that it was built of.
///
/// # Errors
/// Those of [`clip_runtime::engine`].
pub fn open_encoder(folder: &Path, encoder: &Encoder, inputs: &Inputs) -> Result<Session> {
    let Some(plan) = encoder.plan().filter(|_| !inputs.graphs) else {
        return open(&folder.join(encoder.graph().file));
    };
    let kind = match plan.is_of_rtx() {
        true => EngineKind::TensorRtRtx,
        false => EngineKind::TensorRt,
    };
    let options = Options::new().engine(kind).tensorrt(inputs.tensorrt.clone());
    options.start_engine()?.open_plan(&folder.join(&encoder.file), plan, 1)
}

/// The smallest batch that an encoder takes.
pub fn least(encoder: &Encoder) -> usize {
    encoder.batch.unwrap_or_else(|| encoder.plan().map_or(1, |plan| plan.batch.min))
}

/// Pictures of the model's size as its image encoder takes them, one by one: packed bytes, or normalised numbers.
///
/// # Errors
/// Those of [`Preprocess::normalize`].
pub fn pixels(
    images: &[Image],
    preprocess: &Preprocess,
    bytes: bool,
) -> impl Iterator<Item = Result<Tensor>> {
    let side = preprocess.size;
    images.iter().map(move |image| {
        if bytes {
            return Ok(Tensor::UInt8(vec![1, side, side, 3], image.rgb().to_vec()));
        }
        let mut pixels = vec![0.0; 3 * side * side];
        preprocess.normalize(image, &mut pixels)?;
        Ok(Tensor::Float32(vec![1, 3, side, side], pixels))
    })
}

/// Texts as a text encoder takes them, one by one.
pub fn ids(
    texts: &[String],
    tokenizer: &Tokenizer,
    context_length: usize,
) -> impl Iterator<Item = Result<Tensor>> {
    texts.iter().map(move |text| {
        let batch = tokenizer.encode_batch(&[text], context_length);
        Ok(Tensor::Int32(vec![1, batch.length], batch.ids))
    })
}
