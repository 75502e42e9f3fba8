//! A GPU.

use std::sync::Arc;

use cudarc::driver::{CudaContext, result};

use super::driver::{failed, start};
use crate::error::{Error, Result};

/// A GPU, and the process's primary context on it. Clones are the same GPU.
#[derive(Debug, Clone)]
pub struct Device {
    context: Arc<CudaContext>,
    index: u32,
    name: String,
    sm: u32,
    memory: u64,
}

impl Device {
    /// How many GPUs there are.
    ///
    /// # Errors
    /// [`Error::NoDriver`], [`Error::DriverTooOld`], [`Error::NoDevice`] and [`Error::Cuda`].
    pub fn count() -> Result<u32> {
        start()?;
        let count = result::device::get_count().map_err(|e| failed("count the GPUs", e))?;
        Ok(u32::try_from(count).unwrap_or(0))
    }

    /// Opens the GPU of that number, counted from 0 in the driver's order, and makes it the current one of this thread.
    ///
    /// # Errors
    /// As [`Device::count`]; [`Error::NoDevice`] when there are not so many.
    pub fn open(index: u32) -> Result<Device> {
        let count = Device::count()?;
        if index >= count {
            return Err(Error::NoDevice { index, count });
        }
        let context = CudaContext::new(index as usize).map_err(|e| failed("open the GPU", e))?;
        // SAFETY: no `CudaSlice`, whose uses the events would order, is made here; and streams cannot be captured with them.
        unsafe { context.disable_event_tracking() };
        let ask = |e| failed("ask what the GPU is", e);
        let name = context.name().map_err(ask)?;
        let (major, minor) = context.compute_capability().map_err(ask)?;
        let memory = context.total_mem().map_err(ask)? as u64;
        let sm = u32::try_from(major * 10 + minor).unwrap_or(0);
        Ok(Device { context, index, name, sm, memory })
    }

    /// Its number.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Its name, as `NVIDIA H100 80GB HBM3` or `Orin`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its compute capability: 87 for 8.7.
    pub fn sm(&self) -> u32 {
        self.sm
    }

    /// Bytes of its memory; on a Jetson they are the host's, too.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Bytes of its memory that nobody uses now.
    ///
    /// # Errors
    /// [`Error::Cuda`].
    pub fn free_memory(&self) -> Result<u64> {
        self.context
            .mem_get_info()
            .map(|(free, _)| free as u64)
            .map_err(|e| failed("ask for the GPU's free memory", e))
    }

    /// Makes it the current device of this thread.
    ///
    /// # Errors
    /// [`Error::Cuda`].
    pub fn make_current(&self) -> Result<()> {
        self.context.bind_to_thread().map_err(|e| failed("make the GPU the current one", e))
    }

    pub(super) fn context(&self) -> &Arc<CudaContext> {
        &self.context
    }
}
