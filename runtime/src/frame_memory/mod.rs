//! Frames in whatever memory a camera's driver has put them: brought to the processor's, or read by a GPU where they lie.
//!
//! [`Mapper::with_host`] gives any of them as a [`clip_model::frame::Frame`], which [`clip_model::Preprocess`] resizes. A [`DeviceCamera`] takes
//! those in a GPU's memory, if the model folder was exported for such frames (`clip-export --camera --trt`): nothing is copied then.

mod device;
#[cfg(target_os = "linux")]
mod dmabuf;
mod mapper;
mod memory;
mod staging;
#[cfg(unix)]
mod surface;
#[cfg(unix)]
mod surface_api;

pub use device::DeviceCamera;
pub use mapper::Mapper;
pub use memory::{CameraFrame, CudaFrame, FrameMemory, SurfaceFrame};
#[cfg(unix)]
pub use memory::{DmaBufFrame, DmaBufPlane};
