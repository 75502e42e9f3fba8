//! The two towers as ONNX graphs, each on its own or both in one.

use clip_model::config::Family;
use clip_model::manifest::Values;
use clip_model::{Config, Preprocess, clip};

use super::form::{COMBINED, EMBEDDING, Form, IDS, IMAGE};
use super::front;
use super::interpreter::{Interpreter, TEXT_LENGTH, Value};
use crate::onnx::{Axis, Element, Graph};
use crate::tower::Tower;

/// The graph of a tower, from [`IMAGE`] or [`IDS`] to [`EMBEDDING`]. `config` must be [valid](Config::validate).
pub fn encoder(tower: Tower, config: &Config, preprocess: &Preprocess, form: Form) -> Graph {
    let batch = form.batch_axis("batch");
    let network = network(tower.name(), config, form);
    let embedding = match tower {
        Tower::Image => {
            clip::encode_image(&network, config, &network.image(config, preprocess, form, &batch))
        }
        Tower::Text => clip::encode_text(&network, config, &network.ids(config, &batch)),
    };
    finish(network, form, [(embedding.name, EMBEDDING, vec![batch, Axis::Fixed(config.embed_dim)])])
}

/// The graph from [`IMAGE`] and [`IDS`] to [`COMBINED`], each input with a batch axis of its own.
pub fn combined(
    config: &Config,
    preprocess: &Preprocess,
    logit_scale: f32,
    logit_bias: Option<f32>,
    form: Form,
) -> Graph {
    let (images, texts) = (form.batch_axis("images"), form.batch_axis("texts"));
    let network = network("clip", config, form);
    // Inputs are declared in this order.
    let (image, ids) = (network.image(config, preprocess, form, &images), network.ids(config, &texts));
    let image = clip::encode_image(&network, config, &image).name;
    let text = clip::encode_text(&network, config, &ids).name;
    let logits = network.exact(|| {
        let cosines = network.node("MatMul", &[&image, &network.transpose(&text, &[1, 0])], vec![]);
        let logits = network.node("Mul", &[&cosines, &network.number(logit_scale)], vec![]);
        match logit_bias {
            Some(bias) => network.node("Add", &[&logits, &network.number(bias)], vec![]),
            None => logits,
        }
    });
    let dim = Axis::Fixed(config.embed_dim);
    let shapes = [vec![images.clone(), dim.clone()], vec![texts.clone(), dim], vec![images, texts]];
    let [a, b, c] = COMBINED;
    let [of_images, of_texts, of_both] = shapes;
    finish(network, form, [(image, a, of_images), (text, b, of_texts), (logits, c, of_both)])
}

fn network(name: &str, config: &Config, form: Form) -> Interpreter {
    let graph = Graph::new(name, form.opset);
    Interpreter::new(graph, config.text.context_length).for_integers(form.for_integers)
}

/// The graph that gives these values, float32, under these names.
fn finish<const N: usize>(
    network: Interpreter,
    form: Form,
    outputs: [(String, &str, Vec<Axis>); N],
) -> Graph {
    let mut graph = network.into_graph();
    graph.fold_batch_norms();
    if form.for_integers {
        graph.fold_gate_factors();
    }
    for (value, name, shape) in outputs {
        graph.output(&value, name, Element::Float32, shape);
    }
    graph
}

impl Interpreter {
    /// Declares [`IMAGE`]; the value is float32, normalised, channels first.
    fn image(&self, config: &Config, preprocess: &Preprocess, form: Form, batch: &Axis) -> Value {
        let side = config.image.image_size();
        let values = if form.bytes { Values::Bytes } else { Values::Normalised };
        let (element, shape) = front::input(values, batch.clone(), side);
        let pixels = self.input(IMAGE, element, shape);
        let name = self.exact(|| self.edit(|graph| front::normalised(graph, preprocess, values, &pixels)));
        Value::new(name, &[3, side, side])
    }

    /// Declares [`IDS`].
    fn ids(&self, config: &Config, batch: &Axis) -> Value {
        let (axis, length) = match config.family {
            Family::Clip => (Axis::Named("length"), TEXT_LENGTH),
            Family::SigLip => (Axis::Fixed(config.text.context_length), config.text.context_length),
        };
        Value::new(self.input(IDS, Element::Int32, vec![batch.clone(), axis]), &[length])
    }
}
