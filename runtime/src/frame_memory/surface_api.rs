//! What is used of NVIDIA's `nvbufsurface.h`, which comes with DeepStream and with Jetson's multimedia API. The library is opened at run time.

use std::ffi::{c_int, c_void};
use std::path::{Path, PathBuf};

use libloading::Library;

use crate::error::{Error, Result};

/// Planes of a buffer at most, `NVBUF_MAX_PLANES`.
pub const PLANES: usize = 4;

/// Places kept for later, `STRUCTURE_PADDING`.
const PADDING: usize = 4;

/// Rows one after the other, `NVBUF_LAYOUT_PITCH`; the other layout is in tiles.
pub const PITCH: c_int = 0;

/// Memory of a GPU that no processor reads, `NVBUF_MEM_CUDA_DEVICE`.
pub const CUDA_DEVICE: c_int = 2;

/// `NVBUF_MAP_READ`
const READ: c_int = 0;

/// `NvBufSurface`: a batch of buffers.
#[repr(C)]
#[derive(Debug)]
pub struct Surface {
    pub gpu: u32,
    pub batch_size: u32,
    pub filled: u32,
    pub contiguous: bool,
    pub memory: c_int,
    pub list: *mut Buffer,
    pub reserved: [*mut c_void; PADDING],
}

/// `NvBufSurfaceParams`: a buffer of a batch.
#[repr(C)]
#[derive(Debug)]
pub struct Buffer {
    pub width: u32,
    pub height: u32,
    pub pitch: u32,
    pub color_format: c_int,
    pub layout: c_int,
    pub descriptor: u64,
    pub size: u32,
    pub data: *mut c_void,
    pub planes: Planes,
    pub mapped: Mapped,
    /// The first has become a pointer to more; the size has stayed.
    pub reserved: [*mut c_void; PADDING],
}

/// `NvBufSurfacePlaneParams`: the planes of a buffer.
#[repr(C)]
#[derive(Debug)]
pub struct Planes {
    pub count: u32,
    pub width: [u32; PLANES],
    pub height: [u32; PLANES],
    pub pitch: [u32; PLANES],
    pub offset: [u32; PLANES],
    pub size: [u32; PLANES],
    pub bytes_per_pixel: [u32; PLANES],
    pub reserved: [*mut c_void; PADDING * PLANES],
}

/// `NvBufSurfaceMappedAddr`: where the processor sees the planes; null where they are not mapped.
#[repr(C)]
#[derive(Debug)]
pub struct Mapped {
    pub planes: [*mut c_void; PLANES],
    pub egl_image: *mut c_void,
    pub reserved: [*mut c_void; PADDING],
}

type Map = unsafe extern "C" fn(*mut Surface, c_int, c_int, c_int) -> c_int;
type Plain = unsafe extern "C" fn(*mut Surface, c_int, c_int) -> c_int;

/// The library.
#[derive(Debug)]
pub struct Api {
    map: Map,
    unmap: Plain,
    sync: Plain,
    // The functions are in it.
    _library: Library,
}

/// All planes, in a call.
const ALL: c_int = -1;

impl Api {
    /// Opens the library in this file, or the one that the system finds.
    pub fn open(file: Option<&Path>) -> Result<Api> {
        let usual = || ["libnvbufsurface.so.1.0.0", "libnvbufsurface.so"].map(PathBuf::from).to_vec();
        let files = file.map_or_else(usual, |file| vec![file.to_owned()]);
        let mut tried = Vec::new();
        for file in files {
            match Api::load(&file) {
                Ok(api) => return Ok(api),
                Err(reason) => tried.push((file, reason.to_string())),
            }
        }
        Err(Error::LibraryNotFound {
            engine: "libnvbufsurface",
            tried,
            help: "install DeepStream or, on a Jetson, nvidia-l4t-multimedia",
        })
    }

    fn load(file: &Path) -> std::result::Result<Api, libloading::Error> {
        // SAFETY: it is NVIDIA's library, whose functions have these types.
        unsafe {
            let library = Library::new(file)?;
            Ok(Api {
                map: *library.get::<Map>(b"NvBufSurfaceMap\0")?,
                unmap: *library.get::<Plain>(b"NvBufSurfaceUnMap\0")?,
                sync: *library.get::<Plain>(b"NvBufSurfaceSyncForCpu\0")?,
                _library: library,
            })
        }
    }

    /// Lets the processor see the planes of a buffer.
    ///
    /// # Safety
    /// `surface` is one, with more than `index` buffers. The same is asked of the others.
    pub unsafe fn map(&self, surface: *mut Surface, index: c_int) -> bool {
        // SAFETY: as promised.
        unsafe { (self.map)(surface, index, ALL, READ) == 0 }
    }

    /// Takes them away again.
    pub unsafe fn unmap(&self, surface: *mut Surface, index: c_int) -> bool {
        // SAFETY: as promised.
        unsafe { (self.unmap)(surface, index, ALL) == 0 }
    }

    /// Brings what the processor sees up to what devices have written.
    pub unsafe fn sync(&self, surface: *mut Surface, index: c_int) -> bool {
        // SAFETY: as promised.
        unsafe { (self.sync)(surface, index, ALL) == 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a C compiler lays the header's structures out on 64-bit machines.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn structures_are_laid_out_as_in_c() {
        use std::mem::{offset_of, size_of};
        assert_eq!((size_of::<Planes>(), offset_of!(Planes, reserved)), (232, 104));
        assert_eq!((size_of::<Mapped>(), offset_of!(Mapped, reserved)), (72, 40));
        assert_eq!((offset_of!(Buffer, descriptor), offset_of!(Buffer, data)), (24, 40));
        assert_eq!((offset_of!(Buffer, planes), offset_of!(Buffer, mapped)), (48, 280));
        assert_eq!(size_of::<Buffer>(), 384);
        assert_eq!((offset_of!(Surface, memory), offset_of!(Surface, list)), (16, 24));
        assert_eq!(size_of::<Surface>(), 64);
    }
}
