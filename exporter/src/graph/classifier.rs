//! From pictures to the probabilities of labels in one graph: an image tower with a label set behind it.

use clip_model::manifest::Values;
use clip_model::{Config, Preprocess};

use super::form::{EMBEDDING, Form, IMAGE};
use super::front;
use crate::onnx::Attribute::Int;
use crate::onnx::{Axis, Data, Element, Graph};

/// The one output: float32 `[batch, labels]`. There is no other, since programs that run classifiers take every output for
/// the probabilities of a list of labels.
pub const PROBABILITIES: &str = "probabilities";

/// What is behind the tower.
#[derive(Debug, Clone)]
pub struct Head {
    /// The embeddings of the labels, `[labels, embed_dim]`, rows of length one.
    pub embeddings: Vec<f32>,
    /// Factor on similarities.
    pub logit_scale: f32,
    /// Summand on scaled similarities: where there is one, each label has a probability of its own.
    pub logit_bias: Option<f32>,
}

/// The graph from [`IMAGE`], as `values`, to [`PROBABILITIES`]. `tower` is the image tower's, from normalised numbers (or bytes,
/// if that is what `values` are) to [`EMBEDDING`], in whatever number format: its nodes stay what they are.
///
/// The head computes in single precision whatever the tower does, and its embeddings are not rounded either. Similarities lie
/// close together and are multiplied by a hundred: half precision, whose steps below one are 0.0005, would change a logit by
/// 0.05 and a probability by a twentieth of itself. It would win nothing, since the head is less than a thousandth of the work.
pub fn classifier(
    mut tower: Graph,
    config: &Config,
    preprocess: &Preprocess,
    values: Values,
    form: Form,
    head: Head,
) -> Graph {
    let labels = head.embeddings.len() / config.embed_dim;
    tower.outputs.clear();
    let batch = form.batch_axis("batch");
    let mut graph = if values == Values::Normalised || form.bytes {
        tower
    } else {
        let input = front::input(values, batch.clone(), config.image.image_size());
        tower.with_front(IMAGE, input, |graph, pixels| front::normalised(graph, preprocess, values, pixels))
    };
    graph.name = "classifier".to_owned();
    let number = |graph: &mut Graph, name: &str, value| {
        graph.constant(name.to_owned(), vec![], Data::Float32(vec![value]))
    };
    let embeddings = graph.constant(
        "label_embeddings".to_owned(),
        vec![labels, config.embed_dim],
        Data::Float32(head.embeddings),
    );
    let cosines = graph.node("Gemm", &[EMBEDDING, &embeddings], vec![("transB", Int(1))]);
    let scale = number(&mut graph, "logit_scale", head.logit_scale);
    let mut logits = graph.node("Mul", &[&cosines, &scale], vec![]);
    let probabilities = match head.logit_bias {
        Some(bias) => {
            let bias = number(&mut graph, "logit_bias", bias);
            logits = graph.node("Add", &[&logits, &bias], vec![]);
            graph.node("Sigmoid", &[&logits], vec![])
        }
        None => graph.node("Softmax", &[&logits], vec![("axis", Int(-1))]),
    };
    graph.output(&probabilities, PROBABILITIES, Element::Float32, vec![batch, Axis::Fixed(labels)]);
    graph
}
