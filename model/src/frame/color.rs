//! Which colours the samples of a YUV frame are.

use serde::{Deserialize, Serialize};

/// The weights of red, green and blue in brightness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColorMatrix {
    /// ITU-R BT.601: standard definition, JPEG, most webcams.
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
    /// ITU-R BT.2020 with non-constant luminance: ultra-high definition.
    Bt2020,
}

/// Which numbers black and white have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColorRange {
    /// Y from 16 to 235, U and V from 16 to 240.
    Limited,
    /// All from 0 to 255, as in JPEG.
    Full,
}

/// Which colours the samples of a YUV frame are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Color {
    /// The weights of red, green and blue in brightness.
    pub matrix: ColorMatrix,
    /// Which numbers black and white have.
    pub range: ColorRange,
}

/// A linear map from Y, U, V (0 to 255) to red, green, blue (0 to 255, before they are cut to that).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ToRgb {
    /// Subtracted from Y, U, V.
    pub offset: [f64; 3],
    /// Rows for red, green, blue; columns for Y, U, V.
    pub matrix: [[f64; 3]; 3],
}

impl Color {
    /// What is taken for granted of frames that do not say it, as GStreamer does: BT.601 of up to 576 rows, else BT.709; limited range.
    pub fn assumed(height: usize) -> Color {
        let matrix = if height <= 576 { ColorMatrix::Bt601 } else { ColorMatrix::Bt709 };
        Color { matrix, range: ColorRange::Limited }
    }

    /// The map to red, green and blue: ITU-T H.273, equations 38 to 43 solved for them.
    pub fn to_rgb(self) -> ToRgb {
        let (red, blue) = match self.matrix {
            ColorMatrix::Bt601 => (0.299, 0.114),
            ColorMatrix::Bt709 => (0.2126, 0.0722),
            ColorMatrix::Bt2020 => (0.2627, 0.0593),
        };
        let green = 1.0 - red - blue;
        let (black, luma, chroma) = match self.range {
            ColorRange::Limited => (16.0, 255.0 / 219.0, 255.0 / 224.0),
            ColorRange::Full => (0.0, 1.0, 1.0),
        };
        let (u, v) = (2.0 * (1.0 - blue) * chroma, 2.0 * (1.0 - red) * chroma);
        ToRgb {
            offset: [black, 128.0, 128.0],
            matrix: [[luma, 0.0, v], [luma, -u * blue / green, -v * red / green], [luma, u, 0.0]],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The coefficients as they are usually printed.
    #[test]
    fn the_maps_are_the_published_ones() {
        let map = |matrix, range| Color { matrix, range }.to_rgb();
        let close = |found: ToRgb, expected: [[f64; 3]; 3]| {
            for (found, expected) in found.matrix.iter().flatten().zip(expected.iter().flatten()) {
                assert!((found - expected).abs() < 6e-4, "{found} {expected}");
            }
        };
        use ColorMatrix::*;
        let limited = map(Bt601, ColorRange::Limited);
        assert_eq!(limited.offset, [16.0, 128.0, 128.0]);
        close(limited, [[1.1644, 0.0, 1.5960], [1.1644, -0.3918, -0.8130], [1.1644, 2.0172, 0.0]]);
        let full = map(Bt601, ColorRange::Full);
        assert_eq!(full.offset, [0.0, 128.0, 128.0]);
        close(full, [[1.0, 0.0, 1.402], [1.0, -0.3441, -0.7141], [1.0, 1.772, 0.0]]);
        close(
            map(Bt709, ColorRange::Limited),
            [[1.1644, 0.0, 1.7927], [1.1644, -0.2132, -0.5329], [1.1644, 2.1124, 0.0]],
        );
        close(
            map(Bt2020, ColorRange::Full),
            [[1.0, 0.0, 1.4746], [1.0, -0.1646, -0.5714], [1.0, 1.8814, 0.0]],
        );
    }
}
