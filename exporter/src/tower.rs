//! The two towers as ONNX graphs, each on its own or both in one.

use clip_model::config::Family;
use clip_model::{Config, Preprocess, clip};

use crate::interpreter::{Interpreter, TEXT_LENGTH, Value};
use crate::onnx::{Attribute, Axis, Data, Element, Graph, OPSETS};

/// Input of the image tower: float32 `[batch, 3, S, S]`, normalised pixels, or uint8 `[batch, S, S, 3]`, packed bytes
/// red, green, blue.
pub const IMAGE: &str = "image";

/// Input of the text tower: int32 `[batch, length]`, token ids. What follows CLIP's end-of-text id has no influence; SigLIP's
/// length is always the context length.
pub const IDS: &str = "ids";

/// Output of each tower: float32 `[batch, embed_dim]`, rows of length one.
pub const EMBEDDING: &str = "embedding";

/// The outputs of [`combined`]: both embeddings, and the scaled cosine (for SigLIP, plus the bias) of each image (rows) with
/// each text.
pub const COMBINED: [&str; 3] = ["image_embedding", "text_embedding", "logits_per_image"];

/// What a graph looks like, beyond the network in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The version of ONNX's operator set, one of [`OPSETS`].
    pub opset: i64,
    /// Images or texts that every run has; any number when it is None.
    pub batch: Option<usize>,
    /// Whether images come in as packed bytes that the graph normalises.
    pub bytes: bool,
    /// Whether the graph is spelled for a CPU's integer kernels: the same network, in the forms that these are fast with.
    pub for_integers: bool,
}

impl Default for Form {
    fn default() -> Form {
        Form { opset: *OPSETS.start(), batch: None, bytes: false, for_integers: false }
    }
}

/// The graph from [`IMAGE`] to [`EMBEDDING`]. `config` must be [valid](Config::validate).
pub fn image(config: &Config, preprocess: &Preprocess, form: Form) -> Graph {
    let batch = batch(form, "batch");
    let (graph, image) = image_input(Graph::new("visual", form.opset), config, preprocess, form, &batch);
    let interpreter = Interpreter::new(graph, 0).for_integers(form.for_integers);
    let embedding = clip::encode_image(&interpreter, config, &image);
    let mut graph = finish(interpreter, form);
    graph.output(&embedding.name, EMBEDDING, Element::Float32, vec![batch, Axis::Fixed(config.embed_dim)]);
    graph
}

/// The graph from [`IDS`] to [`EMBEDDING`]. `config` must be [valid](Config::validate).
pub fn text(config: &Config, form: Form) -> Graph {
    let batch = batch(form, "batch");
    let (graph, ids) = text_input(Graph::new("text", form.opset), config, &batch);
    let interpreter = Interpreter::new(graph, config.text.context_length).for_integers(form.for_integers);
    let embedding = clip::encode_text(&interpreter, config, &ids);
    let mut graph = finish(interpreter, form);
    graph.output(&embedding.name, EMBEDDING, Element::Float32, vec![batch, Axis::Fixed(config.embed_dim)]);
    graph
}

