//! Buffers with file descriptors, mapped into this process.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use clip_model::frame::FrameLayout;
use memmap2::{Mmap, MmapOptions};

use super::memory::DmaBufFrame;
use crate::error::{Error, Result};

/// Buffers that stay mapped. A camera has a handful, which come round; those that were not used for longest go.
const KEPT: usize = 64;

/// `DMA_BUF_IOCTL_SYNC` of `linux/dma-buf.h`: `_IOW('b', 0, struct dma_buf_sync)`.
const SYNC: u64 = 0x4008_6200;
const READ: u64 = 1;
const START: u64 = 0;
const END: u64 = 4;

/// What a buffer is, whatever descriptor it has.
type Identity = (u64, u64, usize);

/// Mapped buffers, by what they are; the one that was used last comes last.
#[derive(Debug, Default)]
pub struct Mappings(Mutex<Vec<(Identity, Arc<Mmap>)>>);

/// A buffer that the processor reads, until it is dropped.
struct Reading<'a>(BorrowedFd<'a>);

impl<'a> Reading<'a> {
    fn begin(buffer: BorrowedFd<'a>) -> Result<Reading<'a>> {
        sync(buffer, READ | START).map_err(|e| refused("prepared for reading", &e))?;
        Ok(Reading(buffer))
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        // What was read is read.
        let _ = sync(self.0, READ | END);
    }
}

impl Mappings {
    /// Calls `work` with the planes of a frame.
    pub fn with<T>(
        &self,
        frame: &DmaBufFrame<'_>,
        layout: &FrameLayout,
        work: impl FnOnce(&[&[u8]]) -> Result<T>,
    ) -> Result<T> {
        let mut mapped = Vec::new();
        for plane in frame.planes {
            mapped.push((self.mapped(plane.buffer)?, Reading::begin(plane.buffer)?));
        }
        let mut planes = Vec::new();
        for (number, ((mapping, _), plane)) in mapped.iter().zip(frame.planes).enumerate() {
            let bytes = layout.bytes(number);
            let end = plane.offset.checked_add(bytes).filter(|&end| end <= mapping.len());
            let end = end.ok_or_else(|| {
                failed(format!(
                    "plane {number} has {bytes} bytes from {} on, and its buffer {}",
                    plane.offset,
                    mapping.len()
                ))
            })?;
            planes.push(&mapping[plane.offset..end]);
        }
        work(&planes)
    }

    /// Lets all buffers go that nobody uses.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn mapped(&self, buffer: BorrowedFd<'_>) -> Result<Arc<Mmap>> {
        let identity = identity(buffer).map_err(|e| refused("looked at", &e))?;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = kept.iter().position(|(known, _)| *known == identity) {
            let known = kept.remove(place);
            kept.push(known);
        } else {
            // SAFETY: the buffer is only read, and who made the frame has promised that nobody changes it meanwhile. While it is mapped it keeps
            // its identity: nothing else gets that.
            let mapping = unsafe { MmapOptions::new().len(identity.2).map(&buffer) };
            let mapping = mapping.map_err(|e| refused("mapped", &e))?;
            if kept.len() >= KEPT {
                kept.remove(0);
            }
            kept.push((identity, Arc::new(mapping)));
        }
        kept.last().map(|(_, mapping)| mapping.clone()).ok_or_else(|| failed("is not there".to_owned()))
    }
}

/// Device, file and size.
fn identity(buffer: BorrowedFd<'_>) -> io::Result<Identity> {
    // SAFETY: all zeros are a `stat`.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, and `stat` is written.
    if unsafe { libc::fstat(buffer.as_raw_fd(), &raw mut stat) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut size = stat.st_size;
    if size == 0 {
        // Older kernels tell a dmabuf's size in this way alone; it has no position that this would move.
        // SAFETY: the descriptor is open.
        size = unsafe { libc::lseek(buffer.as_raw_fd(), 0, libc::SEEK_END) };
    }
    match usize::try_from(size) {
        Ok(size) if size > 0 => Ok((stat.st_dev, stat.st_ino, size)),
        _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is empty")),
    }
}

/// Brings what the processor sees and what devices see together.
fn sync(buffer: BorrowedFd<'_>, flags: u64) -> io::Result<()> {
    loop {
        // SAFETY: the descriptor is open, and the call reads the flags.
        let done = unsafe { libc::ioctl(buffer.as_raw_fd(), SYNC as libc::Ioctl, &raw const flags) };
        let error = io::Error::last_os_error();
        match (done, error.raw_os_error()) {
            (0, _) => return Ok(()),
            (_, Some(libc::EINTR | libc::EAGAIN)) => {}
            // A file in memory, as programs hand them on in a dmabuf's place: only processors write there, and they agree by themselves.
            (_, Some(libc::ENOTTY)) => return Ok(()),
            _ => return Err(error),
        }
    }
}

fn refused(what: &str, error: &io::Error) -> Error {
    failed(format!("its buffer cannot be {what}: {error}"))
}

fn failed(reason: String) -> Error {
    Error::Frame { memory: "a dmabuf", reason }
}
