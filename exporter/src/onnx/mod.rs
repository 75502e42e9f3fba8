//! As much of ONNX (<https://onnx.ai/onnx/repo-docs/IR.html>) as the two towers need: a graph of standard operators
//! and a writer that streams weights into the file, so that memory stays at one tensor.

mod compact;
mod data;
mod file;
mod fold;
mod graph;
mod half;
mod protobuf;
mod quick_gelu;

pub use data::numbers;
pub use file::{LIMIT, OPSETS, Weights};
pub use graph::{Attribute, Axis, Data, Element, Graph, Initializer, Node, Rows, Signature};
pub use half::PEAK;
