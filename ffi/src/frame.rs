//! Frames of cameras.

use std::ffi::c_void;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::ptr;

use clip_runtime::frame::{Color, ColorMatrix, ColorRange, FrameLayout, PixelFormat, Rect, View};
use clip_runtime::frame_memory::{CameraFrame, CudaFrame, FrameMemory, SurfaceFrame};
#[cfg(unix)]
use clip_runtime::frame_memory::{DmaBufFrame, DmaBufPlane};
use clip_runtime::{Orientation, Score};

use crate::argument;
use crate::classify::{Room, clip_match, filling};
use crate::error::{Error, Name};
use crate::guard::{guard, guard_again, quietly};
use crate::image::clip_image;
use crate::labels::clip_labels;
use crate::model::clip_model;
use crate::status::clip_status;

/// Red, green, blue: three bytes a pixel.
pub const CLIP_FORMAT_RGB: i32 = 1;
/// Blue, green, red, as OpenCV has it.
pub const CLIP_FORMAT_BGR: i32 = 2;
/// Red, green, blue and a fourth byte, which is not looked at.
pub const CLIP_FORMAT_RGBA: i32 = 3;
/// Blue, green, red and a fourth byte, which is not looked at.
pub const CLIP_FORMAT_BGRA: i32 = 4;
/// Red, green and blue, each in a plane of its own.
pub const CLIP_FORMAT_RGBP: i32 = 5;
/// Brightness, 8 bits.
pub const CLIP_FORMAT_GRAY8: i32 = 6;
/// Brightness, 16 bits in the machine's byte order; see black and white in clip_frame.
pub const CLIP_FORMAT_GRAY16: i32 = 7;
/// 4:2:0: a plane of Y, and one in which U and V take turns.
pub const CLIP_FORMAT_NV12: i32 = 8;
/// 4:2:0: a plane of Y, and one in which V and U take turns.
pub const CLIP_FORMAT_NV21: i32 = 9;
/// 4:2:0: planes of Y, U and V. The planes of YV12 are given in this order.
pub const CLIP_FORMAT_I420: i32 = 10;
/// 4:2:2, one plane: Y U Y V, as YUY2.
pub const CLIP_FORMAT_YUYV: i32 = 11;
/// 4:2:2, one plane: U Y V Y.
pub const CLIP_FORMAT_UYVY: i32 = 12;

/// ITU-R BT.601: standard definition, JPEG, most webcams.
pub const CLIP_MATRIX_BT601: i32 = 1;
/// ITU-R BT.709: high definition.
pub const CLIP_MATRIX_BT709: i32 = 2;
/// ITU-R BT.2020, non-constant luminance: ultra-high definition.
pub const CLIP_MATRIX_BT2020: i32 = 3;

/// Y from 16 to 235, U and V from 16 to 240.
pub const CLIP_RANGE_LIMITED: i32 = 1;
/// Y, U and V from 0 to 255.
pub const CLIP_RANGE_FULL: i32 = 2;

/// The planes are at the addresses in `planes`.
pub const CLIP_MEMORY_HOST: i32 = 0;
/// The planes are at the addresses in `planes`, of the CUDA device `device`, written by work in the CUDA stream
/// `handle`.
pub const CLIP_MEMORY_CUDA: i32 = 1;
/// The planes are in buffers that have file descriptors: dmabufs of Linux, or files in memory.
pub const CLIP_MEMORY_DMABUF: i32 = 2;
/// The planes are in buffer `index` of the NvBufSurface `handle`, of NVIDIA's multimedia library.
pub const CLIP_MEMORY_NVBUFSURFACE: i32 = 3;

