//! What a buffer holds, as libclip has it.

use clip_model::frame::{Color, ColorMatrix, ColorRange, FrameLayout, PixelFormat};
use clip_runtime::frame_memory::{FrameMemory, SurfaceFrame};
use clip_runtime::{Clip, Frame};
use gstreamer::{BufferRef, CapsFeatures, CapsRef};
use gstreamer_video::prelude::*;
use gstreamer_video::{VideoColorMatrix, VideoColorRange, VideoFormat, VideoFrameRef, VideoInfo};

use crate::error::Error;

/// Memory of NVIDIA's elements: a buffer holds an `NvBufSurface`.
pub const NVMM: &str = "memory:NVMM";

/// A format of GStreamer's, as which format of ours its planes are given, and in which order.
const FORMATS: [(VideoFormat, PixelFormat, &[u32]); 17] = [
    (VideoFormat::Nv12, PixelFormat::Nv12, &[0, 1]),
    (VideoFormat::I420, PixelFormat::I420, &[0, 1, 2]),
    (VideoFormat::Yv12, PixelFormat::I420, &[0, 2, 1]),
    (VideoFormat::Nv21, PixelFormat::Nv21, &[0, 1]),
    (VideoFormat::Yuy2, PixelFormat::Yuyv, &[0]),
    (VideoFormat::Uyvy, PixelFormat::Uyvy, &[0]),
    (VideoFormat::Rgb, PixelFormat::Rgb, &[0]),
    (VideoFormat::Bgr, PixelFormat::Bgr, &[0]),
    (VideoFormat::Rgba, PixelFormat::Rgba, &[0]),
    (VideoFormat::Rgbx, PixelFormat::Rgba, &[0]),
    (VideoFormat::Bgra, PixelFormat::Bgra, &[0]),
    (VideoFormat::Bgrx, PixelFormat::Bgra, &[0]),
    (VideoFormat::Gbr, PixelFormat::PlanarRgb, &[2, 0, 1]),
    (VideoFormat::Rgbp, PixelFormat::PlanarRgb, &[0, 1, 2]),
    (VideoFormat::Gray8, PixelFormat::Gray8, &[0]),
    (VideoFormat::Gray16Le, PixelFormat::Gray16, &[0]),
    (VideoFormat::Gray16Be, PixelFormat::Gray16, &[0]),
];

/// The formats that are taken: 16 bits in this machine's order alone.
fn formats() -> impl Iterator<Item = &'static (VideoFormat, PixelFormat, &'static [u32])> {
    let foreign = if cfg!(target_endian = "little") { VideoFormat::Gray16Be } else { VideoFormat::Gray16Le };
    FORMATS.iter().filter(move |(format, ..)| *format != foreign)
}

/// What the pads take.
pub fn caps() -> gstreamer::Caps {
    let formats = formats().map(|(format, ..)| *format);
    let host = gstreamer_video::VideoCapsBuilder::new().format_list(formats).build();
    let surfaces =
        [VideoFormat::Nv12, VideoFormat::I420, VideoFormat::Rgba, VideoFormat::Bgrx, VideoFormat::Gray8];
    let surfaces = gstreamer_video::VideoCapsBuilder::new().features([NVMM]).format_list(surfaces).build();
    let mut caps = host;
    caps.merge(surfaces);
    caps
}

/// What a stream's buffers are.
#[derive(Debug, Clone)]
pub struct Format {
    info: VideoInfo,
    layout: FrameLayout,
    planes: &'static [u32],
    in_surfaces: bool,
}

impl Format {
    /// Of negotiated caps.
    pub fn new(caps: &CapsRef) -> Result<Format, Error> {
        let unknown = || Error::Picture(format!("libclip does not know pictures of {caps:?}"));
        let info = VideoInfo::from_caps(caps).map_err(|_| unknown())?;
        let (_, format, planes) =
            formats().find(|(format, ..)| *format == info.format()).ok_or_else(unknown)?;
        let (width, height) = (info.width() as usize, info.height() as usize);
        let layout = FrameLayout::new(*format, width, height)?;
        let color = color(&info, layout.color)?;
        let nvmm = CapsFeatures::new([NVMM]);
        let in_surfaces = caps.features(0).is_some_and(|features| features.is_equal(&nvmm));
        Ok(Format { layout: FrameLayout { color, ..layout }, planes, in_surfaces, info })
    }

    /// Width and height, pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.layout.width, self.layout.height)
    }

    /// Calls `work` with the picture of a buffer, which stays where it is.
    pub fn with_frame<T>(
        &self,
        buffer: &BufferRef,
        clip: &Clip,
        work: impl FnOnce(&Frame<'_>) -> clip_runtime::Result<T>,
    ) -> Result<T, Error> {
        let unreadable = || Error::Picture("the buffer cannot be read by the processor".to_owned());
        if self.in_surfaces {
            let map = buffer.map_readable().map_err(|_| unreadable())?;
            let surface = map.as_ptr().cast_mut().cast();
            // SAFETY: the caps say that the buffer's memory is an NvBufSurface, and it is mapped until this returns.
            let frame = unsafe { SurfaceFrame::new(surface, 0) };
            let layout = frame.with_strides(self.layout)?;
            let done =
                clip.mapper().with_host(&FrameMemory::Surface(frame), layout, Default::default(), work);
            // The pool may free the surface whenever it has the buffer back.
            clip.mapper().forget_surface(surface);
            return Ok(done?);
        }
        let frame = VideoFrameRef::from_buffer_ref_readable(buffer, &self.info).map_err(|_| unreadable())?;
        let mut layout = self.layout;
        let mut slices: [&[u8]; 3] = [&[]; 3];
        for (at, &plane) in self.planes.iter().enumerate() {
            slices[at] = frame.plane_data(plane).map_err(|_| unreadable())?;
            let stride = frame.plane_stride()[plane as usize];
            let negative =
                || Error::Picture(format!("plane {plane} has rows in the opposite order ({stride} bytes)"));
            layout.strides[at] = usize::try_from(stride).map_err(|_| negative())?;
        }
        Ok(work(&Frame::new(layout, &slices[..self.planes.len()])?)?)
    }
}

/// Which colours the samples are. What caps do not say is as GStreamer assumes it.
fn color(info: &VideoInfo, assumed: Color) -> Result<Color, Error> {
    if !info.is_yuv() {
        return Ok(assumed);
    }
    let colorimetry = info.colorimetry();
    let matrix = match colorimetry.matrix() {
        VideoColorMatrix::Bt601 => ColorMatrix::Bt601,
        VideoColorMatrix::Bt709 => ColorMatrix::Bt709,
        VideoColorMatrix::Bt2020 => ColorMatrix::Bt2020,
        VideoColorMatrix::Unknown => assumed.matrix,
        other => {
            let reason = format!(
                "libclip does not know the colour matrix {other:?}; put videoconvert ! video/x-raw,colorimetry=bt709 before"
            );
            return Err(Error::Picture(reason));
        }
    };
    let range = match colorimetry.range() {
        VideoColorRange::Range0_255 => ColorRange::Full,
        _ => ColorRange::Limited,
    };
    Ok(Color { matrix, range })
}
