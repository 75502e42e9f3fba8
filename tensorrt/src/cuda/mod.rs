//! The GPU: devices, memory, streams, events and graphs, by the CUDA driver, which is opened at run time.
//!
//! The crate `cudarc` binds it. What it would panic at, a driver that is missing or lacks a function, is asked for first.

mod buffer;
mod device;
mod driver;
mod event;
mod graph;
mod stream;

pub use buffer::{DeviceBuffer, PinnedBuffer};
pub use device::Device;
pub use event::Event;
pub use graph::Graph;
pub use stream::Stream;
