//! Places in a stream.

use std::sync::Arc;

use cudarc::driver::{CudaEvent, CudaStream, sys};

use super::device::Device;
use super::driver::failed;
use crate::error::Result;

/// A place in a stream, and when the GPU came by it.
#[derive(Debug)]
pub struct Event(CudaEvent);

impl Event {
    pub(super) fn record(device: &Device, stream: &Arc<CudaStream>) -> Result<Event> {
        let mark = |e| failed("mark a place in a stream", e);
        let event = device.context().new_event(Some(sys::CUevent_flags::CU_EVENT_DEFAULT)).map_err(mark)?;
        event.record(stream).map_err(mark)?;
        Ok(Event(event))
    }

    /// Waits until the GPU has come by.
    ///
    /// # Errors
    /// [`crate::Error::Cuda`], also for what went wrong before.
    pub fn wait(&self) -> Result<()> {
        self.0.synchronize().map_err(|e| failed("finish its work", e))
    }

    /// Milliseconds from this place to `later`, which both were come by.
    ///
    /// # Errors
    /// [`crate::Error::Cuda`] when they were not.
    pub fn milliseconds_to(&self, later: &Event) -> Result<f32> {
        self.0.elapsed_ms(&later.0).map_err(|e| failed("measure its time", e))
    }
}
