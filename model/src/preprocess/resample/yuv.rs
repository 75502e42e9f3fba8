//! Planes of brightness and of colour differences: each is resampled from its own samples, and what comes out is made into colours. Both are linear, so that the
//! order does not matter but for what rounding and cutting at full size would lose.

use super::axis::WHAT;
use super::exact::pairs;
use super::kernel::{Colours, Kernel, Rows};
use super::plan::Plan;
use super::taps::{Precision, Taps};
use super::{fill, room};
use crate::error::Result;
use crate::frame::{Frame, PixelFormat};

/// Samples of one kind in a plane.
#[derive(Debug, Clone, Copy)]
struct Channel {
    /// Place in Y, U, V.
    kind: usize,
    /// Bytes from a sample to the next.
    step: usize,
    /// The first sample's byte.
    offset: usize,
    /// Whether there is one for two columns.
    halved: bool,
}

/// One plane of a format: whether it has a row for two of the picture, and what lies in it.
type Plane = (bool, &'static [Channel]);

/// A channel.
const fn of(kind: usize, step: usize, offset: usize, halved: bool) -> Channel {
    Channel { kind, step, offset, halved }
}

const LUMA: Plane = (false, &[of(0, 1, 0, false)]);
const NV12: &[Plane] = &[LUMA, (true, &[of(1, 2, 0, true), of(2, 2, 1, true)])];
const NV21: &[Plane] = &[LUMA, (true, &[of(1, 2, 1, true), of(2, 2, 0, true)])];
const I420: &[Plane] = &[LUMA, (true, &[of(1, 1, 0, true)]), (true, &[of(2, 1, 0, true)])];
const YUYV: &[Plane] = &[(false, &[of(0, 2, 0, false), of(1, 4, 1, true), of(2, 4, 3, true)])];
const UYVY: &[Plane] = &[(false, &[of(0, 2, 1, false), of(1, 4, 0, true), of(2, 4, 2, true)])];

/// The planes of a YUV format; none of others.
fn planes(format: PixelFormat) -> &'static [Plane] {
    match format {
        PixelFormat::Nv12 => NV12,
        PixelFormat::Nv21 => NV21,
        PixelFormat::I420 => I420,
        PixelFormat::Yuyv => YUYV,
        PixelFormat::Uyvy => UYVY,
        _ => &[],
    }
}

/// Memory that is kept.
#[derive(Debug, Default)]
pub(super) struct Yuv {
    /// Weights for a sample of each pixel and for one of two.
    columns: [Taps; 2],
    rows: [Taps; 2],
    /// First bytes of the rows of a window.
    starts: Vec<usize>,
    /// A plane's row at its own width.
    wide: Vec<i16>,
    /// A row's samples of one kind.
    line: Vec<i16>,
    /// An output row of each kind.
    parts: Vec<i16>,
}

impl Yuv {
    /// Resamples a frame of a YUV format as `plan` says; each of `out`'s rows is one of red, one of green and one of blue.
    pub(super) fn resample(
        &mut self,
        kernel: Kernel,
        frame: &Frame,
        plan: &Plan,
        out: &mut [u8],
    ) -> Result<()> {
        for (taps, axis) in [(&mut self.columns, plan.columns), (&mut self.rows, plan.rows)] {
            taps[0].prepare(axis, Precision::Fine)?;
            taps[1].prepare(axis.grouped(2), Precision::Fine)?;
        }
        let Yuv { columns, rows, starts, wide, line, parts } = self;
        let pad = columns[0].width().max(columns[1].width());
        // A sample takes at most four bytes, so that no format has more bytes in a row.
        let samples = columns[0].needed().len().max(2 * columns[1].needed().len());
        room(wide, 2 * samples + pad)?;
        room(line, samples + pad)?;
        fill(WHAT, starts, rows[0].longest() + 1)?;
        let size = columns[0].len();
        room(parts, 3 * size)?;
        let colours = Colours::new(&frame.layout().color.to_rgb());
        for (output, out) in out.chunks_exact_mut(3 * size).enumerate() {
            for (plane, (fewer_rows, channels)) in planes(frame.layout().format).iter().enumerate() {
                let rows = &rows[usize::from(*fewer_rows)];
                // The bytes of this plane's row that are needed: the coarsest channel's cover the others'.
                let coarsest = channels[channels.len() - 1];
                let needed = columns[usize::from(coarsest.halved)].needed();
                let (first, length) = (needed.start * coarsest.step, needed.len() * coarsest.step);
                let (bytes, stride) = (frame.plane(plane), frame.layout().strides[plane]);
                pairs(starts, rows.window(output).map(|y| y * stride + first));
                kernel.rows_fine(&Rows::new(bytes, starts, rows, output, length), &mut wide[..length]);
                for channel in *channels {
                    let taps = &columns[usize::from(channel.halved)];
                    let out = &mut parts[channel.kind * size..][..size];
                    if channel.step == 1 {
                        kernel.line_fine(wide, taps, out);
                        continue;
                    }
                    let before = taps.needed().start * channel.step - first;
                    let samples = &mut line[..taps.needed().len()];
                    kernel.pick(&wide[before..length], channel.step, channel.offset, samples);
                    kernel.line_fine(line, taps, out);
                }
            }
            let (y, uv) = parts[..3 * size].split_at(size);
            let (u, v) = uv.split_at(size);
            kernel.colours([y, u, v], &colours, out);
        }
        Ok(())
    }
}
