//! The state of an ONNX graph while the network is written into it, and the small steps that all operations are made of.

use std::cell::RefCell;
use std::ops::Range;

use crate::onnx::Attribute::{Int, Ints};
use crate::onnx::{Attributes, Axis, Data, Element, Graph, Rows};

/// The size of the sequence axis of texts, known only when the graph runs.
pub const TEXT_LENGTH: usize = 0;

/// Interprets [`Ops`](clip_model::ops::Ops) as additions to a graph.
#[derive(Debug)]
pub struct Interpreter {
    graph: RefCell<Graph>,
    /// Rows of the causal mask: the longest text.
    pub context_length: usize,
    /// Whether the graph is spelled for a CPU's integer kernels, see `integers`.
    pub for_integers: bool,
}

/// A value of the graph: its name and how it lies in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Name in the graph.
    pub name: String,
    /// Shape of one sample; [`TEXT_LENGTH`] for the axis that varies.
    pub shape: Vec<usize>,
    /// Whether samples and tokens share an axis, `[batch * length, channels]`, or not, `[batch, length, channels]`.
    /// Of an image `[C, H, W]`, whether it lies as its tokens do, `[batch * H * W, C]`. In the spelling for integers, length
    /// (or `H * W`) comes before batch.
    pub flat: bool,
}

impl Value {
    /// A value with its batch axis in front, for samples of the given shape.
    pub fn new(name: String, shape: &[usize]) -> Value {
        Value { name, shape: shape.to_vec(), flat: false }
    }
}

impl Interpreter {
    /// Adds to `graph`; no text will be longer than `context_length`.
    pub fn new(graph: Graph, context_length: usize) -> Interpreter {
        Interpreter { graph: RefCell::new(graph), context_length, for_integers: false }
    }

    /// The same, spelled for a CPU's integer kernels or not.
    pub fn for_integers(self, for_integers: bool) -> Interpreter {
        Interpreter { for_integers, ..self }
    }

    /// The graph with all that was added.
    pub fn into_graph(self) -> Graph {
        self.graph.into_inner()
    }

    /// Adds what `body` adds.
    pub fn edit<R>(&self, body: impl FnOnce(&mut Graph) -> R) -> R {
        body(&mut self.graph.borrow_mut())
    }

    pub fn node(&self, op: &'static str, inputs: &[&str], attributes: Attributes) -> String {
        self.graph.borrow_mut().node(op, inputs, attributes)
    }

    /// An operator with three results.
    pub fn split(&self, x: &str, sizes: &[i64]) -> [String; 3] {
        let sizes = self.integers(sizes);
        self.graph.borrow_mut().node_with_results("Split", &[x, &sizes], vec![("axis", Int(1))])
    }

    pub fn input(&self, name: &str, element: Element, shape: Vec<Axis>) -> String {
        self.graph.borrow_mut().input(name, element, shape)
    }

    pub fn constant(&self, name: String, shape: Vec<usize>, data: Data) -> String {
        self.graph.borrow_mut().constant(name, shape, data)
    }

    /// What `body` adds computes in float32 in every precision.
    pub fn exact<R>(&self, body: impl FnOnce() -> R) -> R {
        let before = self.graph.borrow_mut().set_exact(true);
        let result = body();
        self.graph.borrow_mut().set_exact(before);
        result
    }

    /// A vector of integers, such as a shape.
    pub fn integers(&self, values: &[i64]) -> String {
        let name = format!("integers{values:?}").replace(' ', "");
        self.constant(name, vec![values.len()], Data::Int64(values.to_vec()))
    }

    /// A single integer, an axis-free tensor.
    pub fn integer(&self, value: i64) -> String {
        self.constant(format!("integer_{value}"), vec![], Data::Int64(vec![value]))
    }

    /// A single number, an axis-free tensor.
    pub fn number(&self, value: f32) -> String {
        self.constant(format!("number_{value:e}"), vec![], Data::Float32(vec![value]))
    }

