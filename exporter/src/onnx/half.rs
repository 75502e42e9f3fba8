//! Graphs in half precision.

use std::collections::HashMap;

use super::data::{Data, Element};
use super::graph::Graph;
use super::node::{Attribute, Node};

/// How the names of the results begin that [`Graph::with_peaks`] adds.
pub const PEAK: &str = "peak of ";

/// Operators whose results are integers, whatever they read.
const COUNTING: [&str; 3] = ["Shape", "Size", "ArgMax"];

/// The number formats of a graph's values, as far as they are computed.
struct Formats(HashMap<String, Element>);

impl Formats {
    /// Those of its inputs.
    fn of(graph: &Graph) -> Formats {
        Formats(graph.inputs.iter().map(|i| (i.name.clone(), i.element)).collect())
    }

    fn get(&self, graph: &Graph, name: &str) -> Option<Element> {
        self.0.get(name).copied().or_else(|| graph.initializer(name).map(|i| i.data.element()))
    }

    /// Notes the format of a node's results: that of its first input, `first`, unless the operator has one of its own.
    fn computed(&mut self, node: &Node, first: Option<Element>, otherwise: Element) {
        let format = match (node.op, node.attributes.as_slice()) {
            ("Cast", [(_, Attribute::Int(to))]) if *to == Element::Float32 as i64 => Element::Float32,
            (op, _) if COUNTING.contains(&op) => Element::Int64,
            _ => first.unwrap_or(otherwise),
        };
        self.0.extend(node.outputs.iter().map(|name| (name.clone(), format)));
    }
}

impl Graph {
    /// Weights and arithmetic in float16, except in nodes that are [exact](Node::exact) or give the graph's results;
    /// those stay in float32, with casts around them and behind their large weights. Inputs and outputs stay what they are.
    pub fn into_half(mut self) -> Graph {
        let exact: Vec<bool> = self.nodes.iter().map(|node| self.stays_exact(node)).collect();
        let mut formats = Formats::of(&self);
        for (mut node, exact) in std::mem::take(&mut self.nodes).into_iter().zip(exact) {
            let wanted = if exact { Element::Float32 } else { Element::Float16 };
            for input in &mut node.inputs {
                *input = self.in_format(input, wanted, &mut formats);
            }
            let first = node.inputs.first().and_then(|name| formats.get(&self, name));
            formats.computed(&node, first, wanted);
            self.nodes.push(node);
        }
        self.drop_unused();
        self.compact()
    }

    /// A graph in float32 that gives besides its results, for each value that [`Graph::into_half`] makes float16, the largest
    /// magnitude of its numbers: a float32 scalar called [`PEAK`] and the value's name, in the order of computing.
    pub fn with_peaks(mut self) -> Graph {
        for value in self.halved() {
            let magnitude = self.node("Abs", &[&value], vec![]);
            let peak = format!("{PEAK}{value}");
            let attributes = vec![("keepdims", Attribute::Int(0))];
            let node = Node::giving(peak.clone(), "ReduceMax", vec![magnitude]);
            self.nodes.push(Node { attributes, ..node });
            self.taps.push(peak);
        }
        self
    }

    /// What a node that is not exact takes or gives, as far as it is float32.
    fn halved(&self) -> Vec<String> {
        let mut formats = Formats::of(self);
        let mut halved: Vec<String> = Vec::new();
        for node in &self.nodes {
            let first = node.inputs.first().and_then(|name| formats.get(self, name));
            formats.computed(node, first, Element::Float32);
            if self.stays_exact(node) {
                continue;
            }
            for value in node.inputs.iter().chain(&node.outputs) {
                if formats.0.get(value) == Some(&Element::Float32) && !halved.contains(value) {
                    halved.push(value.clone());
                }
            }
        }
        halved
    }

    /// Whether a node computes in float32 in every precision.
    fn stays_exact(&self, node: &Node) -> bool {
        node.exact || self.outputs.iter().any(|output| node.outputs.contains(&output.name))
    }

    /// The value `name` in the format `wanted`, if it is a number of the other one: as another constant, or cast.
    fn in_format(&mut self, name: &str, wanted: Element, formats: &mut Formats) -> String {
        let (suffix, other) = match wanted {
            Element::Float16 => ("float16", Element::Float32),
            _ => ("float32", Element::Float16),
        };
        if formats.get(self, name) != Some(other) {
            return name.to_owned();
        }
        let converted = format!("{name}_{suffix}");
        if let Some(constant) = self.initializer(name) {
            let (shape, data) = (constant.shape.clone(), constant.data.clone());
            return self.constant(converted, shape, Data::Half(Box::new(data)));
        }
        if formats.0.insert(converted.clone(), wanted).is_none() {
            self.nodes.push(Node::cast(converted.clone(), name.to_owned(), wanted));
        }
        converted
    }
}
