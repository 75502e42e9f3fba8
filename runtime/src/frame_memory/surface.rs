//! Buffers of NVIDIA's multimedia library, mapped for the processor.

use std::ffi::c_int;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use clip_model::frame::FrameLayout;

use super::memory::SurfaceFrame;
use super::surface_api::{Api, Buffer, CUDA_DEVICE, PITCH, PLANES, Surface};
use crate::error::{Error, Result};

/// Surfaces that were mapped here, and the library that does it.
#[derive(Debug, Default)]
pub struct Surfaces {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where the library is, if that was said.
    file: Option<PathBuf>,
    api: Option<Api>,
    /// Address and index of what is mapped.
    mapped: Vec<(usize, c_int)>,
}

impl Surfaces {
    /// Those of the library in this file.
    pub fn of_library(file: PathBuf) -> Surfaces {
        Surfaces { state: Mutex::new(State { file: Some(file), ..State::default() }) }
    }

    /// Calls `work` with the planes of a frame.
    pub fn with<T>(
        &self,
        frame: &SurfaceFrame,
        layout: &FrameLayout,
        work: impl FnOnce(&[&[u8]]) -> Result<T>,
    ) -> Result<T> {
        let buffer = frame.buffer()?;
        let surface: *mut Surface = frame.surface.cast();
        // SAFETY: it is a surface, as whoever has made the frame promised.
        let memory = unsafe { (*surface).memory };
        if memory == CUDA_DEVICE {
            return Err(failed(
                "it lies on the GPU, where the processor does not see it: give its address as CUDA memory"
                    .to_owned(),
            ));
        }
        let index = c_int::try_from(frame.index).unwrap_or(c_int::MAX);
        // SAFETY: the buffer is one; nobody changes what it is.
        check(unsafe { &*buffer }, layout)?;
        self.state().map(surface, index, buffer)?;
        let mut planes = Vec::new();
        for plane in 0..layout.format.planes() {
            // SAFETY: the buffer is one.
            let address = unsafe { (*buffer).mapped.planes[plane] };
            if address.is_null() {
                return Err(failed(format!("plane {plane} was mapped to no address")));
            }
            // SAFETY: so many bytes are mapped, as was checked, and nobody writes them meanwhile.
            planes.push(unsafe { std::slice::from_raw_parts(address.cast::<u8>(), layout.bytes(plane)) });
        }
        work(&planes)
    }

    /// Takes the mappings of one surface away, or of all.
    pub fn forget(&self, surface: Option<usize>) {
        let State { api, mapped, .. } = &mut *self.state();
        mapped.retain(|&(address, index)| {
            let gone = surface.is_none_or(|surface| surface == address);
            if let (true, Some(api)) = (gone, &*api) {
                // SAFETY: it was mapped here, and stays a surface until now, as was promised. What fails here is the owner's to find.
                let _ = unsafe { api.unmap(address as *mut Surface, index) };
            }
            !gone
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Surfaces {
    fn drop(&mut self) {
        self.forget(None);
    }
}

impl State {
    /// Has the processor see a buffer as it is now.
    fn map(&mut self, surface: *mut Surface, index: c_int, buffer: *mut Buffer) -> Result<()> {
        let api = match &mut self.api {
            Some(api) => api,
            none => none.insert(Api::open(self.file.as_deref())?),
        };
        // SAFETY: the buffer is one.
        let seen = unsafe { !(*buffer).mapped.planes[0].is_null() };
        // SAFETY: the surface has such a buffer.
        if !seen && !unsafe { api.map(surface, index) } {
            return Err(failed("NvBufSurfaceMap fails".to_owned()));
        }
        let own = (surface as usize, index);
        if !seen && !self.mapped.contains(&own) {
            self.mapped.push(own);
        }
        // SAFETY: as above.
        match unsafe { api.sync(surface, index) } {
            true => Ok(()),
            false => Err(failed("NvBufSurfaceSyncForCpu fails".to_owned())),
        }
    }
}

impl SurfaceFrame {
    /// The layout with the strides that the buffer's planes have: its maker chooses them.
    ///
    /// # Errors
    /// [`Error::Frame`] without such a buffer.
    pub fn with_strides(&self, layout: FrameLayout) -> Result<FrameLayout> {
        let buffer = self.buffer()?;
        // SAFETY: the buffer is one.
        let pitch = unsafe { (*buffer).planes.pitch };
        let strides = std::array::from_fn(|plane| pitch[plane] as usize);
        Ok(FrameLayout { strides, ..layout })
    }

    /// The buffer of the surface.
    fn buffer(&self) -> Result<*mut Buffer> {
        let surface: *mut Surface = self.surface.cast();
        if surface.is_null() {
            return Err(failed("the pointer is null".to_owned()));
        }
        // SAFETY: it is a surface, as whoever has made the frame promised.
        let (size, list) = unsafe { ((*surface).batch_size, (*surface).list) };
        if self.index >= size || list.is_null() {
            return Err(failed(format!("it has {size} buffers, and number {} was asked for", self.index)));
        }
        // SAFETY: there are so many in the list.
        Ok(unsafe { list.add(self.index as usize) })
    }
}

/// Whether a buffer is what its frame is said to be.
fn check(buffer: &Buffer, layout: &FrameLayout) -> Result<()> {
    if buffer.layout != PITCH {
        return Err(failed(
            "its rows lie in tiles: have them laid out by pitch (NvBufSurfTransform)".to_owned(),
        ));
    }
    let found = [buffer.width as usize, buffer.height as usize];
    if found != [layout.width, layout.height] {
        return Err(failed(format!(
            "it has {}x{} pixels, and {}x{} were said",
            found[0], found[1], layout.width, layout.height
        )));
    }
    let planes = layout.format.planes();
    if buffer.planes.count as usize != planes || planes > PLANES {
        return Err(failed(format!(
            "it has {} planes, and {} has {planes}",
            buffer.planes.count, layout.format
        )));
    }
    for plane in 0..planes {
        let (pitch, size) = (buffer.planes.pitch[plane] as usize, buffer.planes.size[plane] as usize);
        if pitch != layout.strides[plane] || size < layout.bytes(plane) {
            return Err(failed(format!(
                "plane {plane} has {size} bytes, {pitch} from row to row; {}, {} from row to row, were said",
                layout.bytes(plane),
                layout.strides[plane]
            )));
        }
    }
    Ok(())
}

fn failed(reason: String) -> Error {
    Error::Frame { memory: "an NvBufSurface", reason }
}