/// A frame as a camera delivers it. Start from CLIP_FRAME_INIT, then set format, width, height and planes. Nothing of
/// it is copied; a call reads the planes until it returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct clip_frame {
    /// sizeof(clip_frame).
    pub struct_size: usize,
    /// Width, pixels.
    pub width: usize,
    /// Height, pixels.
    pub height: usize,
    /// Where the planes begin, with their top rows; NULL for those that the format does not have.
    pub planes: [*const u8; 3],
    /// Bytes from a row to the next, for each plane. 0 for rows without padding.
    pub strides: [usize; 3],
    /// The part that counts, pixels of the frame as it lies in memory. All 0 for the whole frame.
    pub crop_left: usize,
    /// See crop_left.
    pub crop_top: usize,
    /// See crop_left.
    pub crop_width: usize,
    /// See crop_left.
    pub crop_height: usize,
    /// One of CLIP_FORMAT_*.
    pub format: i32,
    /// One of CLIP_MATRIX_*. 0 for what is usual: BT.601 of up to 576 rows, else BT.709.
    pub matrix: i32,
    /// One of CLIP_RANGE_*. 0 for the limited one.
    pub range: i32,
    /// How the part is turned to stand upright, in the numbers of Exif: 0 and 1 as it is, 2 mirrored sideways, 3 by
    /// half, 4 mirrored up and down, 5 transposed, 6 clockwise by a quarter, 7 mirrored on the other diagonal, 8
    /// counterclockwise by a quarter.
    pub orientation: i32,
    /// Of CLIP_FORMAT_GRAY16, the number that becomes black, and the one that becomes white; brightness grows evenly
    /// between them. Both 0 for 0 and 65535.
    pub black: i32,
    /// See black.
    pub white: i32,
    /// One of CLIP_MEMORY_*. A GPU reads a frame where it lies if the model folder was exported for such frames
    /// (`clip-export --camera`) and runs there; all other frames come to the processor, those of a GPU as a copy.
    pub memory: i32,
    /// The number of the CUDA device.
    pub device: i32,
    /// The file descriptor of each plane's buffer; 0 for that of the plane before.
    pub fds: [i32; 3],
    /// The buffer's place in its NvBufSurface.
    pub index: i32,
    /// Where each plane begins in its file descriptor's buffer, bytes.
    pub offsets: [usize; 3],
    /// The CUDA stream, NULL for the default one; or the NvBufSurface, which has to live until
    /// clip_model_forget_buffers.
    pub handle: *mut c_void,
}

// SAFETY: numbers and pointers, of which zeros are what a caller leaves unset.
unsafe impl argument::Options for clip_frame {
    const SMALLEST: usize = size_of::<clip_frame>();
}

/// A frame that C describes.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    layout: FrameLayout,
    view: View,
    place: Place<'a>,
}

#[derive(Clone, Copy)]
enum Place<'a> {
    Host([&'a [u8]; 3]),
    Cuda(CudaFrame),
    #[cfg(unix)]
    DmaBuf([DmaBufPlane<'a>; 3]),
    Surface(SurfaceFrame),
}

impl Given<'_> {
    /// The frame as the runtime takes it.
    pub(crate) fn frame(&self) -> CameraFrame<'_> {
        let Given { layout, view, .. } = *self;
        let count = layout.format.planes();
        let memory = match &self.place {
            Place::Host(planes) => FrameMemory::Host(&planes[..count]),
            Place::Cuda(frame) => FrameMemory::Cuda(*frame),
            // SAFETY: the caller keeps the buffers while the call runs.
            #[cfg(unix)]
            Place::DmaBuf(planes) => FrameMemory::DmaBuf(unsafe { DmaBufFrame::new(&planes[..count]) }),
            Place::Surface(frame) => FrameMemory::Surface(*frame),
        };
        CameraFrame { memory, layout, view }
    }
}

/// What C describes. Its planes have as many bytes as it says.
pub(crate) unsafe fn given<'a>(pointer: *const clip_frame, name: Name) -> Result<Given<'a>, Error> {
    let given = unsafe { argument::options(pointer, name) }?;
    let (layout, view) = described(&given, name)?;
    view.check(&layout)?;
    let count = layout.format.planes();
    let addresses = || match given.planes.iter().take(count).position(|plane| plane.is_null()) {
        Some(plane) => Err(Error::NoPlane { name, plane, format: layout.format }),
        None => Ok(()),
    };
    let handle = || match given.handle.is_null() {
        true => Err(Error::Argument(format!("{name}->handle is NULL, expected an NvBufSurface"))),
        false => Ok(given.handle),
    };
    let number = |field, number: i32| {
        let wrong = |_| Error::Argument(format!("{name}->{field} is {number}, expected 0 or more"));
        u32::try_from(number).map_err(wrong)
    };
    let place = match given.memory {
        CLIP_MEMORY_HOST => {
            addresses()?;
            let mut planes: [&[u8]; 3] = [&[]; 3];
            for (plane, kept) in planes.iter_mut().enumerate().take(count) {
                *kept = unsafe { std::slice::from_raw_parts(given.planes[plane], layout.bytes(plane)) };
            }
            Place::Host(planes)
        }
        CLIP_MEMORY_CUDA => {
            addresses()?;
            let planes = given.planes.map(|plane| plane as u64);
            Place::Cuda(unsafe { CudaFrame::new(number("device", given.device)?, planes, given.handle) })
        }
        #[cfg(unix)]
        CLIP_MEMORY_DMABUF => Place::DmaBuf(unsafe { buffers(&given, count, name) }?),
        CLIP_MEMORY_NVBUFSURFACE => {
            Place::Surface(unsafe { SurfaceFrame::new(handle()?, number("index", given.index)?) })
        }
        other => {
            let reason = format!("{name}->memory is {other}, which is none of those allowed");
            return Err(Error::Argument(reason));
        }
    };
    Ok(Given { layout, view, place })
}

/// The buffers of planes.
#[cfg(unix)]
unsafe fn buffers<'a>(given: &clip_frame, count: usize, name: Name) -> Result<[DmaBufPlane<'a>; 3], Error> {
    let mut fds = given.fds;
    for plane in 0..3 {
        if fds[plane] == 0 && plane > 0 {
            fds[plane] = fds[plane - 1];
        }
        if fds[plane] <= 0 && plane < count {
            let fd = given.fds[plane];
            return Err(Error::Argument(format!(
                "{name}->fds[{plane}] is {fd}, expected a buffer's file descriptor"
            )));
        }
    }
    let plane = |plane: usize| {
        // What the format does not have is not looked at.
        let fd = if plane < count { fds[plane] } else { fds[0] };
        DmaBufPlane { buffer: unsafe { BorrowedFd::borrow_raw(fd) }, offset: given.offsets[plane] }
    };
    Ok([plane(0), plane(1), plane(2)])
}

