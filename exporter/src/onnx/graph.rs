//! A graph of ONNX operators, built node by node.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// An ONNX graph. Weights are only named here; their values are asked for when the graph is written.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    pub(super) name: String,
    /// Version of ONNX's default operator set.
    pub(super) opset: i64,
    pub(crate) inputs: Vec<Signature>,
    pub(super) outputs: Vec<Signature>,
    pub(crate) nodes: Vec<Node>,
    /// Values that are given out besides the outputs, to be looked at.
    pub(crate) taps: Vec<String>,
    pub(super) initializers: Vec<Initializer>,
    /// The position of every initializer, by name.
    initializer_at: HashMap<String, usize>,
    /// The position of every node, by what it computes.
    node_at: HashMap<String, usize>,
    /// Nodes added so far, removed ones included: no two have the same name.
    added: usize,
    /// Whether nodes are added that compute in float32 in every precision.
    exact: bool,
}

/// An input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The value's name.
    pub name: String,
    /// Its number format.
    pub element: Element,
    /// Its axes: sizes, or names of sizes that vary.
    pub shape: Vec<Axis>,
}

/// One axis of a [`Signature`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Axis {
    /// Always of this size.
    Fixed(usize),
    /// Of any size, the same wherever the name appears.
    Named(&'static str),
}

/// Number formats, with ONNX's `TensorProto.DataType` numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// IEEE single precision.
    Float32 = 1,
    /// 8-bit unsigned integer.
    UInt8 = 2,
    /// 8-bit signed integer.
    Int8 = 3,
    /// 32-bit signed integer.
    Int32 = 6,
    /// 64-bit signed integer.
    Int64 = 7,
    /// IEEE half precision.
    Float16 = 10,
}

impl Element {
    /// Bytes of one element.
    pub fn size(self) -> u64 {
        match self {
            Element::UInt8 | Element::Int8 => 1,
            Element::Float16 => 2,
            Element::Float32 | Element::Int32 => 4,
            Element::Int64 => 8,
        }
    }
}

/// One operator and the names of the values it takes and gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Operator of ONNX's default domain.
    pub op: &'static str,
    /// Unique name of the node.
    pub name: String,
    /// Values or initializers.
    pub inputs: Vec<String>,
    /// Values.
    pub outputs: Vec<String>,
    /// Attributes by name.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Whether it computes in float32 in every precision, since a narrower format could overflow or lose too much.
    pub exact: bool,
}

/// An attribute's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// One integer.
    Int(i64),
    /// A list of integers.
    Ints(Vec<i64>),
    /// One number.
    Float(f32),
}

/// A constant of the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Initializer {
    /// Unique name.
    pub name: String,
    /// Shape, outermost axis first.
    pub shape: Vec<usize>,
    /// Its values.
    pub data: Data,
}

/// The values of a constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Integers written out here.
    Int64(Vec<i64>),
    /// Biases of quantized products.
    Int32(Vec<i32>),
    /// Quantized weights, and zero points of signed numbers.
    Int8(Vec<i8>),
    /// Zero points of unsigned numbers.
    UInt8(Vec<u8>),
    /// Numbers written out here.
    Float32(Vec<f32>),
    /// A checkpoint's tensor, or some of its rows; float32 in the file.
    Weight(Rows),
    /// The weight of a convolution with a batch norm folded into it; float32 in the file.
    Folded {
        /// The convolution's own weight, output channels first.
        weight: Rows,
        /// Name of the batch norm.
        norm: String,
    },
    /// The bias that the batch norm of this name leaves when it is folded into a convolution; float32 in the file.
    FoldedBias(String),
    /// Numbers of one of the float32 kinds, those of each column (along the innermost axis) times a factor.
    Scaled {
        /// The numbers.
        data: Box<Data>,
        /// A factor per column.
        columns: Vec<f32>,
    },
    /// Numbers of one of the float32 kinds, rounded to float16 in the file.
    Half(Box<Data>),
}

impl Data {
    /// The number format in the file.
    pub fn element(&self) -> Element {
        match self {
            Data::Int64(_) => Element::Int64,
            Data::Int32(_) => Element::Int32,
            Data::Int8(_) => Element::Int8,
            Data::UInt8(_) => Element::UInt8,
            Data::Half(_) => Element::Float16,
            Data::Float32(_)
            | Data::Weight(_)
            | Data::Folded { .. }
            | Data::FoldedBias(_)
            | Data::Scaled { .. } => Element::Float32,
        }
    }
}

/// Consecutive rows (along the outermost axis) of a checkpoint's tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// State-dict name.
    pub tensor: String,
    /// Which rows; None for the whole tensor.
    pub rows: Option<Range<usize>>,
}

impl Initializer {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Graph {
    /// An empty graph of operators of version `opset`, one of [`OPSETS`](super::OPSETS).
    pub fn new(name: &str, opset: i64) -> Graph {
        Graph { name: name.to_owned(), opset, ..Graph::default() }
    }

