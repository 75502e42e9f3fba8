//! A graph as an ONNX file. Field numbers are those of <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.

use std::io::{Error, ErrorKind, Result, Write};
use std::ops::RangeInclusive;

use super::data::{Element, Initializer, TensorSource};
use super::graph::Graph;
use super::node::{Attribute, Axis, Node};
use super::protobuf::Message;
use super::values;

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

/// Where tensors begin in a file of weights: at multiples of a page, so that engines can map them into memory.
const ALIGNMENT: u64 = 4096;

/// Bytes from which on a tensor goes into the file of weights. Shapes and the like stay inside, where checkers see them.
const BESIDE: u64 = 1024;

impl Graph {
    /// Bytes of the file and of the file of its weights, which is called `beside`; 0 when they go into the graph's own.
    pub fn file_sizes(&self, beside: Option<&str>) -> [u64; 2] {
        let layout = Layout::of(self, beside);
        [layout.head.bytes().len() as u64 + layout.graph_size, layout.beside_size]
    }

    /// Writes the model: everything but the weights from memory, the weights as they come. They go into `beside`, which will
    /// be called so, when it is given.
    ///
    /// # Errors
    /// Those of the files and of `source`; one when a weight is not as long as its shape says.
    pub fn write(
        &self,
        out: &mut dyn Write,
        beside: Option<(&str, &mut dyn Write)>,
        source: &dyn TensorSource,
    ) -> Result<()> {
        let mut nothing = std::io::sink();
        let (location, beside) = beside.map_or((None, &mut nothing as &mut dyn Write), |(l, b)| (Some(l), b));
        let layout = Layout::of(self, location);
        out.write_all(layout.head.bytes())?;
        let mut end = 0;
        for (initializer, tensor) in self.initializers.iter().zip(&layout.tensors) {
            out.write_all(tensor.head.bytes())?;
            let Some(offset) = tensor.offset else {
                write_data(initializer, out, source)?;
                continue;
            };
            // The gap is shorter than the alignment.
            beside.write_all(&[0; ALIGNMENT as usize][..(offset - end) as usize])?;
            write_data(initializer, beside, source)?;
            end = offset + initializer.size();
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
            let size = initializer.size();
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

        let opset = Message::default()
            .string(1, "") // OperatorSetIdProto.domain: the default one
            .int(2, graph.opset); // .version
        let head = Message::default()
            .int(1, ir_version(graph.opset)) // ModelProto.ir_version
            .string(2, env!("CARGO_PKG_NAME")) // .producer_name
            .string(3, env!("CARGO_PKG_VERSION")) // .producer_version
            .message(8, &opset) // .opset_import
            .length_delimited(7, graph_size); // .graph
        Layout { head, tensors, structure, graph_size, beside_size }
    }
}

/// A GraphProto without its initializers.
fn structure(graph: &Graph) -> Message {
    Message::default()
        .each(&graph.nodes, |graph, n| graph.message(1, &node(n))) // GraphProto.node
        .string(2, &graph.name) // .name
        .each(&graph.inputs, |graph, s| graph.message(11, &value_info(&s.name, s.element, Some(&s.shape)))) // .input
        .each(&graph.outputs, |graph, s| graph.message(12, &value_info(&s.name, s.element, Some(&s.shape)))) // .output
        .each(&graph.taps, |graph, name| graph.message(12, &value_info(name, Element::Float32, None)))
}

fn node(node: &Node) -> Message {
    Message::default()
        .each(&node.inputs, |node, name| node.string(1, name)) // NodeProto.input
        .each(&node.outputs, |node, name| node.string(2, name)) // .output
        .string(3, &node.name) // .name
        .string(4, node.op) // .op_type
        .each(&node.attributes, |node, (name, value)| node.message(5, &attribute(name, value))) // .attribute
}

fn attribute(name: &str, value: &Attribute) -> Message {
    let named = Message::default().string(1, name); // AttributeProto.name
    // .f, .i or .ints, and .type
    match value {
        Attribute::Float(f) => named.float(2, *f).int(20, 1),
        Attribute::Int(i) => named.int(3, *i).int(20, 2),
        Attribute::Ints(ints) => named.each(ints, |attribute, i| attribute.int(8, *i)).int(20, 7),
    }
}

/// A ValueInfoProto; without axes, the shape is left to whoever runs the graph.
fn value_info(name: &str, element: Element, axes: Option<&[Axis]>) -> Message {
    let dimension = |axis: &Axis| match axis {
        Axis::Fixed(size) => Message::default().int(1, *size as i64), // Dimension.dim_value
        Axis::Named(name) => Message::default().string(2, name),      // .dim_param
    };
    // TensorShapeProto.dim
    let shape =
        |axes: &[Axis]| Message::default().each(axes, |shape, axis| shape.message(1, &dimension(axis)));
    let tensor = Message::default()
        .int(1, element as i64) // TypeProto.Tensor.elem_type
        .each(axes, |tensor, axes| tensor.message(2, &shape(axes))); // .shape
    let kind = Message::default().message(1, &tensor); // TypeProto.tensor_type
    Message::default()
        .string(1, name) // ValueInfoProto.name
        .message(2, &kind) // .type
}

/// The field `GraphProto.initializer` with its tensor, up to where the tensor's data begins or, where that lies in
/// another file, whole.
fn tensor_head(initializer: &Initializer, beside: Option<(&str, u64)>) -> Message {
    let size = initializer.size();
    let tensor = Message::default()
        .each(&initializer.shape, |tensor, n| tensor.int(1, *n as i64)) // TensorProto.dims
        .int(2, initializer.data.element() as i64) // .data_type
        .string(8, &initializer.name); // .name
    let (tensor, inside) = match beside {
        Some((location, offset)) => {
            let place =
                [("location", location), ("offset", &offset.to_string()), ("length", &size.to_string())];
            // StringStringEntryProto.key and .value
            let entry = |(key, value)| Message::default().string(1, key).string(2, value);
            let tensor = tensor
                .each(place, |tensor, pair| tensor.message(13, &entry(pair))) // TensorProto.external_data
                .int(14, 1); // .data_location: external
            (tensor, 0)
        }
        None => (tensor.length_delimited(9, size), size), // .raw_data
    };
    Message::default()
        .length_delimited(5, tensor.bytes().len() as u64 + inside) // GraphProto.initializer
        .append(tensor.bytes())
}

fn write_data(initializer: &Initializer, out: &mut dyn Write, source: &dyn TensorSource) -> Result<()> {
    let Initializer { name, data, .. } = initializer;
    let (mut written, expected) = (0, initializer.size());
    let mut sink = |bytes: &[u8]| {
        written += bytes.len() as u64;
        out.write_all(bytes)
    };
    values::write(data, source, &mut sink).map_err(|e| Error::new(e.kind(), format!("{name}: {e}")))?;
    if written == expected {
        return Ok(());
    }
    // The lengths in front are written already: a file with other lengths would be garbage.
    Err(Error::new(
        ErrorKind::InvalidData,
        format!("{name} has {written} bytes, its shape asks for {expected}"),
    ))
}
