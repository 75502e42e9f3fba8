//! What the tests of the other crates share: cases of every operation, small random models, PyTorch's files made by hand, a server
//! that plays the hub, doubles of TensorRT and CUDA, and doors for fuzzing. Nothing that is shipped depends on it.

// It panics where a test would.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod cases;
pub mod doubles;
pub mod fuzzing;
pub mod hub;
mod models;
pub mod siglip;
pub mod torch;

pub use models::{Values, assert_same, checkpoint, parameter, resnet, small_vit, tensors, uniform, vit};
