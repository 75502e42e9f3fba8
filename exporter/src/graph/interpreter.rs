//! The state of an ONNX graph while the network is written into it, and the small steps that all operations are made of.

use std::cell::RefCell;
use std::ops::Range;

use crate::onnx::Attribute::{Int, Ints};
use crate::onnx::{Attributes, Axis, Data, Element, Graph};

/// The size of the sequence axis of texts, known only when the graph runs.
pub const TEXT_LENGTH: usize = 0;

/// Interprets [`Ops`](clip_model::ops::Ops) as additions to a graph.
#[derive(Debug)]
pub struct Interpreter {
    graph: RefCell<Graph>,
    /// Rows of the causal mask: the longest text.
    pub(super) context_length: usize,
    /// Whether the graph is spelled for a CPU's integer kernels, see `integers`.
    pub(super) for_integers: bool,
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

    pub(super) fn node(&self, op: &'static str, inputs: &[&str], attributes: Attributes) -> String {
        self.graph.borrow_mut().node(op, inputs, attributes)
    }

    /// An operator with three results.
    pub(super) fn split(&self, x: &str, sizes: &[i64]) -> [String; 3] {
        let sizes = self.integers(sizes);
        self.graph.borrow_mut().node_with_results("Split", &[x, &sizes], vec![("axis", Int(1))])
    }

    pub(super) fn input(&self, name: &str, element: Element, shape: Vec<Axis>) -> String {
        self.graph.borrow_mut().input(name, element, shape)
    }

    pub(super) fn constant(&self, name: String, shape: Vec<usize>, data: Data) -> String {
        self.graph.borrow_mut().constant(name, shape, data)
    }

    /// What `body` adds computes in float32 in every precision.
    pub(super) fn exact<R>(&self, body: impl FnOnce() -> R) -> R {
        let before = self.graph.borrow_mut().set_exact(true);
        let result = body();
        self.graph.borrow_mut().set_exact(before);
        result
    }

    pub(super) fn integers(&self, values: &[i64]) -> String {
        self.graph.borrow_mut().integers(values)
    }

    pub(super) fn integer(&self, value: i64) -> String {
        self.graph.borrow_mut().integer(value)
    }

    pub(super) fn number(&self, value: f32) -> String {
        self.graph.borrow_mut().number(value)
    }

    pub(super) fn weight(&self, tensor: &str, shape: &[usize]) -> String {
        self.graph.borrow_mut().weight(tensor, shape)
    }

    pub(super) fn weight_rows(&self, tensor: &str, rows: Range<usize>, shape: &[usize]) -> String {
        self.graph.borrow_mut().weight_rows(tensor, rows, shape)
    }

    pub(super) fn reshape(&self, x: &str, shape: &[i64]) -> String {
        let shape = self.integers(shape);
        self.node("Reshape", &[x, &shape], vec![])
    }

    pub(super) fn transpose(&self, x: &str, order: &[i64]) -> String {
        self.node("Transpose", &[x], vec![("perm", Ints(order.to_vec()))])
    }

    /// A reduction over `axis`, which stays with size one. Axes are an input since operator set 18.
    pub(super) fn reduce(&self, op: &'static str, x: &str, axis: i64) -> String {
        let keep = ("keepdims", Int(1));
        if self.graph.borrow().opset() < 18 {
            return self.node(op, &[x], vec![("axes", Ints(vec![axis])), keep]);
        }
        self.node(op, &[x, &self.integers(&[axis])], vec![keep])
    }

    /// Entry `axis` of the run-time shape of `x`, as a vector of one integer.
    pub(super) fn size(&self, x: &str, axis: i64) -> String {
        self.node("Shape", &[x], vec![("start", Int(axis)), ("end", Int(axis + 1))])
    }

    pub(super) fn concat(&self, parts: &[&str], axis: i64) -> String {
        self.node("Concat", parts, vec![("axis", Int(axis))])
    }

    /// `[batch, length, channels]` as `[batch * length, channels]`.
    pub(super) fn flat(&self, x: &Value) -> String {
        if x.flat { x.name.clone() } else { self.reshape(&x.name, &[-1, x.shape[1] as i64]) }
    }

    /// `[batch * length, channels]` as `[batch, length, channels]`; only for lengths that are known beforehand.
    pub(super) fn nested(&self, x: &Value) -> String {
        if x.flat {
            self.reshape(&x.name, &[&self.in_order(-1, x.shape[0] as i64)[..], &[x.shape[1] as i64]].concat())
        } else {
            x.name.clone()
        }
    }

    /// One of the tokens alone; negative positions count from the end.
    pub(super) fn token(&self, x: &Value, position: i64) -> Value {
        let axis = vec![("axis", Int(self.token_axis()))];
        let token = self.node("Gather", &[&self.nested(x), &self.integer(position)], axis);
        Self::matrix(token, 1, x.shape[1])
    }

    /// Which axis of a sequence is that of its tokens, 0 or 1; the other is that of the samples.
    pub(super) fn token_axis(&self) -> i64 {
        if self.for_integers { 0 } else { 1 }
    }

    /// What is said of the samples and of the tokens, in the order of their axes.
    pub(super) fn in_order<T>(&self, samples: T, tokens: T) -> [T; 2] {
        if self.for_integers { [tokens, samples] } else { [samples, tokens] }
    }

    pub(super) fn matrix(name: String, length: usize, channels: usize) -> Value {
        Value { name, shape: vec![length, channels], flat: true }
    }

    /// One `Gemm` with rows of `tensor`, `[out, in]`, and of its bias.
    pub(super) fn gemm(&self, x: &Value, weight: &str, bias: &str) -> String {
        self.node("Gemm", &[&self.flat(x), weight, bias], vec![("transB", Int(1))])
    }
}

/// What a product takes, with a bias or without.
pub(super) fn operands<'a>(x: &'a str, weight: &'a str, bias: &'a Option<String>) -> Vec<&'a str> {
    [x, weight].into_iter().chain(bias.as_deref()).collect()
}