/// How a frame of an array is called.
fn of_array(index: usize) -> Name {
    Name("frames", Some(index))
}

/// Frames that are read from C's together, without memory being taken for a list of them.
const TOGETHER: usize = 32;

/// Runs `body` on frames of an array, so many together, with the number of the first. All are checked before any is
/// used.
unsafe fn each(
    frames: *const *const clip_frame,
    n: usize,
    name: impl Fn(usize) -> Name,
    mut body: impl FnMut(usize, &[CameraFrame<'_>]) -> Result<(), Error>,
) -> Result<(), Error> {
    let pointers = unsafe { argument::slice(frames, n, "frames") }?;
    let read = |index: usize| unsafe { given(pointers[index], name(index)) };
    (0..n).try_for_each(|index| read(index).map(|_| ()))?;
    for first in (0..n).step_by(TOGETHER) {
        let mut given = [read(first)?; TOGETHER];
        let count = TOGETHER.min(n - first);
        for (offset, one) in given.iter_mut().enumerate().take(count).skip(1) {
            *one = read(first + offset)?;
        }
        let frames: [CameraFrame<'_>; TOGETHER] = std::array::from_fn(|i| given[i].frame());
        body(first, &frames[..count])?;
    }
    Ok(())
}

/// Finds the labels that fit a frame best, like clip_classify. Once it was called as often at the same time with a
/// frame and labels of that size, this library allocates nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_classify_frame(
    model: *const clip_model,
    frame: *const clip_frame,
    labels: *const clip_labels,
    matches: *mut clip_match,
    capacity: usize,
    count: *mut usize,
) -> clip_status {
    unsafe {
        classify(model, &raw const frame, 1, |_| "frame".into(), labels, capacity, matches, capacity, count)
    }
}

/// Does the same for `n` frames in one go, like clip_classify_images.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_classify_frames(
    model: *const clip_model,
    frames: *const *const clip_frame,
    n: usize,
    labels: *const clip_labels,
    top: usize,
    matches: *mut clip_match,
    capacity: usize,
    count: *mut usize,
) -> clip_status {
    unsafe { classify(model, frames, n, of_array, labels, top, matches, capacity, count) }
}

#[allow(
    clippy::too_many_arguments,
    reason = "those of the two functions above, and what they call the frames"
)]
unsafe fn classify(
    model: *const clip_model,
    frames: *const *const clip_frame,
    n: usize,
    name: impl Fn(usize) -> Name,
    labels: *const clip_labels,
    top: usize,
    matches: *mut clip_match,
    capacity: usize,
    count: *mut usize,
) -> clip_status {
    unsafe {
        guard_again(filling(count, |call, count| {
            let model = argument::reference(model, "model")?;
            let labels = argument::reference(labels, "labels")?;
            let mut room = Room::new(matches, capacity, n, top)?;
            each(frames, n, name, |first, frames| {
                let write = |offset, scores: &[Score]| room.write_row(first + offset, scores);
                Ok(model.clip.classify_each_camera_frame(frames, &labels.set, top, write)?)
            })?;
            call.has_memory()?;
            count.write(top.min(labels.set.len()));
            Ok(())
        }))
    }
}

/// Describes a decoded image as a frame, so that pictures go where frames do: into a stream, for example. Start `*frame`
/// from CLIP_FRAME_INIT. Its plane is the image's own, and valid as long as that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_image_frame(image: *const clip_image, frame: *mut clip_frame) -> clip_status {
    guard(|_| unsafe {
        let clip_image(image) = argument::reference(image, "image")?;
        let started = argument::options(frame, "frame")?;
        let planes = [image.rgb().as_ptr(), ptr::null(), ptr::null()];
        let (width, height, format) = (image.width(), image.height(), CLIP_FORMAT_RGB);
        let memory = CLIP_MEMORY_HOST;
        let strides = [3 * width, 0, 0];
        let made = clip_frame { planes, width, height, format, memory, strides, ..started };
        // A program of an older header has a shorter one.
        let bytes = made.struct_size.min(size_of::<clip_frame>());
        ptr::copy_nonoverlapping((&raw const made).cast::<u8>(), frame.cast(), bytes);
        Ok(())
    })
}

