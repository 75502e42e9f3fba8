//! Operations and whole towers, run by ONNX Runtime and compared with plain loops.

mod operations;
mod towers;
