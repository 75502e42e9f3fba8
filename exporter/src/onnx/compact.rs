//! Large weights that stay in float take half the room.

use super::graph::{Attribute, Data, Element, Graph, Node};

/// Elements from which on a weight is worth a node.
const LARGE: usize = 1 << 14;

impl Graph {
    /// Stores every large float32 weight as float16, with a cast behind it. Engines run such casts once, when they open the
    /// graph; what reads the weight computes in float32 as before.
    pub fn compact(mut self) -> Graph {
        let large = |data: &Data| data.element() == Element::Float32 && !matches!(data, Data::Float32(_));
        let mut casts = Vec::new();
        for constant in &mut self.initializers {
            if constant.elements() >= LARGE && large(&constant.data) {
                let narrow = format!("{}_float16", constant.name);
                let output = std::mem::replace(&mut constant.name, narrow.clone());
                let data = std::mem::replace(&mut constant.data, Data::Int64(Vec::new()));
                constant.data = Data::Half(Box::new(data));
                casts.push(Node {
                    op: "Cast",
                    name: format!("Cast_{output}"),
                    inputs: vec![narrow],
                    outputs: vec![output],
                    attributes: vec![("to", Attribute::Int(Element::Float32 as i64))],
                    exact: true,
                });
            }
        }
        self.nodes.splice(0..0, casts);
        self.drop_unused();
        self
    }
}
