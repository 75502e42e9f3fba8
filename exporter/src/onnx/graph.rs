//! A graph of ONNX operators, built node by node.

use std::collections::{HashMap, HashSet};

use super::data::{Data, Element, Initializer};
use super::node::{Attributes, Axis, Node, Signature};

/// An ONNX graph. Weights are only named here; their values are asked for when the graph is written.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    pub name: String,
    /// Version of ONNX's default operator set.
    pub opset: i64,
    pub inputs: Vec<Signature>,
    pub outputs: Vec<Signature>,
    /// In an order in which they can run.
    pub nodes: Vec<Node>,
    /// Values that are given out besides the outputs, to be looked at.
    pub taps: Vec<String>,
    /// The constants.
    pub initializers: Vec<Initializer>,
    /// The position of every initializer, by name.
    initializer_at: HashMap<String, usize>,
    /// The position of every node, by what it computes.
    node_at: HashMap<String, usize>,
    /// Nodes added so far, removed ones included: no two have the same name.
    added: usize,
    /// Whether nodes are added that compute in float32 in every precision.
    exact: bool,
}

impl Graph {
    /// An empty graph of operators of version `opset`, one of [`OPSETS`](super::OPSETS).
    pub fn new(name: &str, opset: i64) -> Graph {
        Graph { name: name.to_owned(), opset, ..Graph::default() }
    }

    /// Declares an input; returns its name.
    pub fn input(&mut self, name: &str, element: Element, shape: Vec<Axis>) -> String {
        self.inputs.push(Signature { name: name.to_owned(), element, shape });
        name.to_owned()
    }

    /// Declares `value` an output and calls it `name`; to be done when the graph is complete.
    pub fn output(&mut self, value: &str, name: &str, element: Element, shape: Vec<Axis>) {
        let values = self.nodes.iter_mut().flat_map(|node| node.outputs.iter_mut().chain(&mut node.inputs));
        values.filter(|v| *v == value).for_each(|v| *v = name.to_owned());
        self.outputs.push(Signature { name: name.to_owned(), element, shape });
    }

    /// From here on, nodes compute in float32 in every precision, or no longer; returns how it was.
    pub fn set_exact(&mut self, exact: bool) -> bool {
        std::mem::replace(&mut self.exact, exact)
    }

    /// Adds an operator with one result; returns the result's name. What was computed before is not computed again.
    pub fn node(&mut self, op: &'static str, inputs: &[&str], attributes: Attributes) -> String {
        let [result] = self.node_with_results(op, inputs, attributes);
        result
    }

    /// Adds an operator with `N` results; returns their names.
    pub fn node_with_results<const N: usize>(
        &mut self,
        op: &'static str,
        inputs: &[&str],
        attributes: Attributes,
    ) -> [String; N] {
        let next = self.nodes.len();
        let key = format!("{op} {inputs:?} {attributes:?} {N}");
        let position = *self.node_at.entry(key).or_insert(next);
        if position < next {
            // What is computed once for several readers is as exact as the one that asks for most.
            self.nodes[position].exact |= self.exact;
        } else {
            let name = format!("{op}_{}", self.added);
            self.added += 1;
            let outputs = match N {
                1 => vec![name.clone()],
                _ => (0..N).map(|i| format!("{name}_{i}")).collect(),
            };
            let inputs = inputs.iter().map(|&i| i.to_owned()).collect();
            self.nodes.push(Node { op, name, inputs, outputs, attributes, exact: self.exact });
        }
        std::array::from_fn(|i| self.nodes[position].outputs[i].clone())
    }

    /// The constant of this name.
    pub fn initializer(&self, name: &str) -> Option<&Initializer> {
        self.initializer_at.get(name).map(|&i| &self.initializers[i])
    }

    /// Multiplies each column of the constant `name` by its factor; a single factor is every column's.
    pub fn scale(&mut self, name: &str, columns: &[f32]) {
        if let Some(&i) = self.initializer_at.get(name) {
            self.initializers[i].scale(columns.to_vec());
        }
    }