/// The graph from [`IMAGE`] and [`IDS`] to [`COMBINED`], each input with a batch axis of its own.
pub fn combined(
    config: &Config,
    preprocess: &Preprocess,
    logit_scale: f32,
    logit_bias: Option<f32>,
    form: Form,
) -> Graph {
    let (images, texts) = (batch(form, "images"), batch(form, "texts"));
    let (graph, image) = image_input(Graph::new("clip", form.opset), config, preprocess, form, &images);
    let (graph, ids) = text_input(graph, config, &texts);
    let interpreter = Interpreter::new(graph, config.text.context_length);
    let image = clip::encode_image(&interpreter, config, &image).name;
    let text = clip::encode_text(&interpreter, config, &ids).name;
    let mut graph = finish(interpreter, form);
    let before = graph.set_exact(true);
    let transposed = graph.node("Transpose", &[&text], vec![("perm", Attribute::Ints(vec![1, 0]))]);
    let cosines = graph.node("MatMul", &[&image, &transposed], vec![]);
    let scale = graph.number(logit_scale);
    let mut logits = graph.node("Mul", &[&cosines, &scale], vec![]);
    if let Some(bias) = logit_bias {
        let bias = graph.number(bias);
        logits = graph.node("Add", &[&logits, &bias], vec![]);
    }
    graph.set_exact(before);
    let dim = Axis::Fixed(config.embed_dim);
    let shapes = [vec![images.clone(), dim.clone()], vec![texts.clone(), dim], vec![images, texts]];
    for ((value, name), shape) in [image, text, logits].iter().zip(COMBINED).zip(shapes) {
        graph.output(value, name, Element::Float32, shape);
    }
    graph
}

fn batch(form: Form, name: &'static str) -> Axis {
    form.batch.map_or(Axis::Named(name), Axis::Fixed)
}

/// Declares [`IMAGE`]; the value is float32, normalised, channels first.
fn image_input(
    mut graph: Graph,
    config: &Config,
    preprocess: &Preprocess,
    form: Form,
    batch: &Axis,
) -> (Graph, Value) {
    let side = config.image.image_size();
    let [batch, sides, channels] = [batch.clone(), Axis::Fixed(side), Axis::Fixed(3)];
    let name = if form.bytes {
        let shape = vec![batch, sides.clone(), sides, channels];
        let bytes = graph.input(IMAGE, Element::UInt8, shape);
        normalized(&mut graph, preprocess, &bytes)
    } else {
        graph.input(IMAGE, Element::Float32, vec![batch, channels, sides.clone(), sides])
    };
    (graph, Value::new(name, &[3, side, side]))
}

/// Bytes `[batch, S, S, 3]` as `(byte / 255 - mean) / std`, `[batch, 3, S, S]`: one factor and one summand a channel.
fn normalized(graph: &mut Graph, preprocess: &Preprocess, bytes: &str) -> String {
    let channels = preprocess.mean.iter().zip(&preprocess.std);
    let factors = preprocess.std.iter().map(|std| (1.0 / (255.0 * f64::from(*std))) as f32).collect();
    let summands = channels.map(|(mean, std)| (-f64::from(*mean) / f64::from(*std)) as f32).collect();
    let before = graph.set_exact(true);
    let float = vec![("to", Attribute::Int(Element::Float32 as i64))];
    let pixels = graph.node("Cast", &[bytes], float);
    let factors = graph.constant("pixel_factor".to_owned(), vec![3], Data::Float32(factors));
    let pixels = graph.node("Mul", &[&pixels, &factors], vec![]);
    let summands = graph.constant("pixel_summand".to_owned(), vec![3], Data::Float32(summands));
    let pixels = graph.node("Add", &[&pixels, &summands], vec![]);
    let order = vec![("perm", Attribute::Ints(vec![0, 3, 1, 2]))];
    let pixels = graph.node("Transpose", &[&pixels], order);
    graph.set_exact(before);
    pixels
}

/// Declares [`IDS`].
fn text_input(mut graph: Graph, config: &Config, batch: &Axis) -> (Graph, Value) {
    let (axis, length) = match config.family {
        Family::Clip => (Axis::Named("length"), TEXT_LENGTH),
        Family::SigLip => (Axis::Fixed(config.text.context_length), config.text.context_length),
    };
    let name = graph.input(IDS, Element::Int32, vec![batch.clone(), axis]);
    (graph, Value::new(name, &[length]))
}

fn finish(interpreter: Interpreter, form: Form) -> Graph {
    let mut graph = interpreter.into_graph();
    graph.fold_batch_norms();
    if form.for_integers {
        graph.fold_gate_factors();
    }
    graph
}

#[cfg(test)]
mod tests;
