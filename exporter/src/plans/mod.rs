//! Engines of TensorRT, built of the graphs of a model folder that has passed everything else.

pub mod apart;
mod build;
mod complete;
mod half;
mod trtexec;
mod verify;

pub use build::{Builder, Plans, add, check};
pub(crate) use complete::complete;
pub use trtexec::line;
pub use verify::{Verified, verify};
