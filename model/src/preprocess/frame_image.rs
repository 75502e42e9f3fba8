//! A frame as packed RGB at its full size: what the fast way to a model's input is compared with, and what a program shows or keeps.

use super::Image;
use super::levels::Levels;
use crate::error::Result;
use crate::frame::{Frame, PixelFormat};
use crate::memory;
use crate::orientation::Orientation;

impl Frame<'_> {
    /// The part that counts, turned to be looked at, in RGB. Each colour sample is repeated over the pixels that it stands for; numbers are rounded
    /// to nearest.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] where there is none for it.
    pub fn to_image(&self) -> Result<Image> {
        let part = self.part();
        let mut rgb = memory::with_capacity("a frame as RGB", 3 * part.width * part.height)?;
        let orientation = self.view().orientation;
        let (width, height) = match orientation.swaps_sides() {
            true => (part.height, part.width),
            false => (part.width, part.height),
        };
        for y in 0..height {
            for x in 0..width {
                let (right, below) = (width - 1 - x, height - 1 - y);
                // Where in the part the pixel at (x, y) of the turned picture comes from.
                let (column, row) = match orientation {
                    Orientation::Normal => (x, y),
                    Orientation::MirroredSideways => (right, y),
                    Orientation::UpsideDown => (right, below),
                    Orientation::MirroredUpDown => (x, below),
                    Orientation::Transposed => (y, x),
                    Orientation::TurnedRight => (y, right),
                    Orientation::Transversed => (below, right),
                    Orientation::TurnedLeft => (below, x),
                };
                rgb.extend(self.pixel(part.left + column, part.top + row));
            }
        }
        Image::new(width, height, rgb)
    }

    /// Red, green and blue of the pixel at column `x` and row `y` of the frame.
    fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let layout = self.layout();
        let at = |plane: usize, x: usize, y: usize| self.plane(plane)[y * layout.strides[plane] + x];
        let yuv = |y: u8, u: u8, v: u8| {
            let to_rgb = layout.color.to_rgb();
            let mut from = [f64::from(y), f64::from(u), f64::from(v)];
            from.iter_mut().zip(to_rgb.offset).for_each(|(x, offset)| *x -= offset);
            // A conversion cuts to 0 to 255.
            to_rgb.matrix.map(|row| row.iter().zip(from).map(|(a, x)| a * x).sum::<f64>().round() as u8)
        };
        let half = |n: usize| n / 2;
        match layout.format {
            PixelFormat::Rgb => [0, 1, 2].map(|c| at(0, 3 * x + c, y)),
            PixelFormat::Bgr => [2, 1, 0].map(|c| at(0, 3 * x + c, y)),
            PixelFormat::Rgba => [0, 1, 2].map(|c| at(0, 4 * x + c, y)),
            PixelFormat::Bgra => [2, 1, 0].map(|c| at(0, 4 * x + c, y)),
            PixelFormat::PlanarRgb => [0, 1, 2].map(|plane| at(plane, x, y)),
            PixelFormat::Gray8 => [at(0, x, y); 3],
            PixelFormat::Gray16 => {
                let level = u16::from_ne_bytes([at(0, 2 * x, y), at(0, 2 * x + 1, y)]);
                [Levels::new(layout.levels).cut(level); 3]
            }
            PixelFormat::Nv12 => {
                yuv(at(0, x, y), at(1, 2 * half(x), half(y)), at(1, 2 * half(x) + 1, half(y)))
            }
            PixelFormat::Nv21 => {
                yuv(at(0, x, y), at(1, 2 * half(x) + 1, half(y)), at(1, 2 * half(x), half(y)))
            }
            PixelFormat::I420 => yuv(at(0, x, y), at(1, half(x), half(y)), at(2, half(x), half(y))),
            PixelFormat::Yuyv => yuv(at(0, 2 * x, y), at(0, 4 * half(x) + 1, y), at(0, 4 * half(x) + 3, y)),
            PixelFormat::Uyvy => yuv(at(0, 2 * x + 1, y), at(0, 4 * half(x), y), at(0, 4 * half(x) + 2, y)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameLayout, Rect, View};

    /// 3x2 pixels: the same numbers as the Exif standard's picture, which clip_model::preprocess turns, too.
    #[test]
    fn every_orientation_is_the_standards() {
        let layout = FrameLayout::new(PixelFormat::Gray8, 5, 2).unwrap();
        let bytes = [9, 1, 2, 3, 9, 9, 4, 5, 6, 9];
        let crop = Some(Rect { left: 1, top: 0, width: 3, height: 2 });
        for (value, width, expected) in [
            (1, 3, [1, 2, 3, 4, 5, 6]),
            (2, 3, [3, 2, 1, 6, 5, 4]),
            (3, 3, [6, 5, 4, 3, 2, 1]),
            (4, 3, [4, 5, 6, 1, 2, 3]),
            (5, 2, [1, 4, 2, 5, 3, 6]),
            (6, 2, [4, 1, 5, 2, 6, 3]),
            (7, 2, [6, 3, 5, 2, 4, 1]),
            (8, 2, [3, 6, 2, 5, 1, 4]),
        ] {
            let orientation = Orientation::from_exif(value).unwrap();
            let frame = Frame::new(layout, &[&bytes]).unwrap().seen(View { crop, orientation }).unwrap();
            let image = frame.to_image().unwrap();
            let red: Vec<u8> = image.rgb().iter().step_by(3).copied().collect();
            assert_eq!((image.width(), &red[..]), (width, &expected[..]), "{value}");
        }
    }

    #[test]
    fn every_format_gives_the_same_colours() {
        // 3x3 pixels, of one colour in each 2x2 block, so that subsampling loses nothing.
        let yuv = |x: usize, y: usize| {
            [[81u8, 90, 240], [145, 54, 34], [41, 240, 110], [235, 128, 128]][x / 2 + y / 2 * 2]
        };
        let (width, height) = (3, 3);
        let places: Vec<(usize, usize)> = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).collect();
        let luma: Vec<u8> = places.iter().map(|&(x, y)| yuv(x, y)[0]).collect();
        let blocks = [(0, 0), (2, 0), (0, 2), (2, 2)].map(|(x, y)| yuv(x, y));
        let u: Vec<u8> = blocks.iter().map(|c| c[1]).collect();
        let v: Vec<u8> = blocks.iter().map(|c| c[2]).collect();
        let uv: Vec<u8> = blocks.iter().flat_map(|c| [c[1], c[2]]).collect();
        let vu: Vec<u8> = blocks.iter().flat_map(|c| [c[2], c[1]]).collect();
        let packed = |order: [usize; 4]| -> Vec<u8> {
            let pair = |y: usize, x: usize| {
                let [y0, u, v] = yuv(x, y);
                let all = [y0, u, yuv(x + 1, y)[0], v];
                order.map(|i| all[i])
            };
            (0..height).flat_map(|y| [pair(y, 0), pair(y, 2)].concat()).collect()
        };
        let image = |format, planes: &[&[u8]]| {
            let layout = FrameLayout::new(format, width, height).unwrap();
            Frame::new(layout, planes).unwrap().to_image().unwrap()
        };
        let expected = image(PixelFormat::Nv12, &[&luma, &uv]);
        // Red, green, blue and white of BT.601.
        for (found, colour) in expected.rgb()[..3].iter().zip([254i32, 0, 0]) {
            assert!((i32::from(*found) - colour).abs() <= 1, "{:?}", &expected.rgb()[..3]);
        }
        assert_eq!(&expected.rgb()[24..], [255; 3]);
        assert_eq!(image(PixelFormat::Nv21, &[&luma, &vu]), expected);
        assert_eq!(image(PixelFormat::I420, &[&luma, &u, &v]), expected);
        assert_eq!(image(PixelFormat::Yuyv, &[&packed([0, 1, 2, 3])]), expected);
        assert_eq!(image(PixelFormat::Uyvy, &[&packed([1, 0, 3, 2])]), expected);
        let rgb = expected.rgb();
        let each = |order: &[usize]| -> Vec<u8> {
            rgb.chunks_exact(3).flat_map(|p| order.iter().map(|&i| if i < 3 { p[i] } else { 77 })).collect()
        };
        assert_eq!(image(PixelFormat::Rgb, &[rgb]), expected);
        assert_eq!(image(PixelFormat::Bgr, &[&each(&[2, 1, 0])]), expected);
        assert_eq!(image(PixelFormat::Rgba, &[&each(&[0, 1, 2, 3])]), expected);
        assert_eq!(image(PixelFormat::Bgra, &[&each(&[2, 1, 0, 3])]), expected);
        assert_eq!(image(PixelFormat::PlanarRgb, &[&each(&[0]), &each(&[1]), &each(&[2])]), expected);
    }

    #[test]
    fn levels_are_cut_and_may_be_turned_round() {
        let bytes: Vec<u8> = [0u16, 1000, 2000, 3000, 65535].iter().flat_map(|v| v.to_ne_bytes()).collect();
        for (levels, expected) in
            [((1000, 3000), [0, 0, 128, 255, 255]), ((3000, 1000), [255, 255, 128, 0, 0])]
        {
            let layout = FrameLayout { levels, ..FrameLayout::new(PixelFormat::Gray16, 5, 1).unwrap() };
            let image = Frame::new(layout, &[&bytes]).unwrap().to_image().unwrap();
            assert_eq!(image.rgb().iter().step_by(3).copied().collect::<Vec<u8>>(), expected);
        }
    }
}
