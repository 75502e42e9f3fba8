//! The verified graphs under the names, and with the integers, of another program.

use clip_model::config::Family;

use super::ports::{Ids, Ports};
use super::source::Source;
use crate::graph::{EMBEDDING, IDS, IMAGE};
use crate::onnx::{Attribute, Axis, Data, Element, Graph, Node, Signature};

/// The outputs of a graph of both towers besides embeddings: of images (rows) with texts, and the other way round.
const LOGITS: [&str; 2] = ["logits_per_image", "logits_per_text"];

/// What a program calls inputs and outputs.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// Float32 `[images, 3, S, S]`, normalised.
    pub pixels: &'static str,
    /// Token ids, `[texts, length]`.
    pub ids: Integers,
    /// Embeddings of images, float32, rows of length one.
    pub images: &'static str,
    /// Embeddings of texts, float32, rows of length one.
    pub texts: &'static str,
}

/// How a program feeds texts.
#[derive(Debug, Clone, Copy)]
pub struct Integers {
    /// The input with the ids.
    pub name: &'static str,
    /// Whether they are int64; else int32.
    pub long: bool,
    /// A mask of the padding that is fed too, as int64, and does not matter: a text ends at its first end, and SigLIP sees all of
    /// its padding.
    pub mask: Option<&'static str>,
    /// Whether long texts are cut without their end, so that the graph has to put it back.
    pub cuts_ends: bool,
}

impl Integers {
    /// How a graph is fed so.
    fn port(self) -> Ids {
        let Integers { name, long, mask, cuts_ends } = self;
        Ids { name: name.to_owned(), long, mask: mask.map(str::to_owned), cuts_ends }
    }
}

/// A graph, and where it lies.
pub struct LaidGraph {
    /// The folder in the folder; empty for the folder itself.
    pub folder: &'static str,
    /// The graph's file, and that of its weights where they need one.
    pub files: [&'static str; 2],
    /// The graph.
    pub graph: Graph,
    /// How it is run.
    pub ports: Ports,
}

/// Where a graph lies: the folder, and its two files.
pub type Place = (&'static str, [&'static str; 2]);

/// The image tower, unless it is left out.
pub fn image(source: &Source<'_>, (folder, files): Place, names: Names) -> Option<LaidGraph> {
    let graph = image_tower(source.image.as_ref()?, names);
    let (pixels, images) = (Some(names.pixels.to_owned()), Some(names.images.to_owned()));
    let ports = Ports { pixels, images, ..Ports::of(folder, files[0]) };
    Some(LaidGraph { folder, files, graph, ports })
}

/// The text tower, unless it is left out.
pub fn text(source: &Source<'_>, (folder, files): Place, names: Names) -> Option<LaidGraph> {
    let graph = text_tower(source, source.text.as_ref()?, names);
    let (ids, texts) = (Some(names.ids.port()), Some(names.texts.to_owned()));
    let ports = Ports { ids, texts, ..Ports::of(folder, files[0]) };
    Some(LaidGraph { folder, files, graph, ports })
}

/// Both towers in one graph, which also gives their similarities, unless one is left out.
pub fn both(source: &Source<'_>, (folder, files): Place, names: Names) -> Option<LaidGraph> {
    let mut image = image_tower(source.image.as_ref()?, names);
    let mut text = text_tower(source, source.text.as_ref()?, names);
    image.rename_batch("images");
    text.rename_batch("texts");
    let mut graph = image.join(text, "text.");
    graph.name = "clip".to_owned();
    add_logits(&mut graph, source, names);
    let ports = Ports {
        pixels: Some(names.pixels.to_owned()),
        ids: Some(names.ids.port()),
        images: Some(names.images.to_owned()),
        texts: Some(names.texts.to_owned()),
        logits: LOGITS.map(str::to_owned).to_vec(),
        ..Ports::of(folder, files[0])
    };
    Some(LaidGraph { folder, files, graph, ports })
}

fn image_tower(tower: &Graph, names: Names) -> Graph {
    let mut graph = tower.clone();
    graph.rename(IMAGE, names.pixels);
    graph.rename(EMBEDDING, names.images);
    graph
}

