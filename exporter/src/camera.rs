//! The camera that a model is exported for.

use clip_model::frame::{FrameLayout, PixelFormat, View};
use clip_model::orientation::Orientation;

/// A camera whose frames an image tower is exported for: all of one size, in one format, seen in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Camera {
    /// What its frames are.
    pub layout: FrameLayout,
    /// How they are seen.
    pub view: View,
}

/// Samples of a frame that are resized alike.
#[derive(Debug)]
pub struct Group {
    /// The plane of each kind of sample, and the byte of its first one.
    pub first: Vec<(usize, usize)>,
    /// Bytes from one sample to the next of its kind.
    pub step: usize,
    /// Columns and rows of pixels that a sample stands for.
    pub pixels: [usize; 2],
}

impl Camera {
    /// Names of the inputs, one for each plane.
    pub fn inputs(&self) -> &'static [&'static str] {
        use PixelFormat::*;
        match self.layout.format {
            Rgb => &["rgb"],
            Bgr => &["bgr"],
            Rgba => &["rgba"],
            Bgra => &["bgra"],
            PlanarRgb => &["red", "green", "blue"],
            Gray8 | Gray16 => &["gray"],
            Nv12 => &["y", "uv"],
            Nv21 => &["y", "vu"],
            I420 => &["y", "u", "v"],
            Yuyv => &["yuyv"],
            Uyvy => &["uyvy"],
        }
    }

    /// The samples, in the order red, green, blue or Y, U, V; of [`PixelFormat::Gray16`], the low bytes.
    pub fn groups(&self) -> Vec<Group> {
        use PixelFormat::*;
        let group = |first: &[(usize, usize)], step, pixels| Group { first: first.to_vec(), step, pixels };
        let (whole, half) = ([1, 1], [2, 2]);
        match self.layout.format {
            Rgb => vec![group(&[(0, 0), (0, 1), (0, 2)], 3, whole)],
            Bgr => vec![group(&[(0, 2), (0, 1), (0, 0)], 3, whole)],
            Rgba => vec![group(&[(0, 0), (0, 1), (0, 2)], 4, whole)],
            Bgra => vec![group(&[(0, 2), (0, 1), (0, 0)], 4, whole)],
            PlanarRgb => vec![group(&[(0, 0), (1, 0), (2, 0)], 1, whole)],
            Gray8 => vec![group(&[(0, 0)], 1, whole)],
            Gray16 => vec![group(&[(0, 0)], 2, whole)],
            Nv12 => vec![group(&[(0, 0)], 1, whole), group(&[(1, 0), (1, 1)], 2, half)],
            Nv21 => vec![group(&[(0, 0)], 1, whole), group(&[(1, 1), (1, 0)], 2, half)],
            I420 => vec![group(&[(0, 0)], 1, whole), group(&[(1, 0), (2, 0)], 1, half)],
            Yuyv => vec![group(&[(0, 0)], 2, whole), group(&[(0, 1), (0, 3)], 4, [2, 1])],
            Uyvy => vec![group(&[(0, 1)], 2, whole), group(&[(0, 0), (0, 2)], 4, [2, 1])],
        }
    }

    /// Whether the frame's columns, and whether its rows, come in the opposite order when it is seen.
    pub fn reversed(&self) -> [bool; 2] {
        use Orientation::*;
        match self.view.orientation {
            Normal | Transposed => [false, false],
            MirroredSideways | TurnedLeft => [true, false],
            MirroredUpDown | TurnedRight => [false, true],
            UpsideDown | Transversed => [true, true],
        }
    }
}
