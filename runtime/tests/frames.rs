//! Frames in memory of several kinds, read by the processor.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper fails its test")]

use std::ffi::c_void;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use clip_model::Preprocess;
use clip_model::frame::{Frame, FrameLayout, PixelFormat, Rect, View};
use clip_model::orientation::Orientation;
use clip_runtime::Error;
use clip_runtime::frame_memory::{CudaFrame, DmaBufFrame, DmaBufPlane, FrameMemory, Mapper, SurfaceFrame};

fn layout(format: PixelFormat) -> FrameLayout {
    let layout = FrameLayout::new(format, 37, 21).unwrap();
    FrameLayout { strides: layout.strides.map(|stride| stride + 11), ..layout }
}

fn view() -> View {
    let crop = Some(Rect { left: 3, top: 2, width: 30, height: 17 });
    View { crop, orientation: Orientation::TurnedLeft }
}

/// Whole rows of every plane, other ones for each `seed`.
fn planes(layout: &FrameLayout, seed: usize) -> Vec<Vec<u8>> {
    let rows = |plane| layout.format.plane(plane, layout.width, layout.height).unwrap().1;
    (0..layout.format.planes())
        .map(|plane| {
            (0..rows(plane) * layout.strides[plane]).map(|i| ((i + plane) * (7 + seed) % 251) as u8).collect()
        })
        .collect()
}

fn pixels(frame: &Frame<'_>) -> clip_runtime::Result<Vec<u8>> {
    let preprocess = Preprocess { size: 16, ..Preprocess::default() };
    Ok(preprocess.fit(&frame.to_image()?)?.rgb().to_vec())
}

/// What a frame in this program's own memory gives.
fn expected(layout: FrameLayout, planes: &[Vec<u8>]) -> Vec<u8> {
    let slices: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
    Mapper::new().with_host(&FrameMemory::Host(&slices), layout, view(), pixels).unwrap()
}

/// A file in memory.
fn file(bytes: &[u8]) -> std::fs::File {
    let fd = unsafe { libc::memfd_create(c"frame".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(fd >= 0);
    let file = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.write_all_at(bytes, 0).unwrap();
    file
}

/// How many mappings of such files this process has.
fn mappings(inode: u64) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.split_whitespace().nth(4) == Some(&inode.to_string())).count()
}

#[test]
fn buffers_are_read_by_their_descriptors() {
    let mapper = Mapper::new();
    for format in PixelFormat::all() {
        let layout = layout(format);
        let own = planes(&layout, 1);
        // All planes in one buffer, and each in its own.
        let together = file(&[vec![9; 100], own.concat()].concat());
        let apart: Vec<std::fs::File> = own.iter().map(|plane| file(plane)).collect();
        let mut offset = 100;
        let in_one: Vec<DmaBufPlane<'_>> = own
            .iter()
            .map(|plane| {
                offset += plane.len();
                DmaBufPlane { buffer: together.as_fd(), offset: offset - plane.len() }
            })
            .collect();
        let in_several: Vec<DmaBufPlane<'_>> =
            apart.iter().map(|file| DmaBufPlane { buffer: file.as_fd(), offset: 0 }).collect();
        for places in [&in_one, &in_several, &in_one] {
            let memory = FrameMemory::DmaBuf(unsafe { DmaBufFrame::new(places) });
            let found = mapper.with_host(&memory, layout, view(), pixels).unwrap();
            assert_eq!(found, expected(layout, &own), "{format}");
        }
    }
}