fn text_tower(source: &Source<'_>, tower: &Graph, names: Names) -> Graph {
    let Integers { name, long, mask, cuts_ends } = names.ids;
    let shape = tower.inputs.first().map_or_else(Vec::new, |ids| ids.shape.clone());
    let element = if long { Element::Int64 } else { Element::Int32 };
    let mut graph = tower.clone().with_front(IDS, (element, shape.clone()), |graph, ids| {
        let to = ("to", Attribute::Int(Element::Int32 as i64));
        let ids = if long { graph.node("Cast", &[ids], vec![to]) } else { ids.to_owned() };
        if cuts_ends { with_ends(graph, source, &ids) } else { ids }
    });
    graph.rename(IDS, name);
    graph.rename(EMBEDDING, names.texts);
    if let Some(mask) = mask {
        graph.inputs.push(Signature { name: mask.to_owned(), element: Element::Int64, shape });
    }
    graph
}

/// The ids with the end in the last place of a text of full length. It is there already, or behind the end and does not count, or
/// the text was cut without it. SigLIP's padding stays.
fn with_ends(graph: &mut Graph, source: &Source<'_>, ids: &str) -> String {
    let length = source.context_length();
    let last = |value: i32, others: i32| {
        let mut values = vec![others; length];
        values[length - 1..].fill(value);
        Data::Int32(values)
    };
    let kept = graph.constant("kept".to_owned(), vec![length], last(0, 1));
    let end = graph.constant("end".to_owned(), vec![length], last(source.tokenizer.end_id(), 0));
    let family = source.checkpoint.config.family;
    let [kept, end] = match family {
        Family::SigLip => [kept, end],
        Family::Clip => {
            let zero = graph.constant("zero".to_owned(), vec![1], Data::Int64(vec![0]));
            let axis = vec![("start", Attribute::Int(1)), ("end", Attribute::Int(2))];
            let size = graph.node("Shape", &[ids], axis);
            [kept, end].map(|row| graph.node("Slice", &[&row, &zero, &size, &zero], vec![]))
        }
    };
    let others = graph.node("Mul", &[ids, &kept], vec![]);
    let ended = graph.node("Add", &[&others, &end], vec![]);
    if family == Family::Clip {
        return ended;
    }
    let pad = graph.constant("pad".to_owned(), vec![], Data::Int32(vec![source.pad_id()]));
    let padding = graph.node("Equal", &[ids, &pad], vec![]);
    graph.node("Where", &[&padding, ids, &ended], vec![])
}

/// Similarities of all images with all texts, in single precision as the towers' results are.
fn add_logits(graph: &mut Graph, source: &Source<'_>, names: Names) {
    let number = |graph: &mut Graph, name: &str, value| {
        graph.constant(name.to_owned(), vec![], Data::Float32(vec![value]))
    };
    let scale = number(graph, "logit_scale", source.logit_scale);
    let bias = source.logit_bias.map(|bias| number(graph, "logit_bias", bias));
    let exchanged = || vec![("perm", Attribute::Ints(vec![1, 0]))];
    let mut add = |output: &str, op, inputs: [&str; 2], attributes| {
        let inputs = inputs.into_iter().filter(|name| !name.is_empty()).map(str::to_owned).collect();
        graph.nodes.push(Node { attributes, ..Node::giving(output.to_owned(), op, inputs) });
    };
    add("texts_in_columns", "Transpose", [names.texts, ""], exchanged());
    add("cosines", "MatMul", [names.images, "texts_in_columns"], vec![]);
    match &bias {
        None => add(LOGITS[0], "Mul", ["cosines", &scale], vec![]),
        Some(bias) => {
            add("scaled_cosines", "Mul", ["cosines", &scale], vec![]);
            add(LOGITS[0], "Add", ["scaled_cosines", bias], vec![]);
        }
    }
    add(LOGITS[1], "Transpose", [LOGITS[0], ""], exchanged());
    let [images, texts] = ["images", "texts"].map(Axis::Named);
    let port = |name: &str, shape| Signature { name: name.to_owned(), element: Element::Float32, shape };
    graph.outputs.push(port(LOGITS[0], vec![images.clone(), texts.clone()]));
    graph.outputs.push(port(LOGITS[1], vec![texts, images]));
}
