//! Pictures as a camera would deliver them.

use clip_model::frame::{Frame, PixelFormat};
use clip_model::preprocess::Image;

use crate::camera::{Camera, Group};

/// What lies where no sample is: a graph that looks at it gives something else.
const PADDING: u8 = 0xa5;

/// The planes of a frame that shows `picture`, stretched to its size; each has all bytes of its last row, too.
pub fn planes(camera: &Camera, picture: &Image) -> Vec<Vec<u8>> {
    let layout = &camera.layout;
    let rows = |plane| layout.format.plane(plane, layout.width, layout.height).map_or(0, |(_, rows)| rows);
    let mut planes: Vec<Vec<u8>> =
        (0..layout.format.planes()).map(|plane| vec![PADDING; rows(plane) * layout.strides[plane]]).collect();
    let mut kind = 0;
    for Group { first, step, pixels: [across, down] } in camera.groups() {
        for (plane, byte) in first {
            for row in 0..layout.height.div_ceil(down) {
                for column in 0..layout.width.div_ceil(across) {
                    let at = row * layout.strides[plane] + byte + column * step;
                    let rgb = block(camera, picture, [column * across, row * down], [across, down]);
                    let level = sample(camera, kind, rgb);
                    match layout.format {
                        PixelFormat::Gray16 => {
                            let (black, white) = (f64::from(layout.levels.0), f64::from(layout.levels.1));
                            let level = (black + level / 255.0 * (white - black)).round() as u16;
                            planes[plane][at..at + 2].copy_from_slice(&level.to_ne_bytes());
                        }
                        _ => planes[plane][at] = level.round() as u8,
                    }
                }
            }
            kind += 1;
        }
    }
    planes
}

/// A frame in such planes, seen as the camera's are.
///
/// # Errors
/// Those of [`Frame::new`] and [`Frame::seen`].
pub fn frame<'a>(camera: &Camera, planes: &'a [Vec<u8>]) -> clip_model::Result<Frame<'a>> {
    let planes: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
    Frame::new(camera.layout, &planes)?.seen(camera.view)
}

/// The level of a kind of sample, counted over all groups, in a place of this colour.
fn sample(camera: &Camera, kind: usize, rgb: [f64; 3]) -> f64 {
    let format = camera.layout.format;
    match format {
        PixelFormat::Gray8 | PixelFormat::Gray16 => rgb.iter().sum::<f64>() / 3.0,
        _ if format.is_yuv() => {
            let to_rgb = camera.layout.color.to_rgb();
            to_rgb.offset[kind] + solved(to_rgb.matrix, rgb)[kind]
        }
        _ => rgb[kind],
    }
}

/// The mean colour of a block of pixels, as far as it lies in the frame.
fn block(camera: &Camera, picture: &Image, [left, top]: [usize; 2], [width, height]: [usize; 2]) -> [f64; 3] {
    let (right, bottom) = ((left + width).min(camera.layout.width), (top + height).min(camera.layout.height));
    let mut sums = [0.0; 3];
    for (x, y) in (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y))) {
        let along = |place: usize, of: usize, size: usize| {
            let place = (place as f64 + 0.5) / of as f64 * size as f64 - 0.5;
            let place = place.clamp(0.0, (size - 1) as f64);
            (place as usize, (place as usize + 1).min(size - 1), place.fract())
        };
        let (x0, x1, of_x) = along(x, camera.layout.width, picture.width());
        let (y0, y1, of_y) = along(y, camera.layout.height, picture.height());
        let pixel =
            |x: usize, y: usize, c: usize| f64::from(picture.rgb()[3 * (y * picture.width() + x) + c]);
        for (c, sum) in sums.iter_mut().enumerate() {
            let [above, below] = [y0, y1].map(|y| pixel(x0, y, c) * (1.0 - of_x) + pixel(x1, y, c) * of_x);
            *sum += above * (1.0 - of_y) + below * of_y;
        }
    }
    sums.map(|sum| sum / ((right - left) * (bottom - top)) as f64)
}

/// What the matrix makes `values` of, by Cramer's rule.
fn solved(matrix: [[f64; 3]; 3], values: [f64; 3]) -> [f64; 3] {
    let determinant = |m: [[f64; 3]; 3]| {
        let minor = |a: usize, b: usize| m[1][a] * m[2][b] - m[1][b] * m[2][a];
        m[0][0] * minor(1, 2) - m[0][1] * minor(0, 2) + m[0][2] * minor(0, 1)
    };
    let whole = determinant(matrix);
    std::array::from_fn(|column| {
        let mut replaced = matrix;
        replaced.iter_mut().zip(values).for_each(|(row, value)| row[column] = value);
        determinant(replaced) / whole
    })
}
