//! Operations and whole towers, run by ONNX Runtime and compared with plain loops; cameras, with frames resized by clip-model.

mod camera;
mod operations;
mod towers;
