//! The two towers as ONNX graphs.

use clip_model::{Config, clip};

use crate::interpreter::{Interpreter, TEXT_LENGTH, Value};
use crate::onnx::{Axis, Element, Graph};

/// Input of the image tower: float32 `[batch, 3, S, S]`, normalised pixels.
pub const IMAGE: &str = "image";

/// Input of the text tower: int32 `[batch, length]`, token ids; what follows the end-of-text id has no influence.
pub const IDS: &str = "ids";

/// Output of both towers: float32 `[batch, embed_dim]`, rows of length one.
pub const EMBEDDING: &str = "embedding";

/// The graph from [`IMAGE`] to [`EMBEDDING`]. `config` must be [valid](Config::validate).
pub fn image(config: &Config) -> Graph {
    let side = config.image.image_size();
    let mut graph = Graph::new("visual");
    let shape = vec![Axis::Named("batch"), Axis::Fixed(3), Axis::Fixed(side), Axis::Fixed(side)];
    let name = graph.input(IMAGE, Element::Float32, shape);
    let interpreter = Interpreter::new(graph, 0);
    let embedding = clip::encode_image(&interpreter, config, &Value::new(name, &[3, side, side]));
    finish(interpreter, config, &embedding)
}

/// The graph from [`IDS`] to [`EMBEDDING`]. `config` must be [valid](Config::validate).
pub fn text(config: &Config) -> Graph {
    let mut graph = Graph::new("text");
    let shape = vec![Axis::Named("batch"), Axis::Named("length")];
    let name = graph.input(IDS, Element::Int32, shape);
    let interpreter = Interpreter::new(graph, config.text.context_length);
    let embedding = clip::encode_text(&interpreter, config, &Value::new(name, &[TEXT_LENGTH]));
    finish(interpreter, config, &embedding)
}

fn finish(interpreter: Interpreter, config: &Config, embedding: &Value) -> Graph {
    let mut graph = interpreter.into_graph();
    graph.fold_batch_norms();
    let shape = vec![Axis::Named("batch"), Axis::Fixed(config.embed_dim)];
    graph.output(&embedding.name, EMBEDDING, Element::Float32, shape);
    graph
}

#[cfg(test)]
mod tests;