/// Lets go what the model keeps of buffers that are no pointers: mappings of dmabufs and NvBufSurfaces, which are kept
/// because a camera's buffers come round. To be called before an NvBufSurface is destroyed that was in a frame. NULL
/// is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_forget_buffers(model: *const clip_model) {
    if let Some(model) = unsafe { model.as_ref() } {
        quietly(|| model.clip.mapper().forget());
    }
}

/// Computes the embeddings of `n` frames in one go, like clip_embed_images.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_embed_frames(
    model: *const clip_model,
    frames: *const *const clip_frame,
    n: usize,
    embeddings: *mut f32,
    capacity: usize,
) -> clip_status {
    guard_again(|call| unsafe {
        let clip = &argument::reference(model, "model")?.clip;
        let dim = clip.embed_dim();
        let room = argument::rows(embeddings, capacity, n, dim, "embeddings")?;
        // Zeros first, so that what is there is numbers.
        room.fill(std::mem::MaybeUninit::new(0.0));
        let room = std::slice::from_raw_parts_mut(room.as_mut_ptr().cast::<f32>(), room.len());
        each(frames, n, of_array, |first, frames| {
            Ok(clip.encode_camera_frames_into(frames, &mut room[first * dim..][..frames.len() * dim])?)
        })?;
        call.has_memory()
    })
}

/// What the numbers of a frame say, without looking at its planes.
fn described(given: &clip_frame, name: Name) -> Result<(FrameLayout, View), Error> {
    let unknown =
        |field, found| Error::Argument(format!("{name}->{field} is {found}, which is none of those allowed"));
    let format = format(given.format).ok_or_else(|| unknown("format", given.format))?;
    let assumed = Color::assumed(given.height);
    let matrix = match given.matrix {
        0 => assumed.matrix,
        CLIP_MATRIX_BT601 => ColorMatrix::Bt601,
        CLIP_MATRIX_BT709 => ColorMatrix::Bt709,
        CLIP_MATRIX_BT2020 => ColorMatrix::Bt2020,
        other => return Err(unknown("matrix", other)),
    };
    let range = match given.range {
        0 => assumed.range,
        CLIP_RANGE_LIMITED => ColorRange::Limited,
        CLIP_RANGE_FULL => ColorRange::Full,
        other => return Err(unknown("range", other)),
    };
    let orientation = u64::try_from(given.orientation.max(i32::from(given.orientation == 0)));
    let orientation = orientation.ok().and_then(Orientation::from_exif);
    let orientation = orientation.ok_or_else(|| unknown("orientation", given.orientation))?;
    let level = |field, level: i32| u16::try_from(level).map_err(|_| unknown(field, level));
    let levels = match (level("black", given.black)?, level("white", given.white)?) {
        (0, 0) => (0, u16::MAX),
        levels => levels,
    };
    let mut layout = FrameLayout {
        color: Color { matrix, range },
        levels,
        ..FrameLayout::new(format, given.width, given.height)?
    };
    for (stride, &given) in layout.strides.iter_mut().zip(&given.strides) {
        if given != 0 {
            *stride = given;
        }
    }
    layout.check()?;
    let clip_frame { crop_left: left, crop_top: top, crop_width: width, crop_height: height, .. } = *given;
    let crop = ((left, top, width, height) != (0, 0, 0, 0)).then_some(Rect { left, top, width, height });
    Ok((layout, View { crop, orientation }))
}

fn format(number: i32) -> Option<PixelFormat> {
    Some(match number {
        CLIP_FORMAT_RGB => PixelFormat::Rgb,
        CLIP_FORMAT_BGR => PixelFormat::Bgr,
        CLIP_FORMAT_RGBA => PixelFormat::Rgba,
        CLIP_FORMAT_BGRA => PixelFormat::Bgra,
        CLIP_FORMAT_RGBP => PixelFormat::PlanarRgb,
        CLIP_FORMAT_GRAY8 => PixelFormat::Gray8,
        CLIP_FORMAT_GRAY16 => PixelFormat::Gray16,
        CLIP_FORMAT_NV12 => PixelFormat::Nv12,
        CLIP_FORMAT_NV21 => PixelFormat::Nv21,
        CLIP_FORMAT_I420 => PixelFormat::I420,
        CLIP_FORMAT_YUYV => PixelFormat::Yuyv,
        CLIP_FORMAT_UYVY => PixelFormat::Uyvy,
        _ => return None,
    })
}
