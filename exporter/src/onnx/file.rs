//! A graph as an ONNX file. Field numbers are those of <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.

use std::io::{Error, ErrorKind, Result, Write};
use std::ops::RangeInclusive;

use super::data;
use super::graph::{Attribute, Axis, Element, Graph, Initializer, Node, Rows, Signature};
use super::protobuf::Message;

/// Versions of ONNX's default operator set that graphs can be written in.
pub const OPSETS: RangeInclusive<i64> = 17..=21;

/// The version of ONNX's file format that came with an operator set
/// (<https://github.com/onnx/onnx/blob/main/docs/Versioning.md#released-versions>).
fn ir_version(opset: i64) -> i64 {
    match opset {
        ..=18 => 8,
        19 | 20 => 9,
        _ => 10,
    }
}

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

/// Where tensors begin in a file of weights: at multiples of a page, so that engines can map them into memory.
const ALIGNMENT: u64 = 4096;

/// Bytes from which on a tensor goes into the file of weights. Shapes and the like stay inside, where checkers see them.
const BESIDE: u64 = 1024;

impl Graph {
    /// Bytes of the file that [`Graph::write`] gives.
    pub fn file_size(&self) -> u64 {
        Layout::of(self, None).file_size()
    }

    /// Bytes of the two files that [`Graph::write_beside`] gives.
    pub fn file_sizes_beside(&self, location: &str) -> [u64; 2] {
        let layout = Layout::of(self, Some(location));
        [layout.file_size(), layout.beside_size]
    }

    /// Writes the model: everything but the weights from memory, the weights as they come.
    ///
    /// # Errors
    /// Those of `out` and of `weights`; one when a weight is not as long as its shape says.
    pub fn write(&self, out: &mut dyn Write, weights: &dyn Weights) -> Result<()> {
        self.write_laid_out(&Layout::of(self, None), out, &mut std::io::sink(), weights)
    }

    /// Writes the model with its weights in a file of their own, `beside`, that will be called `location`.
    ///
    /// # Errors
    /// As [`Graph::write`].
    pub fn write_beside(
        &self,
        out: &mut dyn Write,
        beside: &mut dyn Write,
        location: &str,
        weights: &dyn Weights,
    ) -> Result<()> {
        self.write_laid_out(&Layout::of(self, Some(location)), out, beside, weights)
    }

    fn write_laid_out(
        &self,
        layout: &Layout,
        out: &mut dyn Write,
        beside: &mut dyn Write,
        weights: &dyn Weights,
    ) -> Result<()> {
        out.write_all(layout.head.bytes())?;
        let mut end = 0;
        for (initializer, tensor) in self.initializers.iter().zip(&layout.tensors) {
            out.write_all(tensor.head.bytes())?;
            let Some(offset) = tensor.offset else {
                write_data(initializer, out, weights)?;
                continue;
            };
            // The gap is shorter than the alignment.
            beside.write_all(&[0; ALIGNMENT as usize][..(offset - end) as usize])?;
            write_data(initializer, beside, weights)?;
            end = offset + data_size(initializer);
        }
        out.write_all(layout.structure.bytes())
    }
}

/// The file in pieces: `head`, each tensor's head with its data behind it, `structure`.
struct Layout {
    /// The model's fields up to the beginning of its graph.
    head: Message,
    /// The graph's initializers.
    tensors: Vec<Tensor>,
    /// The graph's other fields.
    structure: Message,
    graph_size: u64,
    /// Bytes of the file of weights.
    beside_size: u64,
}

/// An initializer.
struct Tensor {
    /// The field with its tensor, up to where the tensor's data begins, if that is inside.
    head: Message,
    /// Where the data lies in the file of weights; inside when there is none.
    offset: Option<u64>,
}

impl Layout {
    fn of(graph: &Graph, location: Option<&str>) -> Layout {
        let (mut tensors, mut inside, mut beside_size) = (Vec::new(), 0u64, 0u64);
        for initializer in &graph.initializers {
            let size = data_size(initializer);
            let location = location.filter(|_| size >= BESIDE);
            let offset = location.map(|_| beside_size.next_multiple_of(ALIGNMENT));
            match offset {
                Some(offset) => beside_size = offset + size,
                None => inside += size,
            }
            let head = tensor_head(initializer, location.zip(offset));
            tensors.push(Tensor { head, offset });
        }
        let structure = structure(graph);
        let heads = tensors.iter().map(|t| t.head.bytes().len() as u64).sum::<u64>();
        let graph_size = heads + structure.bytes().len() as u64 + inside;

        let mut opset = Message::default();
        opset.string(1, ""); // OperatorSetIdProto.domain: the default one
        opset.int(2, graph.opset); // .version
        let mut head = Message::default();
        head.int(1, ir_version(graph.opset)); // ModelProto.ir_version
        head.string(2, env!("CARGO_PKG_NAME")); // .producer_name
        head.string(3, env!("CARGO_PKG_VERSION")); // .producer_version
        head.message(8, &opset); // .opset_import
        head.length_delimited(7, graph_size); // .graph
        Layout { head, tensors, structure, graph_size, beside_size }
    }

    fn file_size(&self) -> u64 {
        self.head.bytes().len() as u64 + self.graph_size
    }
}

/// A GraphProto without its initializers.
fn structure(graph: &Graph) -> Message {
    let mut message = Message::default();
    graph.nodes.iter().for_each(|n| message.message(1, &node(n))); // GraphProto.node
    message.string(2, &graph.name); // .name
    graph.inputs.iter().for_each(|s| message.message(11, &value_info(s))); // .input
    graph.outputs.iter().for_each(|s| message.message(12, &value_info(s))); // .output
    graph.taps.iter().for_each(|name| message.message(12, &tap(name)));
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

/// The ValueInfoProto of a float32 value whose shape is left to whoever runs the graph.
fn tap(name: &str) -> Message {
    let mut tensor = Message::default();
    tensor.int(1, Element::Float32 as i64); // TypeProto.Tensor.elem_type
    let mut kind = Message::default();
    kind.message(1, &tensor); // TypeProto.tensor_type
    let mut message = Message::default();
    message.string(1, name); // ValueInfoProto.name
    message.message(2, &kind); // .type
    message
}

/// The field `GraphProto.initializer` with its tensor, up to where the tensor's data begins or, where that lies in
/// another file, whole.
fn tensor_head(initializer: &Initializer, beside: Option<(&str, u64)>) -> Message {
    let size = data_size(initializer);
    let mut tensor = Message::default();
    initializer.shape.iter().for_each(|&n| tensor.int(1, n as i64)); // TensorProto.dims
    tensor.int(2, initializer.data.element() as i64); // .data_type
    tensor.string(8, &initializer.name); // .name
    let inside = match beside {
        Some((location, offset)) => {
            let place =
                [("location", location), ("offset", &offset.to_string()), ("length", &size.to_string())];
            for (key, value) in place {
                let mut entry = Message::default();
                entry.string(1, key); // StringStringEntryProto.key
                entry.string(2, value); // .value
                tensor.message(13, &entry); // TensorProto.external_data
            }
            tensor.int(14, 1); // .data_location: external
            0
        }
        None => {
            tensor.length_delimited(9, size); // .raw_data
            size
        }
    };
    let mut message = Message::default();
    message.length_delimited(5, tensor.bytes().len() as u64 + inside); // GraphProto.initializer
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
