//! Graphs under other names, and two graphs as one.

use super::graph::Graph;
use super::node::Axis;

impl Graph {
    /// Calls the input, output or value `from` `to`, everywhere. No value may be called so already.
    pub fn rename(&mut self, from: &str, to: &str) {
        let of_nodes = self.nodes.iter_mut().flat_map(|node| node.inputs.iter_mut().chain(&mut node.outputs));
        let of_ports = self.inputs.iter_mut().chain(&mut self.outputs).map(|port| &mut port.name);
        of_nodes.chain(of_ports).filter(|name| *name == from).for_each(|name| to.clone_into(name));
    }

    /// Calls the free batch axis of all inputs and outputs `name`.
    pub fn rename_batch(&mut self, name: &'static str) {
        for port in self.inputs.iter_mut().chain(&mut self.outputs) {
            if let Some(axis @ Axis::Named(_)) = port.shape.first_mut() {
                *axis = Axis::Named(name);
            }
        }
    }

    /// The graph that computes what this one does and what `other` does, of the same operator set. All that lies between the inputs
    /// and outputs of `other` gets `prefix` in front of its name; inputs and outputs keep theirs, which must differ.
    pub fn join(mut self, mut other: Graph, prefix: &str) -> Graph {
        let ports = other.inputs.iter().chain(&other.outputs).map(|port| port.name.clone());
        let ports: Vec<String> = ports.collect();
        for node in &mut other.nodes {
            node.name.insert_str(0, prefix);
            let values = node.inputs.iter_mut().chain(&mut node.outputs);
            values.filter(|name| !ports.contains(name)).for_each(|name| name.insert_str(0, prefix));
        }
        other.initializers.iter_mut().for_each(|constant| constant.name.insert_str(0, prefix));
        self.inputs.extend(other.inputs);
        self.outputs.extend(other.outputs);
        self.nodes.extend(other.nodes);
        self.initializers.extend(other.initializers);
        // The constants are found by their new names, too.
        self.drop_unused();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{Axis, Data, Element};

    /// `y = x + 1`, its ports called so.
    fn graph(x: &str, y: &str) -> Graph {
        let mut graph = Graph::new("test", 17);
        let input = graph.input(x, Element::Float32, vec![Axis::Named("batch"), Axis::Fixed(4)]);
        let one = graph.constant("one".to_owned(), vec![], Data::Float32(vec![1.0]));
        let sum = graph.node("Add", &[&input, &one], vec![]);
        let sum = graph.node("Relu", &[&sum], vec![]);
        graph.output(&sum, y, Element::Float32, vec![Axis::Named("batch"), Axis::Fixed(4)]);
        graph
    }

    #[test]
    fn joined_graphs_share_no_name() {
        let mut second = graph("b", "b1");
        second.rename_batch("texts");
        second.rename("b", "ids");
        let joined = graph("a", "a1").join(second, "text.");
        let nodes: Vec<_> = joined.nodes.iter().map(|n| (n.inputs.join(" "), n.outputs.join(" "))).collect();
        let expected =
            [("a one", "Add_0"), ("Add_0", "a1"), ("ids text.one", "text.Add_0"), ("text.Add_0", "b1")];
        assert_eq!(nodes, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        let names = |ports: &[crate::onnx::Signature]| -> Vec<String> {
            ports.iter().map(|port| format!("{} {:?}", port.name, port.shape[0])).collect()
        };
        assert_eq!(names(&joined.inputs), [r#"a Named("batch")"#, r#"ids Named("texts")"#]);
        assert_eq!(names(&joined.outputs), [r#"a1 Named("batch")"#, r#"b1 Named("texts")"#]);
        assert!(joined.initializer("one").is_some() && joined.initializer("text.one").is_some());
        let distinct: std::collections::HashSet<_> = joined.nodes.iter().map(|node| &node.name).collect();
        assert_eq!(distinct.len(), 4);
    }
}
