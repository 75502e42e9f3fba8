//! What a graph consists of besides constants: operators, inputs and outputs.

use super::data::Element;

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

/// One operator and the names of the values it takes and gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Operator of ONNX's default domain.
    pub op: &'static str,
    /// Unique name of the node.
    pub name: String,
    /// Values or constants.
    pub inputs: Vec<String>,
    /// Values.
    pub outputs: Vec<String>,
    /// Attributes by name.
    pub attributes: Attributes,
    /// Whether it computes in float32 in every precision, since a narrower format could overflow or lose too much.
    pub exact: bool,
}

/// What an operator is told besides its inputs, by name.
pub type Attributes = Vec<(&'static str, Attribute)>;

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

impl Node {
    /// An operator without attributes that gives the value `output` and is named after it.
    pub fn giving(output: String, op: &'static str, inputs: Vec<String>) -> Node {
        let name = format!("{op}_{output}");
        Node { op, name, inputs, outputs: vec![output], attributes: vec![], exact: false }
    }

    /// A cast to `element` that gives the value `output`.
    pub fn cast(output: String, input: String, element: Element) -> Node {
        let attributes = vec![("to", Attribute::Int(element as i64))];
        Node { attributes, ..Node::giving(output, "Cast", vec![input]) }
    }
}
