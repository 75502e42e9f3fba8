//! The picture while it is being changed.

use clip_model::Preprocess;
use clip_model::preprocess::{Image, RgbaImage};

use super::crop::{self, Crop};
use crate::error::Result;

/// Red, green, blue and straight alpha, each 0 to 1, each a plane of its own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Canvas {
    pub width: usize,
    pub height: usize,
    /// `[4, height * width]`.
    pub planes: [Vec<f32>; 4],
}

impl Canvas {
    pub fn empty(width: usize, height: usize) -> Canvas {
        Canvas { width, height, planes: std::array::from_fn(|_| vec![0.0; width * height]) }
    }

    /// The picture; a large one reduced by a whole number (the mean of squares of pixels), so that its shorter side is
    /// still at least `detail`.
    pub fn new(picture: &RgbaImage, detail: usize) -> Canvas {
        let factor = (picture.width().min(picture.height()) / detail).max(1);
        let (width, height) = (picture.width() / factor, picture.height() / factor);
        let mut canvas = Canvas::empty(width, height);
        for y in 0..height {
            for x in 0..width {
                let mut sum = [0u32; 4];
                for row in y * factor..(y + 1) * factor {
                    let start = (row * picture.width() + x * factor) * 4;
                    for pixel in picture.rgba()[start..start + 4 * factor].chunks_exact(4) {
                        let alpha = u32::from(pixel[3]);
                        (0..3).for_each(|c| sum[c] += u32::from(pixel[c]) * alpha);
                        sum[3] += alpha;
                    }
                }
                let at = y * width + x;
                if sum[3] > 0 {
                    let weight = 1.0 / (255.0 * sum[3] as f32);
                    (0..3).for_each(|c| canvas.planes[c][at] = sum[c] as f32 * weight);
                }
                canvas.planes[3][at] = sum[3] as f32 / (255.0 * (factor * factor) as f32);
            }
        }
        canvas
    }

    /// The picture as the model's own preprocessing resizes it. Over black its colours come out multiplied with alpha,
    /// and what shows through over white is the rest of alpha.
    pub fn fitted(picture: &RgbaImage, crop: Option<Crop>, preprocess: &Preprocess) -> Result<Canvas> {
        let mut canvas = Canvas::empty(preprocess.size, preprocess.size);
        let [r, g, b, a] = &mut canvas.planes;
        let opaque = picture.rgba().chunks_exact(4).all(|pixel| pixel[3] == 255);
        let over_black = crop::fit(picture, crop, preprocess, [0; 3])?;
        let over_white = if opaque { None } else { Some(crop::fit(picture, crop, preprocess, [255; 3])?) };
        for (at, black) in over_black.rgb().chunks_exact(3).enumerate() {
            // The same for the three channels but for rounding, and for clipping where the filter overshoots.
            let through = over_white.as_ref().map_or(0, |white| {
                let through = (0..3).map(|c| i32::from(white.rgb()[3 * at + c]) - i32::from(black[c]));
                through.min().unwrap_or(0).clamp(0, 255)
            });
            let alpha = (255 - through) as f32 / 255.0;
            let straight = if alpha > 0.0 { 1.0 / (255.0 * alpha) } else { 0.0 };
            r[at] = (f32::from(black[0]) * straight).min(1.0);
            g[at] = (f32::from(black[1]) * straight).min(1.0);
            b[at] = (f32::from(black[2]) * straight).min(1.0);
            a[at] = alpha;
        }
        Ok(canvas)
    }

    /// The colours, rounded; alpha is not looked at.
    pub fn to_image(&self) -> Result<Image> {
        let mut rgb = vec![0; 3 * self.width * self.height];
        for (channel, plane) in self.planes[..3].iter().enumerate() {
            for (out, &value) in rgb[channel..].iter_mut().step_by(3).zip(plane) {
                *out = (value * 255.0 + 0.5) as u8;
            }
        }
        Ok(Image::new(self.width, self.height, rgb)?)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A disc with a gradient and soft edges.
    pub fn disc(side: usize) -> RgbaImage {
        let mut rgba = Vec::new();
        for y in 0..side {
            for x in 0..side {
                let (dx, dy) = (x as f32 + 0.5 - side as f32 / 2.0, y as f32 + 0.5 - side as f32 / 2.0);
                let alpha = (side as f32 * 0.4 - dx.hypot(dy)).clamp(0.0, 1.0);
                rgba.extend([(x * 255 / side) as u8, (y * 255 / side) as u8, 90, (alpha * 255.0) as u8]);
            }
        }
        RgbaImage::new(side, side, rgba).unwrap()
    }

    #[test]
    fn reducing_takes_the_mean() {
        let rgba = vec![255, 0, 0, 255, 0, 0, 0, 0, 0, 0, 255, 255, 9, 9, 9, 0];
        let canvas = Canvas::new(&RgbaImage::new(2, 2, rgba).unwrap(), 1);
        assert_eq!((canvas.width, canvas.height), (1, 1));
        assert_eq!(canvas.planes.map(|p| p[0]), [0.5, 0.0, 0.5, 0.5]);
    }

    #[test]
    fn a_fitted_canvas_over_a_colour_is_the_fitted_picture_over_it() {
        let preprocess = Preprocess { size: 32, ..Preprocess::default() };
        let picture = disc(72);
        let canvas = Canvas::fitted(&picture, None, &preprocess).unwrap();
        let expected = preprocess.fit(&picture.over([200, 30, 60]).unwrap()).unwrap();
        let mut total = 0.0;
        for (at, pixel) in expected.rgb().chunks_exact(3).enumerate() {
            for (c, background) in [200.0, 30.0, 60.0].into_iter().enumerate() {
                let alpha = canvas.planes[3][at];
                let found = canvas.planes[c][at] * alpha * 255.0 + background * (1.0 - alpha);
                // Where the filter overshoots, clipping is another one over another colour.
                let difference = (found - f32::from(pixel[c])).abs();
                assert!(difference < 10.0, "{at} {c}: {found} {}", pixel[c]);
                total += difference;
            }
        }
        let mean = total / expected.rgb().len() as f32;
        assert!(mean < 0.5, "{mean}");
    }
}
