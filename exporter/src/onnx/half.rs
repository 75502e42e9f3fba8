//! Graphs in half precision.

use std::collections::HashMap;

use super::graph::{Attribute, Data, Element, Graph, Node};

/// How the names of the results begin that [`Graph::with_peaks`] adds.
pub const PEAK: &str = "peak of ";

/// Operators whose results are integers, whatever they read.
const COUNTING: [&str; 3] = ["Shape", "Size", "ArgMax"];

impl Graph {
    /// Weights and arithmetic in float16, except in nodes that are [exact](Node::exact) or give the graph's results;
    /// those stay in float32, with casts around them and behind their large weights. Inputs and outputs stay what they are.
    pub fn to_half(mut self) -> Graph {
        let exact: Vec<bool> = self.nodes.iter().map(|node| self.stays_exact(node)).collect();
        let mut formats: HashMap<String, Element> =
            self.inputs.iter().map(|i| (i.name.clone(), i.element)).collect();
        for (node, exact) in std::mem::take(&mut self.nodes).into_iter().zip(exact) {
            let wanted = if exact { Element::Float32 } else { Element::Float16 };
            let inputs: Vec<String> =
                node.inputs.iter().map(|name| self.in_format(name, wanted, &mut formats)).collect();
            let first = inputs.first().and_then(|name| self.format(name, &formats));
            let computed = computed(&node, first).unwrap_or(wanted);
            formats.extend(node.outputs.iter().map(|name| (name.clone(), computed)));
            self.nodes.push(Node { inputs, ..node });
        }
        self.drop_unused();
        self.compact()
    }

    /// A graph in float32 that gives besides its results, for each value that [`Graph::to_half`] makes float16, the largest
    /// magnitude of its numbers: a float32 scalar called [`PEAK`] and the value's name, in the order of computing.
    pub fn with_peaks(mut self) -> Graph {
        for value in self.halved() {
            let magnitude = self.node("Abs", &[&value], vec![]);
            let peak = format!("{PEAK}{value}");
            self.nodes.push(Node {
                op: "ReduceMax",
                name: peak.clone(),
                inputs: vec![magnitude],
                outputs: vec![peak.clone()],
                attributes: vec![("keepdims", Attribute::Int(0))],
                exact: true,
            });
            self.taps.push(peak);
        }
        self
    }

    /// What a node that is not exact takes or gives, as far as it is float32.
    fn halved(&self) -> Vec<String> {
        let mut formats: HashMap<String, Element> =
            self.inputs.iter().map(|i| (i.name.clone(), i.element)).collect();
        let mut halved: Vec<String> = Vec::new();
        for node in &self.nodes {
            let first = node.inputs.first().and_then(|name| self.format(name, &formats));
            let computed = computed(node, first).unwrap_or(Element::Float32);
            formats.extend(node.outputs.iter().map(|name| (name.clone(), computed)));
            if self.stays_exact(node) {
                continue;
            }
            for value in node.inputs.iter().chain(&node.outputs) {
                if formats.get(value) == Some(&Element::Float32) && !halved.contains(value) {
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
    fn in_format(&mut self, name: &str, wanted: Element, formats: &mut HashMap<String, Element>) -> String {
        let (suffix, other) = match wanted {
            Element::Float16 => ("float16", Element::Float32),
            _ => ("float32", Element::Float16),
        };
        if self.format(name, formats) != Some(other) {
            return name.to_owned();
        }
        let converted = format!("{name}_{suffix}");
        if let Some(constant) = self.initializer(name) {
            let (shape, data) = (constant.shape.clone(), constant.data.clone());
            return self.constant(converted, shape, Data::Half(Box::new(data)));
        }
        if formats.insert(converted.clone(), wanted).is_none() {
            self.nodes.push(Node {
                op: "Cast",
                name: format!("Cast_{converted}"),
                inputs: vec![name.to_owned()],
                outputs: vec![converted.clone()],
                attributes: vec![("to", Attribute::Int(wanted as i64))],
                exact: false,
            });
        }
        converted
    }

    fn format(&self, name: &str, formats: &HashMap<String, Element>) -> Option<Element> {
        formats.get(name).copied().or_else(|| self.initializer(name).map(|i| i.data.element()))
    }
}

/// The format of a node's results, when that of its first input is `first`.
fn computed(node: &Node, first: Option<Element>) -> Option<Element> {
    match (node.op, node.attributes.as_slice()) {
        ("Cast", [(_, Attribute::Int(to))]) if *to == Element::Float32 as i64 => Some(Element::Float32),
        (op, _) if COUNTING.contains(&op) => Some(Element::Int64),
        // The result is what the first input is.
        _ => first,
    }
}
