//! Large weights that stay in float take half the room.

use std::collections::HashSet;

use super::data::{Data, Element};
use super::graph::Graph;
use super::node::Node;

/// Elements from which on a weight is worth a node.
const LARGE: usize = 1 << 14;

impl Graph {
    /// Stores every large float32 weight as float16, with a cast behind it; what reads the weight computes in float32 as
    /// before. Engines run such casts once, when they open the graph, and keep the wide weight; so the rows of a table that
    /// are looked up are cast instead of the table.
    pub fn compact(mut self) -> Graph {
        let large = |data: &Data| data.element() == Element::Float32 && !matches!(data, Data::Float32(_));
        let mut casts = Vec::new();
        for constant in &mut self.initializers {
            if constant.elements() >= LARGE && large(&constant.data) {
                let narrow = format!("{}_float16", constant.name);
                let wide = std::mem::replace(&mut constant.name, narrow.clone());
                constant.halve();
                if self.nodes.iter().all(|node| !node.inputs.contains(&wide) || looks_up(node, &wide)) {
                    gather_narrow(&mut self.nodes, &wide, &narrow);
                } else {
                    casts.push(Node::cast(wide, narrow, Element::Float32));
                }
            }
        }
        self.nodes.splice(0..0, casts);
        // A weight that is read in both formats was there in float16 already.
        let mut names = HashSet::new();
        self.initializers.retain(|constant| names.insert(constant.name.clone()));
        self.drop_unused();
        self
    }
}

/// Whether the node takes rows of `table`.
fn looks_up(node: &Node, table: &str) -> bool {
    node.op == "Gather" && node.inputs.first().is_some_and(|input| input == table)
}

/// Has the lookups in the table `wide` take rows of `narrow` and casts these.
fn gather_narrow(nodes: &mut Vec<Node>, wide: &str, narrow: &str) {
    *nodes = std::mem::take(nodes)
        .into_iter()
        .flat_map(|mut node| {
            let mut cast = None;
            if looks_up(&node, wide) {
                node.inputs[0] = narrow.to_owned();
                let rows = format!("{}_float16", node.outputs[0]);
                let wide = std::mem::replace(&mut node.outputs[0], rows.clone());
                cast = Some(Node::cast(wide, rows, Element::Float32));
            }
            std::iter::once(node).chain(cast)
        })
        .collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::Attribute;
    use crate::testing::weight;

    /// The operators of a graph that looks rows up in a large table, and multiplies with it too if asked to.
    fn operators(multiplies: bool) -> Vec<(&'static str, Vec<String>)> {
        let mut graph = Graph::new("lookup", 17);
        let ids = graph.input("ids", Element::Int32, vec![]);
        let table = weight(&mut graph, "table", &[1024, 16]);
        let row = graph.node("Gather", &[&table, &ids], vec![("axis", Attribute::Int(0))]);
        graph.node("MatMul", &[if multiplies { &table } else { &row }, &row], vec![]);
        let graph = graph.compact();
        assert!(graph.initializer("table_float16").is_some_and(|i| i.data.element() == Element::Float16));
        graph.nodes.iter().map(|n| (n.op, n.inputs.clone())).collect()
    }

    #[test]
    fn rows_are_cast_instead_of_their_table() {
        let found = operators(false);
        assert_eq!(found.iter().map(|(op, _)| *op).collect::<Vec<_>>(), ["Gather", "Cast", "MatMul"]);
        assert_eq!(found[0].1[0], "table_float16");
        assert_eq!(found[1].1, ["Gather_0_float16"]);
        assert_eq!(found[2].1, ["Gather_0", "Gather_0"]);
    }

    #[test]
    fn a_weight_that_is_read_in_both_formats_is_stored_once() {
        let mut graph = Graph::new("both", 17);
        let x = graph.input("x", Element::Float32, vec![]);
        let weight = weight(&mut graph, "weight", &[256, 256]);
        graph.node("MatMul", &[&x, &weight], vec![]);
        graph.set_exact(true);
        let y = graph.node("Gemm", &[&x, &weight], vec![]);
        graph.output(&y, "y", Element::Float32, vec![]);
        let graph = graph.into_half();
        let names: Vec<_> = graph.initializers.iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names, ["weight_float16"]);
        let cast = graph.nodes.iter().find(|node| node.outputs == ["weight"]).unwrap();
        assert_eq!((cast.op, cast.inputs[0].as_str()), ("Cast", "weight_float16"));
    }

    #[test]
    fn a_table_with_other_readers_is_cast_itself() {
        let found = operators(true);
        assert_eq!(found.iter().map(|(op, _)| *op).collect::<Vec<_>>(), ["Cast", "Gather", "MatMul"]);
        assert_eq!(found[1].1[0], "table");
    }
}
