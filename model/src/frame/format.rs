//! In what form a frame's samples lie in memory.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// In what form a frame's samples lie in memory. Samples have 8 bits unless it is said otherwise; names are those of GStreamer and of FFmpeg,
/// where they agree.
///
/// Where colours have fewer samples than brightness, a colour sample stands for the two columns (and, in 4:2:0, the two rows) that it covers, and is
/// sited in their middle, as in JPEG. Many cameras site it on the left column instead: a shift by a quarter of a colour sample, which is
/// nothing beside the reduction to a model's input. Of an odd size, the last colour sample stands for what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PixelFormat {
    /// Red, green, blue: three bytes a pixel.
    Rgb,
    /// Blue, green, red, as OpenCV has it.
    Bgr,
    /// Red, green, blue and a fourth byte, which is not looked at.
    Rgba,
    /// Blue, green, red and a fourth byte, which is not looked at.
    Bgra,
    /// Red, green and blue, each in a plane of its own.
    #[serde(rename = "rgbp")]
    PlanarRgb,
    /// Brightness alone, from 0, black, to 255, white.
    Gray8,
    /// Brightness in 16 bits of this machine's byte order, as infrared and depth cameras give it. [`super::FrameLayout::levels`] says what is black and white.
    Gray16,
    /// 4:2:0: a plane of Y, and one in which U and V take turns.
    Nv12,
    /// 4:2:0: a plane of Y, and one in which V and U take turns.
    Nv21,
    /// 4:2:0: planes of Y, U and V. Planes of YV12 are given in this order.
    I420,
    /// 4:2:2, one plane: Y U Y V.
    Yuyv,
    /// 4:2:2, one plane: U Y V Y.
    Uyvy,
}

/// Every format with its name.
const NAMES: [(&str, PixelFormat); 12] = [
    ("rgb", PixelFormat::Rgb),
    ("bgr", PixelFormat::Bgr),
    ("rgba", PixelFormat::Rgba),
    ("bgra", PixelFormat::Bgra),
    ("rgbp", PixelFormat::PlanarRgb),
    ("gray8", PixelFormat::Gray8),
    ("gray16", PixelFormat::Gray16),
    ("nv12", PixelFormat::Nv12),
    ("nv21", PixelFormat::Nv21),
    ("i420", PixelFormat::I420),
    ("yuyv", PixelFormat::Yuyv),
    ("uyvy", PixelFormat::Uyvy),
];

impl PixelFormat {
    /// All of them.
    pub fn all() -> impl Iterator<Item = PixelFormat> {
        NAMES.iter().map(|(_, format)| *format)
    }

    /// Its name, such as `nv12`.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }

    /// How many planes it has, 1 to 3.
    pub fn planes(self) -> usize {
        match self {
            PixelFormat::PlanarRgb | PixelFormat::I420 => 3,
            PixelFormat::Nv12 | PixelFormat::Nv21 => 2,
            _ => 1,
        }
    }

    /// Bytes in a row, and rows, of a plane of a frame of `width` by `height` pixels; without what pads rows.
    ///
    /// `None` where a row has more bytes than can be counted, or there is no such plane.
    pub fn plane(self, plane: usize, width: usize, height: usize) -> Option<(usize, usize)> {
        use PixelFormat::*;
        let half = |length: usize| length.div_ceil(2);
        Some(match (self, plane) {
            (Rgb | Bgr, 0) => (width.checked_mul(3)?, height),
            (Rgba | Bgra, 0) => (width.checked_mul(4)?, height),
            (Gray16, 0) => (width.checked_mul(2)?, height),
            (Yuyv | Uyvy, 0) => (half(width).checked_mul(4)?, height),
            (Gray8 | Nv12 | Nv21 | I420 | PlanarRgb, 0) | (PlanarRgb, 1 | 2) => (width, height),
            (Nv12 | Nv21, 1) => (half(width).checked_mul(2)?, half(height)),
            (I420, 1 | 2) => (half(width), half(height)),
            _ => return None,
        })
    }

    /// Whether its samples are brightness and differences of colours, so that [`super::Color`] says which colours they are.
    pub fn is_yuv(self) -> bool {
        use PixelFormat::*;
        matches!(self, Nv12 | Nv21 | I420 | Yuyv | Uyvy)
    }
}

/// Its name.
impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no format has; says which there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {}", NAMES.map(|(name, _)| name).join(", "))]
pub struct UnknownFormat;

impl FromStr for PixelFormat {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<PixelFormat, UnknownFormat> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, format)| *format).ok_or(UnknownFormat)
    }
}
