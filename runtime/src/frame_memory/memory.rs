//! Where a frame's planes lie.

use std::ffi::c_void;
#[cfg(unix)]
use std::os::fd::BorrowedFd;

use clip_model::frame::{FrameLayout, View};

/// Where a frame's planes lie. What they hold is said by a [`clip_model::frame::FrameLayout`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum FrameMemory<'a> {
    /// Memory of this program, one slice for each plane.
    Host(&'a [&'a [u8]]),
    /// Memory of a GPU.
    Cuda(CudaFrame),
    /// Buffers that the kernel shares between drivers, by their file descriptors.
    #[cfg(unix)]
    DmaBuf(DmaBufFrame<'a>),
    /// A buffer of NVIDIA's multimedia library, as DeepStream's and Jetson's elements hand them on.
    Surface(SurfaceFrame),
}

/// A frame in whatever memory it lies.
#[derive(Debug, Clone, Copy)]
pub struct CameraFrame<'a> {
    /// Where its planes lie.
    pub memory: FrameMemory<'a>,
    /// What they hold.
    pub layout: FrameLayout,
    /// Which part counts, and how it is turned.
    pub view: View,
}

/// A frame in the memory of a GPU.
#[derive(Debug, Clone, Copy)]
pub struct CudaFrame {
    pub(super) device: u32,
    pub(super) planes: [u64; 3],
    pub(super) stream: *mut c_void,
}

// SAFETY: addresses and handles, which any thread may use; what they mean was promised when this was made.
unsafe impl Send for CudaFrame {}
unsafe impl Sync for CudaFrame {}
unsafe impl Send for SurfaceFrame {}
unsafe impl Sync for SurfaceFrame {}

impl CudaFrame {
    /// Planes at these addresses of the CUDA device of that number, those that the format does not have at 0. They are written by work in
    /// `stream`, a `CUstream` or `cudaStream_t`; null is the default one.
    ///
    /// # Safety
    /// While it is used, every row of a plane, its stride included, lies at its address, and nobody writes there but what was asked of `stream` before;
    /// `stream` is one of the device's primary context, and alive.
    pub unsafe fn new(device: u32, planes: [u64; 3], stream: *mut c_void) -> CudaFrame {
        CudaFrame { device, planes, stream }
    }
}

/// A plane in a buffer that has a file descriptor.
#[cfg(unix)]
#[derive(Debug, Clone, Copy)]
pub struct DmaBufPlane<'a> {
    /// The buffer; several planes may lie in the same.
    pub buffer: BorrowedFd<'a>,
    /// Where the plane begins in it, bytes.
    pub offset: usize,
}

/// A frame in buffers that have file descriptors: of a dmabuf, or of memory in a file as `memfd_create` makes it.
#[cfg(unix)]
#[derive(Debug, Clone, Copy)]
pub struct DmaBufFrame<'a> {
    pub(super) planes: &'a [DmaBufPlane<'a>],
}

#[cfg(unix)]
impl<'a> DmaBufFrame<'a> {
    /// Planes in these places, one for each that the format has. Rows must lie one after the other, not in tiles.
    ///
    /// # Safety
    /// While it is used, nobody writes to the buffers, or makes them shorter.
    pub unsafe fn new(planes: &'a [DmaBufPlane<'a>]) -> DmaBufFrame<'a> {
        DmaBufFrame { planes }
    }
}

/// A frame of NVIDIA's multimedia library.
#[derive(Debug, Clone, Copy)]
pub struct SurfaceFrame {
    pub(super) surface: *mut c_void,
    pub(super) index: u32,
}

impl SurfaceFrame {
    /// Buffer `index` of the batch at `surface`, an `NvBufSurface *`.
    ///
    /// # Safety
    /// It is one, and nobody writes to the buffer while this is used. It stays one until the [`super::Mapper`] that has taken it was told to
    /// [forget](super::Mapper::forget_surface) it, or is gone: buffers stay mapped between frames.
    pub unsafe fn new(surface: *mut c_void, index: u32) -> SurfaceFrame {
        SurfaceFrame { surface, index }
    }
}
