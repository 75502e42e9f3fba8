//! Memory of the GPU, and memory of the host that the GPU reads and writes by itself.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use cudarc::driver::{result, sys};

use super::device::Device;
use super::driver::failed;
use crate::error::Result;

/// Memory of the GPU.
#[derive(Debug)]
pub struct DeviceBuffer {
    device: Device,
    address: sys::CUdeviceptr,
    bytes: usize,
}

impl DeviceBuffer {
    /// So many bytes, at least one, of no known content.
    ///
    /// # Errors
    /// [`crate::Error::Cuda`] when they are not free.
    pub fn new(device: &Device, bytes: usize) -> Result<DeviceBuffer> {
        device.make_current()?;
        // SAFETY: the memory is only reached through this buffer.
        let address = unsafe { result::malloc_sync(bytes.max(1)) }
            .map_err(|e| failed("reserve memory of the GPU", e))?;
        Ok(DeviceBuffer { device: device.clone(), address, bytes })
    }

    /// Where it lies on the GPU.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Its size.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        // The driver waits until nothing uses it. At the end of the process the driver may be gone, and the memory with it.
        if self.device.make_current().is_ok() {
            // SAFETY: the address is this buffer's, and freed once.
            let _ = unsafe { result::free_sync(self.address) };
        }
    }
}

/// Page-locked memory of the host: the GPU copies from and to it while the processor does something else.
#[derive(Debug)]
pub struct PinnedBuffer {
    device: Device,
    memory: NonNull<u8>,
    bytes: usize,
}

// SAFETY: it is memory like any other.
unsafe impl Send for PinnedBuffer {}
unsafe impl Sync for PinnedBuffer {}

impl PinnedBuffer {
    /// So many bytes, at least one, all zero.
    ///
    /// # Errors
    /// [`crate::Error::Cuda`] when the system gives none.
    pub fn new(device: &Device, bytes: usize) -> Result<PinnedBuffer> {
        device.make_current()?;
        let reserve = |e| failed("reserve page-locked memory", e);
        // SAFETY: the memory is only reached through this buffer, and written before it is read.
        let memory = unsafe { result::malloc_host(bytes.max(1), 0) }.map_err(reserve)?;
        let memory = NonNull::new(memory.cast::<u8>())
            .ok_or_else(|| reserve(result::DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)))?;
        unsafe { memory.write_bytes(0, bytes.max(1)) };
        Ok(PinnedBuffer { device: device.clone(), memory, bytes })
    }
}

impl Deref for PinnedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: so many bytes are ours and written.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.bytes) }
    }
}

impl DerefMut for PinnedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and nobody else has them.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.bytes) }
    }
}

impl Drop for PinnedBuffer {
    fn drop(&mut self) {
        if self.device.make_current().is_ok() {
            // SAFETY: the memory is this buffer's, and freed once.
            let _ = unsafe { result::free_host(self.memory.as_ptr().cast()) };
        }
    }
}