    /// The positions of the nodes that read each value.
    pub fn readers(&self) -> HashMap<&str, Vec<usize>> {
        let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (i, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|input| readers.entry(input).or_default().push(i));
        }
        readers
    }

    /// The position of the node that computes each value.
    pub fn makers(&self) -> HashMap<&str, usize> {
        let nodes = self.nodes.iter().enumerate();
        nodes.flat_map(|(i, node)| node.outputs.iter().map(move |output| (output.as_str(), i))).collect()
    }

    /// Keeps the nodes of which `keep`, given their positions, says so.
    pub(super) fn retain_nodes(&mut self, keep: impl Fn(usize) -> bool) {
        let mut position = 0..;
        self.nodes.retain(|_| position.next().is_none_or(&keep));
        // The others have other positions now; what is added from here on is computed anew.
        self.node_at.clear();
    }

    /// The same graph with every free batch axis of its inputs and outputs fixed.
    pub fn with_fixed_batch(mut self, batch: usize) -> Graph {
        for signature in self.inputs.iter_mut().chain(&mut self.outputs) {
            if let Some(axis @ Axis::Named(_)) = signature.shape.first_mut() {
                *axis = Axis::Fixed(batch);
            }
        }
        self
    }

    /// The same graph with another input in the place of the one called `name`, which keeps its name: all nodes read what
    /// `front` makes of it. `front` adds nodes that read it and constants alone, and gives back the name of what they make.
    pub fn with_front(
        mut self,
        name: &str,
        (element, shape): (Element, Vec<Axis>),
        front: impl FnOnce(&mut Graph, &str) -> String,
    ) -> Graph {
        // Nothing of the graph is read in front of it.
        self.node_at.clear();
        let behind = self.nodes.len();
        let made = front(&mut self, name);
        let reads = self.nodes[..behind].iter_mut().flat_map(|node| &mut node.inputs);
        reads.filter(|read| *read == name).for_each(|read| read.clone_from(&made));
        self.nodes.rotate_left(behind);
        self.node_at.clear();
        if let Some(input) = self.inputs.iter_mut().find(|input| input.name == name) {
            (input.element, input.shape) = (element, shape);
        }
        self
    }

    /// Removes constants that no node reads any more.
    pub fn drop_unused(&mut self) {
        let read: HashSet<&str> = self.nodes.iter().flat_map(|n| &n.inputs).map(String::as_str).collect();
        self.initializers.retain(|i| read.contains(i.name.as_str()));
        self.initializer_at =
            self.initializers.iter().enumerate().map(|(i, x)| (x.name.clone(), i)).collect();
    }

    /// A constant; the same one is not stored again, and another one of this name gets a name of its own. Returns the name.
    pub fn constant(&mut self, name: String, shape: Vec<usize>, data: Data) -> String {
        let mut constant = Initializer { name, shape, data };
        loop {
            match self.initializer(&constant.name) {
                Some(there) if *there == constant => return constant.name,
                Some(_) => constant.name.push('\''),
                None => break,
            }
        }
        let name = constant.name.clone();
        self.initializer_at.insert(name.clone(), self.initializers.len());
        self.initializers.push(constant);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::Attribute;
    use crate::testing::weight;

    #[test]
    fn what_was_computed_is_not_computed_again() {
        let mut graph = Graph::new("test", 17);
        let x = graph.input("x", Element::Float32, vec![Axis::Named("batch"), Axis::Fixed(4)]);
        let integers =
            |graph: &mut Graph| graph.constant("ints".to_owned(), vec![2], Data::Int64(vec![-1, 2]));
        let shape = integers(&mut graph);
        assert_eq!(shape, integers(&mut graph));
        let a = graph.node("Reshape", &[&x, &shape], vec![]);
        let b = graph.node("Reshape", &[&x, &shape], vec![]);
        assert_eq!(a, b);
        let c = graph.node("Softmax", &[&a], vec![("axis", Attribute::Int(0))]);
        let d = graph.node("Softmax", &[&a], vec![("axis", Attribute::Int(1))]);
        assert_ne!(c, d);
        assert_eq!((graph.nodes.len(), graph.initializers.len()), (3, 1));
    }

    #[test]
    fn what_is_wanted_exactly_by_one_reader_is_exact() {
        let mut graph = Graph::new("test", 17);
        let x = graph.input("x", Element::Float32, vec![Axis::Named("batch"), Axis::Fixed(4)]);
        let half = graph.node("Relu", &[&x], vec![]);
        graph.node("Neg", &[&half], vec![]);
        let before = graph.set_exact(true);
        assert_eq!(graph.node("Relu", &[&x], vec![]), half);
        graph.set_exact(before);
        graph.node("Relu", &[&x], vec![]);
        let exact: Vec<_> = graph.nodes.iter().map(|n| (n.op, n.exact)).collect();
        assert_eq!(exact, [("Relu", true), ("Neg", false)]);
    }

    #[test]
    fn a_front_comes_before_all_that_reads_the_input() {
        let mut graph = Graph::new("test", 17);
        let x = graph.input("x", Element::Float32, vec![Axis::Fixed(4)]);
        let y = graph.node("Relu", &[&x], vec![]);
        graph.node("Add", &[&y, &x], vec![]);
        let input = (Element::UInt8, vec![Axis::Fixed(2)]);
        let graph = graph.with_front("x", input, |graph, x| graph.node("Relu", &[x], vec![]));
        let nodes: Vec<_> = graph.nodes.iter().map(|n| (n.op, n.inputs.join(" "))).collect();
        let [front, first] = [0, 1].map(|i| graph.nodes[i].outputs[0].clone());
        assert_eq!(
            nodes,
            [("Relu", "x".to_owned()), ("Relu", front.clone()), ("Add", format!("{first} {front}"))]
        );
        assert_eq!(
            (graph.inputs[0].element, &graph.inputs[0].shape[..]),
            (Element::UInt8, &[Axis::Fixed(2)][..])
        );
    }

    #[test]
    fn results_are_counted() {
        let mut graph = Graph::new("test", 17);
        let x = graph.input("x", Element::Float32, vec![Axis::Fixed(6)]);
        let two = graph.node_with_results::<2>("Split", &[&x], vec![]);
        let three = graph.node_with_results::<3>("Split", &[&x], vec![]);
        assert!(two.iter().all(|name| !three.contains(name)));
    }

    #[test]
    fn a_name_that_is_taken_does_not_change_a_constant() {
        let mut graph = Graph::new("test", 17);
        let row = weight(&mut graph, "token", &[1, 4]);
        let vector = weight(&mut graph, "token", &[4]);
        assert_eq!(weight(&mut graph, "token", &[4]), vector);
        assert_ne!(row, vector);
        let of = |name: &str| graph.initializer(name).unwrap().shape.clone();
        assert_eq!((of(&row), of(&vector)), (vec![1, 4], vec![4]));
        assert_eq!(graph.initializers.len(), 2);
    }
}
