//! Pillow's antialiased resampling after torchvision's arithmetic on sizes, of pictures and frames as they lie in memory.

mod axis;
mod exact;
mod kernel;
mod plan;
mod taps;
mod yuv;

use axis::WHAT;
use exact::Exact;
pub(super) use exact::Packed;
use kernel::Kernel;
use plan::Plan;
use yuv::Yuv;

use super::jpeg::Reduced;
use super::levels::Levels;
use super::weights::Target;
use crate::error::Result;
use crate::frame::{Frame, PixelFormat, Rect};
use crate::memory;
use crate::orientation::Orientation;

/// Memory that is kept from picture to picture.
#[derive(Debug, Default)]
pub(super) struct Resampler {
    exact: Exact,
    yuv: Yuv,
    /// What is needed of a frame of 16 bits, in 8.
    gray: Vec<u8>,
    /// The result, see [`Fitted`].
    pixels: Vec<u8>,
}

/// A picture of the model's size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fitted<'a> {
    /// Rows of which each is one of red, one of green and one of blue; or one of grey.
    pub(super) pixels: &'a [u8],
    /// Samples in a row of one colour.
    pub(super) size: usize,
    /// 3, or 1 for grey.
    pub(super) channels: usize,
    /// Whether rows and columns are still to change places.
    pub(super) transposed: bool,
}

impl Resampler {
    /// A picture of packed RGB, `width` by `height` pixels.
    pub(super) fn picture(
        &mut self,
        rgb: &[u8],
        width: usize,
        height: usize,
        to: Target,
    ) -> Result<Fitted<'_>> {
        let plan = Plan::new(Rect { left: 0, top: 0, width, height }, Orientation::Normal, to);
        let packed = Packed { bytes: rgb, stride: 3 * width, step: 3, channels: &[0, 1, 2], origin: (0, 0) };
        self.exact(&[packed], &plan, to.size, false)
    }

    /// A JPEG that was decoded at a part of its size, turned; as if each of its pixels were the square that it stands for.
    pub(super) fn reduced(
        &mut self,
        reduced: &Reduced,
        orientation: Orientation,
        to: Target,
    ) -> Result<Fitted<'_>> {
        let (width, height) = reduced.size;
        let whole = Plan::new(Rect { left: 0, top: 0, width, height }, orientation, to);
        let (columns, rows) = (whole.columns.grouped(reduced.part), whole.rows.grouped(reduced.part));
        let plan = Plan { columns, rows, ..whole };
        let (bytes, step, stride) = reduced.raster.parts();
        let packed = Packed { bytes, stride, step, channels: &[0, 1, 2][..step.min(3)], origin: (0, 0) };
        self.exact(&[packed], &plan, to.size, orientation.swaps_sides())
    }

    /// What counts of a frame, turned as it says.
    pub(super) fn frame(&mut self, frame: &Frame, to: Target) -> Result<Fitted<'_>> {
        let orientation = frame.view().orientation;
        let plan = Plan::new(frame.part(), orientation, to);
        let transposed = orientation.swaps_sides();
        let format = frame.layout().format;
        if format.is_yuv() {
            let pixels = room(&mut self.pixels, 3 * to.size * to.size)?;
            self.yuv.resample(Kernel::best(), frame, &plan, pixels)?;
            return Ok(Fitted { pixels, size: to.size, channels: 3, transposed });
        }
        let of = |plane: usize, step, channels| Packed {
            bytes: frame.plane(plane),
            stride: frame.layout().strides[plane],
            step,
            channels,
            origin: (0, 0),
        };
        match format {
            PixelFormat::Rgb => self.exact(&[of(0, 3, &[0, 1, 2])], &plan, to.size, transposed),
            PixelFormat::Bgr => self.exact(&[of(0, 3, &[2, 1, 0])], &plan, to.size, transposed),
            PixelFormat::Rgba => self.exact(&[of(0, 4, &[0, 1, 2])], &plan, to.size, transposed),
            PixelFormat::Bgra => self.exact(&[of(0, 4, &[2, 1, 0])], &plan, to.size, transposed),
            PixelFormat::PlanarRgb => {
                self.exact(&[of(0, 1, &[0]), of(1, 1, &[0]), of(2, 1, &[0])], &plan, to.size, transposed)
            }
            PixelFormat::Gray16 => self.gray16(frame, &plan, to.size, transposed),
            _ => self.exact(&[of(0, 1, &[0])], &plan, to.size, transposed),
        }
    }

    /// Planes of bytes.
    fn exact(&mut self, planes: &[Packed], plan: &Plan, size: usize, transposed: bool) -> Result<Fitted<'_>> {
        self.exact.prepare(plan)?;
        let channels: usize = planes.iter().map(|packed| packed.channels.len()).sum();
        let pitch = channels * size;
        let pixels = room(&mut self.pixels, pitch * size)?;
        let mut before = 0;
        for packed in planes {
            self.exact.resample(Kernel::best(), *packed, plan, pitch, &mut pixels[before..])?;
            before += packed.channels.len() * size;
        }
        Ok(Fitted { pixels, size, channels, transposed })
    }

    /// Grey of 16 bits is cut to its levels before it is resampled, which is not linear.
    fn gray16(&mut self, frame: &Frame, plan: &Plan, size: usize, transposed: bool) -> Result<Fitted<'_>> {
        self.exact.prepare(plan)?;
        let (columns, rows) = (self.exact.columns.needed(), self.exact.rows.needed());
        let (bytes, stride) = (frame.plane(0), frame.layout().strides[0]);
        let levels = Levels::new(frame.layout().levels);
        let mut gray = std::mem::take(&mut self.gray);
        let cut = room(&mut gray, columns.len() * rows.len())?;
        for (y, out) in rows.clone().zip(cut.chunks_exact_mut(columns.len())) {
            Kernel::best().cut(levels, &bytes[y * stride + 2 * columns.start..], out);
        }
        let origin = (columns.start, rows.start);
        let packed = Packed { bytes: cut, stride: columns.len(), step: 1, channels: &[0], origin };
        let done = self.exact(&[packed], plan, size, transposed).map(drop);
        self.gray = gray;
        done.map(|()| Fitted { pixels: &self.pixels[..size * size], size, channels: 1, transposed })
    }
}

/// The first `length` elements, after making sure that there are so many.
fn room<T: Clone + Default>(kept: &mut Vec<T>, length: usize) -> Result<&mut [T]> {
    if kept.len() < length {
        memory::reserve(WHAT, kept, length - kept.len())?;
        kept.resize(length, T::default());
    }
    Ok(&mut kept[..length])
}

/// Makes sure that `length` elements can be pushed after clearing.
fn fill<T>(what: &str, kept: &mut Vec<T>, length: usize) -> Result<()> {
    kept.clear();
    memory::reserve(what, kept, length)
}
