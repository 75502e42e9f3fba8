//! Planes of bytes, equal to Pillow: weights of 22 bits, and rounding to bytes between the passes.
//!
//! Only the part that the crop keeps is computed, row by row, so a picture of 1 by 4000 pixels needs no strip of
//! 224 by 896,000.

use super::axis::WHAT;
use super::kernel::{Kernel, Rows};
use super::plan::Plan;
use super::taps::{Precision, Taps};
use super::{fill, room};
use crate::error::Result;

/// A plane of pixels of one to four bytes.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Packed<'a> {
    pub(in super::super) bytes: &'a [u8],
    /// Bytes from a row's start to the next.
    pub(in super::super) stride: usize,
    /// Bytes from a pixel to the next.
    pub(in super::super) step: usize,
    /// Which bytes of a pixel are made into rows of the output, in order.
    pub(in super::super) channels: &'a [usize],
    /// Column and row of the picture that `bytes` starts with.
    pub(in super::super) origin: (usize, usize),
}

/// Memory that is kept.
#[derive(Debug, Default)]
pub(super) struct Exact {
    pub(super) columns: Taps,
    pub(super) rows: Taps,
    /// First bytes of the rows of a window.
    starts: Vec<usize>,
    /// A row's samples of one channel.
    line: Vec<i16>,
    /// A row at the source's width, or as many rows of the output's width as a window has.
    between: Vec<u8>,
}

impl Exact {
    /// Makes the weights.
    pub(super) fn prepare(&mut self, plan: &Plan) -> Result<()> {
        self.columns.prepare(plan.columns, Precision::Exact)?;
        self.rows.prepare(plan.rows, Precision::Exact)
    }

    /// Resamples a plane as `plan`, which [`Self::prepare`] knows, says. Each of `out`'s rows, of `pitch` bytes, begins with a row of each channel.
    pub(super) fn resample(
        &mut self,
        kernel: Kernel,
        packed: Packed,
        plan: &Plan,
        pitch: usize,
        out: &mut [u8],
    ) -> Result<()> {
        room(&mut self.line, self.columns.needed().len() + self.columns.width())?;
        fill(WHAT, &mut self.starts, self.rows.longest() + 1)?;
        match plan.rows_first {
            true => self.rows_then_columns(kernel, packed, pitch, out),
            false => self.columns_then_rows(kernel, packed, plan, pitch, out),
        }
    }

    /// Each output row is made at the source's width, then resampled.
    fn rows_then_columns(
        &mut self,
        kernel: Kernel,
        packed: Packed,
        pitch: usize,
        out: &mut [u8],
    ) -> Result<()> {
        let wide = self.columns.needed().len() * packed.step;
        room(&mut self.between, wide)?;
        let between = &mut self.between[..wide];
        for (output, out) in out.chunks_mut(pitch).enumerate() {
            let starts = self.rows.window(output).map(|y| packed.start(self.columns.needed().start, y));
            pairs(&mut self.starts, starts);
            kernel.rows_exact(&Rows::new(packed.bytes, &self.starts, &self.rows, output, wide), between);
            columns(kernel, between, packed, &self.columns, &mut self.line, out);
        }
        Ok(())
    }

    /// Each source row is resampled to the output's width; as many of them as a window has are kept.
    fn columns_then_rows(
        &mut self,
        kernel: Kernel,
        packed: Packed,
        plan: &Plan,
        pitch: usize,
        out: &mut [u8],
    ) -> Result<()> {
        let (narrow, slots) = (self.columns.len() * packed.channels.len(), self.rows.longest());
        room(&mut self.between, narrow * slots)?;
        let needed = self.columns.needed();
        let mut done = 0;
        let count = self.rows.len();
        for turn in 0..count {
            // From top to bottom of the source.
            let output = if plan.rows.mirrored { count - 1 - turn } else { turn };
            let window = self.rows.window(output);
            for y in window.start.max(done)..window.end {
                let row = &packed.bytes[packed.start(needed.start, y)..];
                let row = &row[..row.len().min(needed.len() * packed.step)];
                let slot = &mut self.between[y % slots * narrow..][..narrow];
                columns(kernel, row, packed, &self.columns, &mut self.line, slot);
            }
            done = window.end;
            pairs(&mut self.starts, window.map(|y| y % slots * narrow));
            let rows = Rows::new(&self.between, &self.starts, &self.rows, output, narrow);
            kernel.rows_exact(&rows, &mut out[output * pitch..][..narrow]);
        }
        Ok(())
    }
}

impl Packed<'_> {
    /// Where the pixel at `x` and `y` of the picture starts.
    fn start(&self, x: usize, y: usize) -> usize {
        (y - self.origin.1) * self.stride + (x - self.origin.0) * self.step
    }
}

/// Resamples a row of pixels, the first needed one first, to a row of each channel.
fn columns(kernel: Kernel, row: &[u8], packed: Packed, taps: &Taps, line: &mut [i16], out: &mut [u8]) {
    let samples = taps.needed().len();
    for (&channel, out) in packed.channels.iter().zip(out.chunks_exact_mut(taps.len())) {
        kernel.widen(row, packed.step, channel, &mut line[..samples]);
        kernel.line_exact(line, taps, out);
    }
}

/// Puts starts into `kept`, the last one twice if they are odd: the weight that meets it is 0.
pub(super) fn pairs(kept: &mut Vec<usize>, starts: impl Iterator<Item = usize>) {
    kept.clear();
    kept.extend(starts);
    if !kept.len().is_multiple_of(2) {
        kept.push(kept[kept.len() - 1]);
    }
}
