//! As much of ONNX (<https://onnx.ai/onnx/repo-docs/IR.html>) as the two towers need: a graph of standard operators
//! and a writer that streams weights into the file, so that memory stays at one tensor.

mod compact;
mod data;
mod file;
mod fold;
mod graph;
mod half;
mod join;
mod node;
mod protobuf;
mod quick_gelu;
mod values;

pub use data::{Data, Element, Rows, Sink, TensorSource};
pub use file::{LIMIT, OPSETS};
pub use graph::Graph;
pub use half::PEAK;
pub use node::{Attribute, Attributes, Axis, Node, Signature};
pub use values::numbers;