    /// A tensor of the checkpoint, as it is there.
    pub fn weight(&self, tensor: &str, shape: &[usize]) -> String {
        let data = Data::Weight(Rows { tensor: tensor.to_owned(), rows: None });
        self.constant(tensor.to_owned(), shape.to_vec(), data)
    }

    /// Rows of a tensor of the checkpoint, in the given shape.
    pub fn weight_rows(&self, tensor: &str, rows: Range<usize>, shape: &[usize]) -> String {
        let name = format!("{tensor}[{}:{}]", rows.start, rows.end);
        let data = Data::Weight(Rows { tensor: tensor.to_owned(), rows: Some(rows) });
        self.constant(name, shape.to_vec(), data)
    }

    pub fn reshape(&self, x: &str, shape: &[i64]) -> String {
        let shape = self.integers(shape);
        self.node("Reshape", &[x, &shape], vec![])
    }

    pub fn transpose(&self, x: &str, order: &[i64]) -> String {
        self.node("Transpose", &[x], vec![("perm", Ints(order.to_vec()))])
    }

    /// A reduction over `axis`, which stays with size one. Axes are an input since operator set 18.
    pub fn reduce(&self, op: &'static str, x: &str, axis: i64) -> String {
        let keep = ("keepdims", Int(1));
        if self.graph.borrow().opset < 18 {
            return self.node(op, &[x], vec![("axes", Ints(vec![axis])), keep]);
        }
        self.node(op, &[x, &self.integers(&[axis])], vec![keep])
    }

    /// Entry `axis` of the run-time shape of `x`, as a vector of one integer.
    pub fn size(&self, x: &str, axis: i64) -> String {
        self.node("Shape", &[x], vec![("start", Int(axis)), ("end", Int(axis + 1))])
    }

    pub fn concat(&self, parts: &[&str], axis: i64) -> String {
        self.node("Concat", parts, vec![("axis", Int(axis))])
    }

    /// `[batch, length, channels]` as `[batch * length, channels]`.
    pub fn flat(&self, x: &Value) -> String {
        if x.flat { x.name.clone() } else { self.reshape(&x.name, &[-1, x.shape[1] as i64]) }
    }

    /// `[batch * length, channels]` as `[batch, length, channels]`; only for lengths that are known beforehand.
    pub fn nested(&self, x: &Value) -> String {
        if x.flat {
            self.reshape(&x.name, &[&self.in_order(-1, x.shape[0] as i64)[..], &[x.shape[1] as i64]].concat())
        } else {
            x.name.clone()
        }
    }

    /// One of the tokens alone; negative positions count from the end.
    pub fn token(&self, x: &Value, position: i64) -> Value {
        let axis = vec![("axis", Int(self.token_axis()))];
        let token = self.node("Gather", &[&self.nested(x), &self.integer(position)], axis);
        Self::matrix(token, 1, x.shape[1])
    }

    /// Which axis of a sequence is that of its tokens, 0 or 1; the other is that of the samples.
    pub fn token_axis(&self) -> i64 {
        if self.for_integers { 0 } else { 1 }
    }

    /// What is said of the samples and of the tokens, in the order of their axes.
    pub fn in_order<T>(&self, samples: T, tokens: T) -> [T; 2] {
        if self.for_integers { [tokens, samples] } else { [samples, tokens] }
    }

    pub fn matrix(name: String, length: usize, channels: usize) -> Value {
        Value { name, shape: vec![length, channels], flat: true }
    }

    /// One `Gemm` with rows of `tensor`, `[out, in]`, and of its bias.
    pub fn gemm(&self, x: &Value, weight: &str, bias: &str) -> String {
        self.node("Gemm", &[&self.flat(x), weight, bias], vec![("transB", Int(1))])
    }
}

/// What a product takes, with a bias or without.
pub fn operands<'a>(x: &'a str, weight: &'a str, bias: &'a Option<String>) -> Vec<&'a str> {
    [x, weight].into_iter().chain(bias.as_deref()).collect()
}
