//! A graph as an ONNX file. Field numbers are those of <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.

use std::io::{Error, ErrorKind, Result, Write};

use super::data;
use super::graph::{Attribute, Axis, Graph, Initializer, Node, Rows, Signature};
use super::protobuf::Message;

/// Version of ONNX's default operator set that the graphs are written in.
pub const OPSET: i64 = 17;

/// Version of ONNX's file format, the one that came with [`OPSET`].
const IR_VERSION: i64 = 8;

/// Longest message that protobuf allows, bytes.
pub const LIMIT: u64 = (1 << 31) - 1;

/// Gives the little-endian float32 bytes of rows of the checkpoint.
pub trait Weights {
    /// Calls `sink` with the bytes of `rows`, in order, in one or more pieces.
    ///
    /// # Errors
    /// Those of `sink`, and any of its own.
    fn read(&self, rows: &Rows, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;
}

impl Graph {
    /// Bytes of the file that [`Graph::write`] gives.
    pub fn file_size(&self) -> u64 {
        let layout = Layout::of(self);
        layout.head.bytes().len() as u64 + layout.graph_size
    }

    /// Writes the model: everything but the weights from memory, the weights as they come.
    ///
    /// # Errors
    /// Those of `out` and of `weights`; one when a weight is not as long as its shape says.
    pub fn write(&self, out: &mut dyn Write, weights: &dyn Weights) -> Result<()> {
        let layout = Layout::of(self);
        out.write_all(layout.head.bytes())?;
        for (initializer, head) in self.initializers.iter().zip(&layout.tensors) {
            out.write_all(head.bytes())?;
            write_data(initializer, out, weights)?;
        }
        out.write_all(layout.structure.bytes())
    }
}

/// The file in pieces: `head`, each tensor's head with its data behind it, `structure`.
struct Layout {
    /// The model's fields up to the beginning of its graph.
    head: Message,
    /// The graph's initializers up to the beginning of their data.
    tensors: Vec<Message>,
    /// The graph's other fields.
    structure: Message,
    graph_size: u64,
}

impl Layout {
    fn of(graph: &Graph) -> Layout {
        let tensors: Vec<Message> = graph.initializers.iter().map(tensor_head).collect();
        let structure = structure(graph);
        let data: u64 = graph.initializers.iter().map(data_size).sum();
        let graph_size =
            tensors.iter().chain([&structure]).map(|m| m.bytes().len() as u64).sum::<u64>() + data;

        let mut opset = Message::default();
        opset.string(1, ""); // OperatorSetIdProto.domain: the default one
        opset.int(2, OPSET); // .version
        let mut head = Message::default();
        head.int(1, IR_VERSION); // ModelProto.ir_version
        head.string(2, env!("CARGO_PKG_NAME")); // .producer_name
        head.string(3, env!("CARGO_PKG_VERSION")); // .producer_version
        head.message(8, &opset); // .opset_import
        head.length_delimited(7, graph_size); // .graph
        Layout { head, tensors, structure, graph_size }
    }
}

/// A GraphProto without its initializers.
fn structure(graph: &Graph) -> Message {
    let mut message = Message::default();
    graph.nodes.iter().for_each(|n| message.message(1, &node(n))); // GraphProto.node
    message.string(2, &graph.name); // .name
    graph.inputs.iter().for_each(|s| message.message(11, &value_info(s))); // .input
    graph.outputs.iter().for_each(|s| message.message(12, &value_info(s))); // .output
    message
}

fn node(node: &Node) -> Message {
    let mut message = Message::default();
    node.inputs.iter().for_each(|name| message.string(1, name)); // NodeProto.input
    node.outputs.iter().for_each(|name| message.string(2, name)); // .output
    message.string(3, &node.name); // .name
    message.string(4, node.op); // .op_type
    for (name, value) in &node.attributes {
        let mut attribute = Message::default();
        attribute.string(1, name); // AttributeProto.name
        // .f, .i or .ints, and .type
        match value {
            Attribute::Float(f) => {
                attribute.float(2, *f);
                attribute.int(20, 1);
            }
            Attribute::Int(i) => {
                attribute.int(3, *i);
                attribute.int(20, 2);
            }
            Attribute::Ints(ints) => {
                ints.iter().for_each(|&i| attribute.int(8, i));
                attribute.int(20, 7);
            }
        }
        message.message(5, &attribute); // NodeProto.attribute
    }
    message
}

fn value_info(signature: &Signature) -> Message {
    let mut shape = Message::default();
    for axis in &signature.shape {
        let mut dimension = Message::default();
        match axis {
            Axis::Fixed(size) => dimension.int(1, *size as i64), // Dimension.dim_value
            Axis::Named(name) => dimension.string(2, name),      // .dim_param
        }
        shape.message(1, &dimension); // TensorShapeProto.dim
    }
    let mut tensor = Message::default();
    tensor.int(1, signature.element as i64); // TypeProto.Tensor.elem_type
    tensor.message(2, &shape); // .shape
    let mut kind = Message::default();
    kind.message(1, &tensor); // TypeProto.tensor_type
    let mut message = Message::default();
    message.string(1, &signature.name); // ValueInfoProto.name
    message.message(2, &kind); // .type
    message
}

/// The field `GraphProto.initializer` with its tensor, up to where the tensor's data begins.
fn tensor_head(initializer: &Initializer) -> Message {
    let element = initializer.data.element();
    let mut tensor = Message::default();
    initializer.shape.iter().for_each(|&n| tensor.int(1, n as i64)); // TensorProto.dims
    tensor.int(2, element as i64); // .data_type
    tensor.string(8, &initializer.name); // .name
    let data = data_size(initializer);
    tensor.length_delimited(9, data); // .raw_data
    let mut message = Message::default();
    message.length_delimited(5, tensor.bytes().len() as u64 + data); // GraphProto.initializer
    message.append(&tensor);
    message
}

/// Bytes of an initializer's data.
fn data_size(initializer: &Initializer) -> u64 {
    initializer.data.element().size() * initializer.elements() as u64
}

fn write_data(initializer: &Initializer, out: &mut dyn Write, weights: &dyn Weights) -> Result<()> {
    let mut written = 0;
    let mut sink = |bytes: &[u8]| {
        written += bytes.len() as u64;
        out.write_all(bytes)
    };
    data::write(&initializer.data, weights, &mut sink)
        .map_err(|e| Error::new(e.kind(), format!("{}: {e}", initializer.name)))?;
    let expected = data_size(initializer);
    if written == expected {
        return Ok(());
    }
    // The lengths in front are written already: a file with other lengths would be garbage.
    let name = &initializer.name;
    Err(Error::new(
        ErrorKind::InvalidData,
        format!("{name} has {written} bytes, its shape asks for {expected}"),
    ))
}
