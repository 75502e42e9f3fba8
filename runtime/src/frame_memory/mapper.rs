//! Frames of any memory, brought to the processor's.

use std::ffi::c_void;
use std::path::PathBuf;

use clip_model::frame::{Frame, FrameLayout, View};

#[cfg(target_os = "linux")]
use super::dmabuf::Mappings;
use super::memory::FrameMemory;
use super::staging::Stagings;
#[cfg(unix)]
use super::surface::Surfaces;
use crate::error::{Error, Result};

/// Brings frames of any memory to the processor's. What that takes for a buffer is kept, since a camera's come round: share one mapper between threads
/// and frames.
#[derive(Debug, Default)]
pub struct Mapper {
    #[cfg(target_os = "linux")]
    buffers: Mappings,
    #[cfg(unix)]
    surfaces: Surfaces,
    stagings: Stagings,
}

impl Mapper {
    /// With nothing mapped. Libraries are opened when the first frame needs them.
    pub fn new() -> Mapper {
        Mapper::default()
    }

    /// The same with libnvbufsurface from this file instead of the one that the system finds.
    #[cfg(unix)]
    pub fn with_surface_library(file: impl Into<PathBuf>) -> Mapper {
        Mapper { surfaces: Surfaces::of_library(file.into()), ..Mapper::default() }
    }

    /// Calls `work` with the frame in this process's memory, which it is only for as long as that takes. Of CUDA memory it is a copy, made when what was
    /// asked before of the frame's stream is done; everything else is read where it lies.
    ///
    /// # Errors
    /// [`Error::Model`] for a layout or view that makes no sense; [`Error::Frame`] for memory that is not what the layout says, or that this system
    /// does not have; [`Error::LibraryNotFound`] without libnvbufsurface; [`Error::TensorRt`] without CUDA's driver or a GPU; what `work` gives.
    pub fn with_host<T>(
        &self,
        memory: &FrameMemory<'_>,
        layout: FrameLayout,
        view: View,
        work: impl FnOnce(&Frame<'_>) -> Result<T>,
    ) -> Result<T> {
        layout.check()?;
        view.check(&layout)?;
        let work = |planes: &[&[u8]]| work(&Frame::new(layout, planes)?.seen(view)?);
        match memory {
            FrameMemory::Host(planes) => work(planes),
            FrameMemory::Cuda(frame) => self.stagings.with(frame, &layout, work),
            #[cfg(target_os = "linux")]
            FrameMemory::DmaBuf(frame) => self.buffers.with(frame, &layout, work),
            #[cfg(unix)]
            FrameMemory::Surface(frame) => self.surfaces.with(frame, &layout, work),
            #[allow(unreachable_patterns, reason = "on Linux there are no others")]
            _ => Err(Error::Frame {
                memory: "memory of Linux's drivers",
                reason: "this system has none".to_owned(),
            }),
        }
    }

    /// Takes the mappings of an `NvBufSurface` away: before it is destroyed, when it has been in a frame.
    #[cfg(unix)]
    pub fn forget_surface(&self, surface: *mut c_void) {
        self.surfaces.forget(Some(surface as usize));
    }

    /// Lets go all that is kept: mappings of buffers and surfaces, and memory that frames are copied to.
    pub fn forget(&self) {
        #[cfg(target_os = "linux")]
        self.buffers.forget();
        #[cfg(unix)]
        self.surfaces.forget(None);
        self.stagings.forget();
    }
}
