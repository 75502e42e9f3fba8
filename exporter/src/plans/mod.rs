//! Engines of TensorRT, built of the graphs of a model folder that has passed everything else.

pub mod apart;
mod build;
mod builder;
mod complete;
mod existing;
mod half;
mod trtexec;
mod verify;

pub use build::{Plans, add, check};
pub use builder::Builder;
pub(crate) use complete::complete;
pub use existing::add_to;
pub(crate) use half::compare_with_half;
pub use trtexec::line;
pub use verify::{Verified, verify};
