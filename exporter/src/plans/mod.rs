//! Engines of TensorRT, built of the graphs of a model folder that has passed everything else.

pub mod apart;
mod build;
mod trtexec;
mod verify;

pub use build::{Builder, Plans, add, check};
pub use trtexec::line;
pub use verify::{Verified, verify};
