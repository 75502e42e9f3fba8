//! What a frame is, in whatever memory it lies.

use serde::{Deserialize, Serialize};

use super::{Color, PixelFormat};
use crate::error::{Error, Result};

/// Largest width and height, pixels.
pub const MAX_SIDE: usize = 1 << 16;

/// What a frame is, in whatever memory it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameLayout {
    /// In what form its samples lie.
    pub format: PixelFormat,
    /// Width, pixels.
    pub width: usize,
    /// Height, pixels.
    pub height: usize,
    /// Bytes from the start of a row to that of the next, for each plane; those of planes that the format does not have are not looked at.
    pub strides: [usize; 3],
    /// Which colours a YUV format's samples are.
    pub color: Color,
    /// Of [`PixelFormat::Gray16`], what becomes black and what white; between them brightness grows evenly, beyond them it does not. Black
    /// may be the larger one, which inverts the picture.
    pub levels: (u16, u16),
}

impl FrameLayout {
    /// Rows without padding, the assumed colours, and all levels.
    ///
    /// # Errors
    /// As [`FrameLayout::check`].
    pub fn new(format: PixelFormat, width: usize, height: usize) -> Result<FrameLayout> {
        let row = |plane| format.plane(plane, width, height).map_or(0, |(bytes, _)| bytes);
        let strides = [row(0), row(1), row(2)];
        let layout = FrameLayout {
            format,
            width,
            height,
            strides,
            color: Color::assumed(height),
            levels: (0, u16::MAX),
        };
        layout.check()?;
        Ok(layout)
    }

    /// Checks that the sizes make sense.
    ///
    /// # Errors
    /// [`Error::Size`] for an empty frame, one of more than [`MAX_SIDE`] pixels along a side, a stride that is shorter than a row, or levels that
    /// are one.
    pub fn check(&self) -> Result<()> {
        let FrameLayout { format, width, height, strides, levels, .. } = *self;
        let sides = 1..=MAX_SIDE;
        if !sides.contains(&width) || !sides.contains(&height) {
            return Err(Error::Size(format!(
                "the frame is {width}x{height} pixels, expected 1 to {MAX_SIDE} along each side"
            )));
        }
        for (plane, stride) in strides.into_iter().enumerate().take(format.planes()) {
            let (row, rows) = format.plane(plane, width, height).unwrap_or_default();
            if stride < row {
                return Err(Error::Size(format!(
                    "the stride of plane {plane} is {stride} bytes, a row of {width} pixels of {format} has {row}"
                )));
            }
            if stride.checked_mul(rows).is_none_or(|bytes| bytes > isize::MAX as usize) {
                return Err(Error::Size(format!(
                    "the stride of plane {plane} is {stride} bytes: {rows} rows fit no memory"
                )));
            }
        }
        if format == PixelFormat::Gray16 && levels.0 == levels.1 {
            return Err(Error::Size(format!("black and white are both {}, expected two levels", levels.0)));
        }
        Ok(())
    }

    /// Bytes that a plane has at least: the last row may end without padding.
    pub fn bytes(&self, plane: usize) -> usize {
        let (row, rows) = self.format.plane(plane, self.width, self.height).unwrap_or_default();
        if rows == 0 { 0 } else { (rows - 1) * self.strides[plane] + row }
    }
}