    /// Version of the operators.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// The nodes so far, in an order in which they can run.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The constants so far.
    pub fn initializers(&self) -> &[Initializer] {
        &self.initializers
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
    pub fn node(
        &mut self,
        op: &'static str,
        inputs: &[&str],
        attributes: Vec<(&'static str, Attribute)>,
    ) -> String {
        let position = self.position(op, inputs, attributes, 1);
        self.nodes[position].outputs[0].clone()
    }

    /// Adds an operator with `N` results; returns their names.
    pub fn node_with_results<const N: usize>(
        &mut self,
        op: &'static str,
        inputs: &[&str],
        attributes: Vec<(&'static str, Attribute)>,
    ) -> [String; N] {
        let position = self.position(op, inputs, attributes, N);
        std::array::from_fn(|i| self.nodes[position].outputs[i].clone())
    }

    fn position(
        &mut self,
        op: &'static str,
        inputs: &[&str],
        attributes: Vec<(&'static str, Attribute)>,
        results: usize,
    ) -> usize {
        let next = self.nodes.len();
        let key = format!("{op} {inputs:?} {attributes:?} {results}");
        let position = *self.node_at.entry(key).or_insert(next);
        if position < next {
            // What is computed once for several readers is as exact as the one that asks for most.
            self.nodes[position].exact |= self.exact;
        } else {
            let name = format!("{op}_{}", self.added);
            self.added += 1;
            let outputs = match results {
                1 => vec![name.clone()],
                _ => (0..results).map(|i| format!("{name}_{i}")).collect(),
            };
            let inputs = inputs.iter().map(|&i| i.to_owned()).collect();
            self.nodes.push(Node { op, name, inputs, outputs, attributes, exact: self.exact });
        }
        position
    }

    /// The constant of this name.
    pub fn initializer(&self, name: &str) -> Option<&Initializer> {
        self.initializer_at.get(name).map(|&i| &self.initializers[i])
    }

    /// The same, to be changed; its name must stay.
    pub fn initializer_mut(&mut self, name: &str) -> Option<&mut Initializer> {
        self.initializer_at.get(name).map(|&i| &mut self.initializers[i])
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

    /// Removes constants that no node reads any more.
    pub fn drop_unused(&mut self) {
        let read: HashSet<&str> = self.nodes.iter().flat_map(|n| &n.inputs).map(String::as_str).collect();
        self.initializers.retain(|i| read.contains(i.name.as_str()));
        self.initializer_at =
            self.initializers.iter().enumerate().map(|(i, x)| (x.name.clone(), i)).collect();
    }

    /// A vector of integers, such as a shape; returns its name.
    pub fn integers(&mut self, values: &[i64]) -> String {
        let name = format!("integers{values:?}").replace(' ', "");
        self.constant(name, vec![values.len()], Data::Int64(values.to_vec()))
    }

    /// A single integer, an axis-free tensor; returns its name.
    pub fn integer(&mut self, value: i64) -> String {
        self.constant(format!("integer_{value}"), vec![], Data::Int64(vec![value]))
    }

    /// A single number, an axis-free tensor; returns its name.
    pub fn number(&mut self, value: f32) -> String {
        self.constant(format!("number_{value:e}"), vec![], Data::Float32(vec![value]))
    }

    /// A tensor of the checkpoint, as it is there; returns its name.
    pub fn weight(&mut self, tensor: &str, shape: &[usize]) -> String {
        let data = Data::Weight(Rows { tensor: tensor.to_owned(), rows: None });
        self.constant(tensor.to_owned(), shape.to_vec(), data)
    }

    /// Rows of a tensor of the checkpoint, in the given shape; returns their name.
    pub fn weight_rows(&mut self, tensor: &str, rows: Range<usize>, shape: &[usize]) -> String {
        let name = format!("{tensor}[{}:{}]", rows.start, rows.end);
        let data = Data::Weight(Rows { tensor: tensor.to_owned(), rows: Some(rows) });
        self.constant(name, shape.to_vec(), data)
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

    #[test]
    fn what_was_computed_is_not_computed_again() {
        let mut graph = Graph::new("test", 17);
        let x = graph.input("x", Element::Float32, vec![Axis::Named("batch"), Axis::Fixed(4)]);
        let shape = graph.integers(&[-1, 2]);
        assert_eq!(shape, graph.integers(&[-1, 2]));
        let a = graph.node("Reshape", &[&x, &shape], vec![]);
        let b = graph.node("Reshape", &[&x, &shape], vec![]);
        assert_eq!(a, b);
        let c = graph.node("Softmax", &[&a], vec![("axis", Attribute::Int(0))]);
        let d = graph.node("Softmax", &[&a], vec![("axis", Attribute::Int(1))]);
        assert_ne!(c, d);
        assert_eq!((graph.nodes().len(), graph.initializers().len()), (3, 1));
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
        let exact: Vec<_> = graph.nodes().iter().map(|n| (n.op, n.exact)).collect();
        assert_eq!(exact, [("Relu", true), ("Neg", false)]);
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
        let row = graph.weight("token", &[1, 4]);
        let vector = graph.weight("token", &[4]);
        assert_eq!(graph.weight("token", &[4]), vector);
        assert_ne!(row, vector);
        let of = |name: &str| graph.initializer(name).unwrap().shape.clone();
        assert_eq!((of(&row), of(&vector)), (vec![1, 4], vec![4]));
        assert_eq!(graph.initializers().len(), 2);
    }
}
