//! A camera's picture as it is delivered: planes of samples in any of the common formats, borrowed and never copied, with a part that
//! counts and a way to turn it.
//!
//! [`crate::Preprocess::fit_frame`] makes of it what a model takes.

mod color;
mod format;
mod layout;

pub use color::{Color, ColorMatrix, ColorRange, ToRgb};
pub use format::{PixelFormat, UnknownFormat};
pub use layout::{FrameLayout, MAX_SIDE};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::orientation::Orientation;

/// A rectangle in a frame, pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rect {
    /// Columns to the left of it.
    pub left: usize,
    /// Rows above it.
    pub top: usize,
    /// Its width, at least 1.
    pub width: usize,
    /// Its height, at least 1.
    pub height: usize,
}

/// Which part of a frame counts, and how that is turned to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// The part, in the frame as it lies in memory; all of it where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<Rect>,
    /// How the part is turned. A camera whose picture has to be turned clockwise by a quarter to stand upright is [`Orientation::TurnedRight`].
    pub orientation: Orientation,
}

/// A frame in this program's memory.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    layout: FrameLayout,
    planes: [&'a [u8]; 3],
    view: View,
}

impl<'a> Frame<'a> {
    /// A frame in `planes`, one slice for each plane of the format. What lies behind a plane's last row is not looked at.
    ///
    /// # Errors
    /// [`Error::Size`] where [`FrameLayout::check`] says so, or there are too few planes or bytes.
    pub fn new(layout: FrameLayout, planes: &[&'a [u8]]) -> Result<Frame<'a>> {
        layout.check()?;
        let expected = layout.format.planes();
        if planes.len() != expected {
            return Err(Error::Size(format!(
                "a frame of {} has {expected} planes, {} were given",
                layout.format,
                planes.len()
            )));
        }
        let mut kept: [&[u8]; 3] = [&[]; 3];
        for (plane, bytes) in planes.iter().enumerate() {
            let needed = layout.bytes(plane);
            if bytes.len() < needed {
                return Err(Error::Size(format!(
                    "plane {plane} has {} bytes, {}x{} pixels of {} with a stride of {} need {needed}",
                    bytes.len(),
                    layout.width,
                    layout.height,
                    layout.format,
                    layout.strides[plane]
                )));
            }
            kept[plane] = bytes;
        }
        Ok(Frame { layout, planes: kept, view: View::default() })
    }

    /// The frame seen so.
    ///
    /// # Errors
    /// [`Error::Size`] for a crop that is empty or reaches beyond the frame.
    pub fn seen(self, view: View) -> Result<Frame<'a>> {
        view.check(&self.layout)?;
        Ok(Frame { view, ..self })
    }

    /// What it is.
    pub fn layout(&self) -> &FrameLayout {
        &self.layout
    }

    /// How it is seen.
    pub fn view(&self) -> View {
        self.view
    }

    /// The part that counts, in the frame as it lies in memory.
    pub fn part(&self) -> Rect {
        self.view.part(&self.layout)
    }

    /// A plane's bytes; none for a plane that the format does not have.
    pub fn plane(&self, plane: usize) -> &'a [u8] {
        self.planes.get(plane).copied().unwrap_or_default()
    }
}

impl View {
    /// The part of a frame that counts.
    pub fn part(&self, layout: &FrameLayout) -> Rect {
        self.crop.unwrap_or(Rect { left: 0, top: 0, width: layout.width, height: layout.height })
    }

    /// Checks that the part lies in the frame.
    ///
    /// # Errors
    /// [`Error::Size`] when it does not, or is empty.
    pub fn check(&self, layout: &FrameLayout) -> Result<()> {
        let Rect { left, top, width, height } = self.part(layout);
        let inside = |start: usize, length: usize, whole| {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= whole)
        };
        if !inside(left, width, layout.width) || !inside(top, height, layout.height) {
            return Err(Error::Size(format!(
                "the crop of {width}x{height} pixels at ({left}, {top}) does not lie in a frame of {}x{}",
                layout.width, layout.height
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn every_format_has_a_name_and_its_planes() {
        for format in PixelFormat::all() {
            assert_eq!(format.name().parse(), Ok(format));
            for (width, height) in [(1, 1), (5, 3), (640, 480)] {
                let layout = FrameLayout::new(format, width, height).unwrap();
                let planes: Vec<Vec<u8>> = (0..format.planes()).map(|p| vec![0; layout.bytes(p)]).collect();
                let borrowed: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
                Frame::new(layout, &borrowed).unwrap();
                assert_eq!(format.plane(format.planes(), width, height), None);
                // One byte less is too few, of each plane.
                for short in 0..planes.len() {
                    let mut borrowed = borrowed.clone();
                    borrowed[short] = &borrowed[short][1..];
                    let found = said(Frame::new(layout, &borrowed));
                    assert!(found.starts_with(&format!("plane {short} has")), "{found}");
                }
                assert!(said(Frame::new(layout, &borrowed[1..])).contains("planes, "));
            }
        }
        assert_eq!(
            "rgb24".parse::<PixelFormat>().unwrap_err().to_string(),
            "expected one of rgb, bgr, rgba, bgra, rgbp, gray8, gray16, nv12, nv21, i420, yuyv, uyvy"
        );
    }

    #[test]
    fn odd_sizes_have_a_colour_sample_for_what_is_left() {
        assert_eq!(PixelFormat::Nv12.plane(1, 5, 3), Some((6, 2)));
        assert_eq!(PixelFormat::I420.plane(2, 5, 3), Some((3, 2)));
        assert_eq!(PixelFormat::Yuyv.plane(0, 5, 3), Some((12, 3)));
    }

    #[test]
    fn sizes_that_make_no_sense_are_refused() {
        assert!(said(FrameLayout::new(PixelFormat::Rgb, 0, 4)).contains("0x4 pixels, expected 1 to 65536"));
        assert!(said(FrameLayout::new(PixelFormat::Rgb, 4, 65537)).contains("4x65537"));
        let good = FrameLayout::new(PixelFormat::Nv12, 6, 4).unwrap();
        let short = FrameLayout { strides: [6, 5, 0], ..good };
        assert_eq!(said(short.check()), "the stride of plane 1 is 5 bytes, a row of 6 pixels of nv12 has 6");
        let long = FrameLayout { strides: [usize::MAX / 2, 6, 0], ..good };
        assert!(said(long.check()).contains("4 rows fit no memory"));
        let gray = FrameLayout::new(PixelFormat::Gray16, 6, 4).unwrap();
        let flat = FrameLayout { levels: (9, 9), ..gray };
        assert_eq!(said(flat.check()), "black and white are both 9, expected two levels");
    }

    #[test]
    fn a_crop_lies_in_the_frame() {
        let layout = FrameLayout::new(PixelFormat::Gray8, 6, 4).unwrap();
        let bytes = [0; 24];
        let frame = Frame::new(layout, &[&bytes]).unwrap();
        let seen = |left, top, width, height| {
            frame.seen(View { crop: Some(Rect { left, top, width, height }), ..View::default() })
        };
        assert_eq!(seen(5, 3, 1, 1).unwrap().part(), Rect { left: 5, top: 3, width: 1, height: 1 });
        for (left, top, width, height) in
            [(6, 0, 1, 1), (0, 0, 7, 1), (0, 0, 0, 1), (0, 3, 1, 2), (usize::MAX, 0, 2, 1)]
        {
            assert!(said(seen(left, top, width, height)).contains("does not lie in a frame of 6x4"));
        }
    }
}