#[test]
fn a_buffer_stays_mapped_whatever_its_descriptor_is() {
    use std::os::unix::fs::MetadataExt;
    let (mapper, layout) = (Mapper::new(), layout(PixelFormat::Rgb));
    let own = planes(&layout, 2);
    let buffer = file(&own[0]);
    let inode = buffer.metadata().unwrap().ino();
    let read = |buffer: &std::fs::File| {
        let places = [DmaBufPlane { buffer: buffer.as_fd(), offset: 0 }];
        let memory = FrameMemory::DmaBuf(unsafe { DmaBufFrame::new(&places) });
        mapper.with_host(&memory, layout, view(), pixels)
    };
    for _ in 0..3 {
        assert_eq!(read(&buffer.try_clone().unwrap()).unwrap(), expected(layout, &own));
        assert_eq!(mappings(inode), 1);
    }
    // The next frame in the same buffer is seen.
    let next = planes(&layout, 3);
    buffer.write_all_at(&next[0], 0).unwrap();
    assert_eq!(read(&buffer).unwrap(), expected(layout, &next));
    mapper.forget();
    assert_eq!(mappings(inode), 0);
    assert_eq!(read(&buffer).unwrap(), expected(layout, &next));
    // Another buffer under the same number is another one.
    let other = file(&own[0]);
    assert_eq!(unsafe { libc::dup2(other.as_raw_fd(), buffer.as_raw_fd()) }, buffer.as_raw_fd());
    assert_eq!(read(&buffer).unwrap(), expected(layout, &own));
    drop(mapper);
    assert_eq!(mappings(inode), 0);
}

