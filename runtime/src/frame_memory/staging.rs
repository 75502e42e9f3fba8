//! Frames of a GPU's memory, copied to the processor's.

use std::sync::{Mutex, PoisonError};

use clip_model::frame::FrameLayout;
use clip_tensorrt::cuda::{Device, PinnedBuffer, Stream};

use super::memory::CudaFrame;
use crate::error::{Error, Result};

/// Page-locked memory that frames are copied to: one for each caller at a time, kept for the next one.
#[derive(Debug, Default)]
pub struct Stagings(Mutex<Vec<Staging>>);

#[derive(Debug)]
struct Staging {
    // Work in the stream writes the memory, and has ended before either goes.
    stream: Stream,
    planes: Vec<PinnedBuffer>,
    device: Device,
}

impl Stagings {
    /// Calls `work` with the planes of a frame.
    pub fn with<T>(
        &self,
        frame: &CudaFrame,
        layout: &FrameLayout,
        work: impl FnOnce(&[&[u8]]) -> Result<T>,
    ) -> Result<T> {
        let mut staging = self.take(frame.device)?;
        staging.fetch(frame, layout)?;
        let planes = staging.planes.iter().enumerate().take(layout.format.planes());
        let planes: Vec<&[u8]> = planes.map(|(plane, bytes)| &bytes[..layout.bytes(plane)]).collect();
        let done = work(&planes);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(staging);
        done
    }

    /// Lets the memory go that nobody uses.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn take(&self, device: u32) -> Result<Staging> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = kept.iter().position(|staging| staging.device.index() == device) {
            return Ok(kept.swap_remove(place));
        }
        drop(kept);
        let device = Device::open(device)?;
        Ok(Staging { stream: Stream::new(&device)?, planes: Vec::new(), device })
    }
}

impl Staging {
    /// Copies the planes, when the work that writes them is done.
    fn fetch(&mut self, frame: &CudaFrame, layout: &FrameLayout) -> Result<()> {
        let planes = layout.format.planes();
        if let Some(plane) = frame.planes[..planes].iter().position(|&address| address == 0) {
            let reason = format!("plane {plane} has no address");
            return Err(Error::Frame { memory: "CUDA memory", reason });
        }
        for plane in 0..planes {
            let bytes = layout.bytes(plane);
            match self.planes.get_mut(plane) {
                Some(there) if there.len() >= bytes => {}
                Some(there) => *there = PinnedBuffer::new(&self.device, bytes)?,
                None => self.planes.push(PinnedBuffer::new(&self.device, bytes)?),
            }
        }
        // SAFETY: whoever has made the frame promised what the stream and the addresses are. The memory is this one's, which waits before anybody
        // reads it.
        let asked = unsafe {
            self.stream.wait_for(frame.stream).and_then(|()| {
                let mut planes = self.planes.iter_mut().zip(frame.planes).take(planes).enumerate();
                planes.try_for_each(|(plane, (to, from))| self.stream.fetch(from, layout.bytes(plane), to))
            })
        };
        // Also after an error, so that nothing is written later.
        let ended = self.stream.wait();
        Ok(asked.and(ended)?)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = self.stream.wait();
    }
}
