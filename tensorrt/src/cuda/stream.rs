//! Work for the GPU, in order.

use std::ffi::c_void;
use std::sync::Arc;

use cudarc::driver::{CudaStream, result, sys};

use super::buffer::{DeviceBuffer, PinnedBuffer};
use super::device::Device;
use super::driver::failed;
use super::event::Event;
use super::graph::Graph;
use crate::error::Result;

/// A queue of work for the GPU, done in order. Those of different streams overlap.
#[derive(Debug, Clone)]
pub struct Stream {
    stream: Arc<CudaStream>,
    device: Device,
}

impl Stream {
    /// A new one.
    ///
    /// # Errors
    /// [`crate::Error::Cuda`].
    pub fn new(device: &Device) -> Result<Stream> {
        let stream = device.context().new_stream().map_err(|e| failed("make a stream", e))?;
        Ok(Stream { stream, device: device.clone() })
    }

    /// The driver's own handle.
    pub fn raw(&self) -> *mut c_void {
        self.stream.cu_stream().cast()
    }

    /// Waits until all that was asked for is done.
    ///
    /// # Errors
    /// [`crate::Error::Cuda`], also for what went wrong in it.
    pub fn wait(&self) -> Result<()> {
        self.stream.synchronize().map_err(|e| failed("finish its work", e))
    }

    /// Has the first `bytes` of `from` copied to the GPU.
    ///
    /// # Safety
    /// Both live, and the host's is not written, until the stream has come to the end of this; and until the end of a graph
    /// that this becomes part of.
    pub unsafe fn upload(&self, from: &PinnedBuffer, bytes: usize, to: &DeviceBuffer) -> Result<()> {
        self.device.make_current()?;
        let bytes = bytes.min(from.len()).min(to.bytes());
        // SAFETY: as promised, and both have so many bytes.
        unsafe { result::memcpy_htod_async(to.address(), &from[..bytes], self.stream.cu_stream()) }
            .map_err(|e| failed("copy to the GPU", e))
    }

    /// Has the first `bytes` of `from` copied to the host.
    ///
    /// # Safety
    /// As [`Stream::upload`]; and the host's is not read before.
    pub unsafe fn download(&self, from: &DeviceBuffer, bytes: usize, to: &mut PinnedBuffer) -> Result<()> {
        self.device.make_current()?;
        let bytes = bytes.min(to.len()).min(from.bytes());
        // SAFETY: as promised, and both have so many bytes.
        unsafe { result::memcpy_dtoh_async(&mut to[..bytes], from.address(), self.stream.cu_stream()) }
            .map_err(|e| failed("copy from the GPU", e))
    }

    /// Has all that is asked of this stream from here on wait for what was asked before of `other`, the driver's handle of a stream that somebody else
    /// has made; null is the default one.
    ///
    /// # Safety
    /// It is a stream of this GPU's primary context, and alive.
    ///
    /// # Errors
    /// [`crate::Error::Cuda`].
    pub unsafe fn wait_for(&self, other: *mut c_void) -> Result<()> {
        self.device.make_current()?;
        let wait = |e| failed("wait for another stream", e);
        let flags = sys::CUevent_flags::CU_EVENT_DISABLE_TIMING;
        let event = self.device.context().new_event(Some(flags)).map_err(wait)?;
        // SAFETY: as promised. The driver keeps the event until nobody waits for it.
        unsafe {
            result::event::record(event.cu_event(), other.cast()).map_err(wait)?;
            let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
            result::stream::wait_event(self.stream.cu_stream(), event.cu_event(), flags).map_err(wait)
        }
    }

    /// Has `bytes` at an address of the GPU copied to the host, as many as there is room for.
    ///
    /// # Safety
    /// As [`Stream::download`], and so many bytes lie there.
    ///
    /// # Errors
    /// [`crate::Error::Cuda`].
    pub unsafe fn fetch(&self, from: u64, bytes: usize, to: &mut PinnedBuffer) -> Result<()> {
        self.device.make_current()?;
        let bytes = bytes.min(to.len());
        // SAFETY: as promised.
        unsafe { result::memcpy_dtoh_async(&mut to[..bytes], from, self.stream.cu_stream()) }
            .map_err(|e| failed("copy from the GPU", e))
    }

    /// Has `bytes` at an address of the GPU copied to the place `at` of a buffer there, as many as there is room for.
    ///
    /// # Safety
    /// So many bytes lie there, and both live and are not written by others until the stream has come to the end of this.
    ///
    /// # Errors
    /// [`crate::Error::Cuda`].
    pub unsafe fn collect(&self, from: u64, bytes: usize, to: &DeviceBuffer, at: usize) -> Result<()> {
        self.device.make_current()?;
        let bytes = bytes.min(to.bytes().saturating_sub(at));
        // SAFETY: as promised.
        unsafe { result::memcpy_dtod_async(to.address() + at as u64, from, bytes, self.stream.cu_stream()) }
            .map_err(|e| failed("copy on the GPU", e))
    }

    /// Marks the place in the stream.
    ///
    /// # Errors
    /// [`crate::Error::Cuda`].
    pub fn record(&self) -> Result<Event> {
        Event::record(&self.device, &self.stream)
    }

    /// Keeps what `work` asks of this stream, instead of doing it, to be done as often as wanted by one call. `None` when it asks
    /// for nothing.
    ///
    /// # Errors
    /// What `work` gives; [`crate::Error::Cuda`] for work that cannot be kept.
    pub fn capture(&self, work: impl FnOnce() -> Result<()>) -> Result<Option<Graph>> {
        let capture = |e| failed("keep work as a graph", e);
        // Other threads may do as they please meanwhile.
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        self.stream.begin_capture(mode).map_err(capture)?;
        let asked = work();
        // Ended whatever happened, or else the stream would be of no more use.
        let graph = self.stream.end_capture(sys::CUgraphInstantiate_flags(0));
        asked?;
        Ok(graph.map_err(capture)?.map(Graph::new))
    }
}