fn refused(mapper: &Mapper, memory: &FrameMemory<'_>, layout: FrameLayout, words: &str) {
    let error = mapper.with_host(memory, layout, view(), |_| Ok(())).unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn what_is_not_there_is_named() {
    let (mapper, nv12) = (Mapper::new(), layout(PixelFormat::Nv12));
    let own = planes(&nv12, 1);
    let short = file(&own[0][..100]);
    let places = [DmaBufPlane { buffer: short.as_fd(), offset: 0 }; 2];
    let memory = FrameMemory::DmaBuf(unsafe { DmaBufFrame::new(&places) });
    refused(
        &mapper,
        &memory,
        nv12,
        "a frame in a dmabuf cannot be read: plane 0 has 997 bytes from 0 on, and its buffer 100",
    );
    let memory = FrameMemory::DmaBuf(unsafe { DmaBufFrame::new(&[]) });
    refused(&mapper, &memory, nv12, "a frame of nv12 has 2 planes, 0 were given");
    let (pipe, _other) = std::io::pipe().unwrap();
    let places = [DmaBufPlane { buffer: pipe.as_fd(), offset: 0 }; 2];
    let memory = FrameMemory::DmaBuf(unsafe { DmaBufFrame::new(&places) });
    refused(&mapper, &memory, nv12, "its buffer cannot be looked at");
    let whole = file(&own.concat());
    let places = [DmaBufPlane { buffer: whole.as_fd(), offset: usize::MAX }; 2];
    let memory = FrameMemory::DmaBuf(unsafe { DmaBufFrame::new(&places) });
    refused(&mapper, &memory, nv12, "plane 0 has");
    let bad = FrameLayout { strides: [3, 48, 0], ..nv12 };
    refused(&mapper, &memory, bad, "the stride of plane 0 is 3 bytes");

    let surface = FrameMemory::Surface(unsafe { SurfaceFrame::new(std::ptr::null_mut(), 0) });
    refused(&mapper, &surface, nv12, "the pointer is null");
    // Where a GPU is, a null address is what is wrong.
    let cuda = FrameMemory::Cuda(unsafe { CudaFrame::new(0, [0; 3], std::ptr::null_mut()) });
    let error = mapper.with_host(&cuda, nv12, view(), |_| Ok(())).unwrap_err();
    let no_gpu = matches!(error, Error::TensorRt(_));
    assert!(no_gpu || error.to_string().contains("plane 0 has no address"), "{error}");
}

/// The double of libnvbufsurface.
struct Double {
    library: libloading::Library,
    file: std::path::PathBuf,
}

type Create = unsafe extern "C" fn(u32, u32, u32, u32, *const u32, *const u32) -> *mut c_void;

impl Double {
    fn open() -> Double {
        let file = clip_testkit::doubles::surface_library();
        Double { library: unsafe { libloading::Library::new(&file) }.unwrap(), file }
    }

    fn surface(&self, count: u32, layout: &FrameLayout) -> *mut c_void {
        let planes = layout.format.planes();
        let rows = [0, 1, 2].map(|plane| {
            layout.format.plane(plane, layout.width, layout.height).map_or(0, |(_, rows)| rows as u32)
        });
        let strides = layout.strides.map(|stride| stride as u32);
        let (width, height) = (layout.width as u32, layout.height as u32);
        let create = unsafe { self.library.get::<Create>(b"double_surface_create\0") }.unwrap();
        unsafe { create(count, width, height, planes as u32, rows.as_ptr(), strides.as_ptr()) }
    }

    fn write(&self, surface: *mut c_void, index: u32, planes: &[Vec<u8>]) {
        type Write = unsafe extern "C" fn(*mut c_void, u32, u32, *const u8);
        let write = unsafe { self.library.get::<Write>(b"double_surface_write\0") }.unwrap();
        for (plane, bytes) in (0..).zip(planes) {
            unsafe { write(surface, index, plane, bytes.as_ptr()) };
        }
    }

    fn set(&self, surface: *mut c_void, layout: i32, memory: i32) {
        type Set = unsafe extern "C" fn(*mut c_void, i32, i32);
        let set = unsafe { self.library.get::<Set>(b"double_surface_set\0") }.unwrap();
        unsafe { set(surface, layout, memory) };
    }

    /// How often buffers were mapped, unmapped and synchronised.
    fn calls(&self) -> [i32; 3] {
        let calls =
            unsafe { self.library.get::<unsafe extern "C" fn(i32) -> i32>(b"double_surface_calls\0") };
        let calls = calls.unwrap();
        [0, 1, 2].map(|which| unsafe { calls(which) })
    }
}

#[test]
fn surfaces_are_mapped_once_and_synchronised_each_time() {
    let double = Double::open();
    let mapper = Mapper::with_surface_library(&double.file);
    let nv12 = layout(PixelFormat::Nv12);
    let surface = double.surface(2, &nv12);
    let frame = |index| FrameMemory::Surface(unsafe { SurfaceFrame::new(surface, index) });
    for seed in 0..3 {
        for index in 0..2 {
            let own = planes(&nv12, seed + 10 * index as usize);
            double.write(surface, index, &own);
            let found = mapper.with_host(&frame(index), nv12, view(), pixels).unwrap();
            assert_eq!(found, expected(nv12, &own));
        }
    }
    assert_eq!(double.calls(), [2, 0, 6]);
    mapper.forget_surface(surface);
    assert_eq!(double.calls(), [2, 2, 6]);
    mapper.with_host(&frame(1), nv12, view(), pixels).unwrap();
    let other = double.surface(1, &nv12);
    let memory = FrameMemory::Surface(unsafe { SurfaceFrame::new(other, 0) });
    mapper.with_host(&memory, nv12, view(), pixels).unwrap();
    drop(mapper);
    assert_eq!(double.calls(), [4, 4, 8]);

    // Strides are the buffer's, whoever says what they are.
    let unsaid = FrameLayout { strides: [0; 3], ..nv12 };
    let first = unsafe { SurfaceFrame::new(surface, 0) };
    assert_eq!(first.with_strides(unsaid).unwrap().strides[..2], nv12.strides[..2]);
    let beyond = unsafe { SurfaceFrame::new(surface, 7) };
    assert!(beyond.with_strides(unsaid).unwrap_err().to_string().contains("number 7 was asked for"));
    // What a surface is must be what was said.
    let mapper = Mapper::with_surface_library(&double.file);
    refused(&mapper, &frame(2), nv12, "it has 2 buffers, and number 2 was asked for");
    let wide = FrameLayout { strides: [50, 49, 0], ..nv12 };
    refused(&mapper, &frame(0), wide, "48 from row to row");
    refused(&mapper, &frame(0), layout(PixelFormat::Rgb), "it has 2 planes, and rgb has 1");
    let small = FrameLayout { width: 35, ..nv12 };
    refused(&mapper, &frame(0), small, "it has 37x21 pixels, and 35x21 were said");
    double.set(surface, 1, 4);
    refused(&mapper, &frame(0), nv12, "its rows lie in tiles");
    double.set(surface, 0, 2);
    refused(&mapper, &frame(0), nv12, "it lies on the GPU");
    assert_eq!(double.calls(), [4, 4, 8]);
    double.set(surface, 0, 4);
    let none = Mapper::with_surface_library("/no/such/libnvbufsurface.so");
    refused(&none, &frame(0), nv12, "libnvbufsurface not found: /no/such/libnvbufsurface.so");
}
