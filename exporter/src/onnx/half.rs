//! Graphs in half precision.

use std::collections::HashMap;

use super::graph::{Attribute, Data, Element, Graph, Node};

/// Operators whose results are integers, whatever they read.
const COUNTING: [&str; 3] = ["Shape", "Size", "ArgMax"];

impl Graph {
    /// Weights and arithmetic in float16, except in nodes that are [exact](Node::exact) or give the graph's results;
    /// those stay in float32, with casts around them and behind their large weights. Inputs and outputs stay what they are.
    pub fn to_half(mut self) -> Graph {
        let results: Vec<String> = self.outputs.iter().map(|o| o.name.clone()).collect();
        let mut formats: HashMap<String, Element> =
            self.inputs.iter().map(|i| (i.name.clone(), i.element)).collect();
        for node in std::mem::take(&mut self.nodes) {
            let exact = node.exact || node.outputs.iter().any(|o| results.contains(o));
            let wanted = if exact { Element::Float32 } else { Element::Float16 };
            let inputs: Vec<String> =
                node.inputs.iter().map(|name| self.in_format(name, wanted, &mut formats)).collect();
            let first = inputs.first().and_then(|name| self.format(name, &formats));
            let computed = match (node.op, node.attributes.as_slice()) {
                ("Cast", [(_, Attribute::Int(to))]) if *to == Element::Float32 as i64 => Element::Float32,
                (op, _) if COUNTING.contains(&op) => Element::Int64,
                // The result is what the first input is.
                _ => first.unwrap_or(wanted),
            };
            formats.extend(node.outputs.iter().map(|name| (name.clone(), computed)));
            self.nodes.push(Node { inputs, ..node });
        }
        self.drop_unused();
        self.compact()
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
