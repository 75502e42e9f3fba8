//! Rotation, size, stretch, shear and shift in one resampling.

use clip_model::Preprocess;
use clip_model::preprocess::ResizeMode;
use rand_chacha::ChaCha8Rng;

use super::canvas::Canvas;
use super::crop::Crop;
use super::settings::Augment;
use crate::random::{log_uniform, symmetric};

/// More samples than this along each side of an output pixel are not taken.
const MAX_SAMPLES: usize = 4;

/// Where an output pixel comes from. Both sides have coordinates from -1 to 1, so that `from` maps a square to the
/// part of the picture that the model would see, which `center` and `half` (shares of the picture's sides) place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Map {
    /// Rows: x, y in the picture; columns: x, y in the output, one.
    from: [[f32; 3]; 2],
    center: [f32; 2],
    half: [f32; 2],
}

impl Map {
    /// A random map for a picture of this width and height.
    pub fn draw(
        augment: &Augment,
        random: &mut ChaCha8Rng,
        (width, height): (usize, usize),
        crop: Option<Crop>,
        preprocess: &Preprocess,
    ) -> Map {
        let (w, h) = (width as f32, height as f32);
        let (center, half) = match (crop, preprocess.resize_mode) {
            (Some(Crop { left, top, width, height }), _) => (
                [(left as f32 + width as f32 / 2.0) / w, (top as f32 + height as f32 / 2.0) / h],
                [width as f32 / 2.0 / w, height as f32 / 2.0 / h],
            ),
            (None, ResizeMode::Squash) => ([0.5; 2], [0.5; 2]),
            (None, ResizeMode::Shortest) => ([0.5; 2], [w.min(h) / 2.0 / w, w.min(h) / 2.0 / h]),
        };
        let (sin, cos) = symmetric(random, augment.rotation).to_radians().sin_cos();
        let scale = 1.0 / log_uniform(random, augment.zoom);
        let stretch = symmetric(random, augment.stretch).exp();
        let shear = symmetric(random, augment.shear);
        let (x, y) = (2.0 * symmetric(random, augment.shift), 2.0 * symmetric(random, augment.shift));
        let from =
            [[cos * scale * stretch, (shear - sin) * scale, x], [sin * scale, cos * scale / stretch, y]];
        Map { from, center, half }
    }

    /// The picture under the map, `size` squared; transparent where it comes from outside. Bilinear, with as many samples
    /// to an output pixel as it covers input pixels; colours are weighted with alpha.
    pub fn sample(&self, canvas: &Canvas, size: usize) -> Canvas {
        let (width, height) = (canvas.width, canvas.height);
        // With a transparent border, so that sampling need not ask where the picture ends.
        let stride = width + 2;
        let mut source = vec![[0.0f32; 4]; stride * (height + 2)];
        let [r, g, b, a] = &canvas.planes;
        for y in 0..height {
            for x in 0..width {
                let (at, alpha) = (y * width + x, a[y * width + x]);
                source[(y + 1) * stride + x + 1] = [r[at] * alpha, g[at] * alpha, b[at] * alpha, alpha];
            }
        }
        // Output coordinates, 0 to `size`, to pixels of `source`.
        let sides = [width as f32, height as f32];
        let map: [[f32; 3]; 2] = std::array::from_fn(|i| {
            let [fx, fy, one] = self.from[i];
            let (to, step) = (self.half[i] * sides[i], 2.0 / size as f32);
            [fx * step * to, fy * step * to, (one - fx - fy) * to + self.center[i] * sides[i] + 0.5]
        });
        let covered = (map[0][0].hypot(map[1][0])).max(map[0][1].hypot(map[1][1]));
        let samples = (covered.round() as usize).clamp(1, MAX_SAMPLES);
        let weight = 1.0 / (samples * samples) as f32;
        let offsets: Vec<f32> = (0..samples).map(|s| (s as f32 + 0.5) / samples as f32).collect();

        let mut out = Canvas::empty(size, size);
        let [r, g, b, a] = &mut out.planes;
        for y in 0..size {
            for x in 0..size {
                let mut sum = [0.0f32; 4];
                for dy in &offsets {
                    for dx in &offsets {
                        let (u, v) = (x as f32 + dx, y as f32 + dy);
                        let [sx, sy] = map.map(|row| row[0] * u + row[1] * v + row[2]);
                        bilinear(&source, stride, height + 2, sx, sy, &mut sum);
                    }
                }
                let at = y * size + x;
                if sum[3] > 0.0 {
                    let straight = 1.0 / sum[3];
                    (r[at], g[at], b[at]) = (sum[0] * straight, sum[1] * straight, sum[2] * straight);
                    a[at] = sum[3] * weight;
                }
            }
        }
        out
    }
}

/// Adds the value at `x`, `y` of a picture whose border is transparent.
fn bilinear(source: &[[f32; 4]], stride: usize, rows: usize, x: f32, y: f32, sum: &mut [f32; 4]) {
    // Beyond the border is as transparent as on it.
    let x = x.clamp(0.0, (stride - 1) as f32 - 1e-3);
    let y = y.clamp(0.0, (rows - 1) as f32 - 1e-3);
    let (column, row) = (x as usize, y as usize);
    let (fx, fy) = (x - column as f32, y - row as f32);
    let at = row * stride + column;
    let (top, bottom) = (&source[at..at + 2], &source[at + stride..at + stride + 2]);
    for c in 0..4 {
        let upper = top[0][c] + (top[1][c] - top[0][c]) * fx;
        let lower = bottom[0][c] + (bottom[1][c] - bottom[0][c]) * fx;
        sum[c] += upper + (lower - upper) * fy;
    }
}

#[cfg(test)]
mod tests {
    use super::super::canvas::tests::disc;
    use super::*;
    use rand::SeedableRng;

    fn map(augment: Augment, size: (usize, usize), crop: Option<Crop>) -> Map {
        Map::draw(&augment, &mut ChaCha8Rng::seed_from_u64(5), size, crop, &Preprocess::default())
    }

    #[test]
    fn without_anything_drawn_it_is_the_identity() {
        let canvas = Canvas::new(&disc(40), 40);
        let same = map(Augment::default(), (40, 40), None).sample(&canvas, 40);
        for c in 0..4 {
            for at in 0..1600 {
                let (found, expected) = (same.planes[c][at], canvas.planes[c][at]);
                assert!(canvas.planes[3][at] == 0.0 || (found - expected).abs() < 1e-5, "{c} {at}");
            }
        }
        assert!(same.planes[3].iter().zip(&canvas.planes[3]).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn a_smaller_zoom_covers_less_and_keeps_the_colour() {
        let mut canvas = Canvas::empty(64, 64);
        canvas.planes.iter_mut().zip([0.2, 0.4, 0.6, 1.0]).for_each(|(plane, value)| plane.fill(value));
        let small =
            map(Augment { zoom: [0.5, 0.5], ..Augment::default() }, (64, 64), None).sample(&canvas, 64);
        let covered: f32 = small.planes[3].iter().sum();
        assert!((covered / 4096.0 - 0.25).abs() < 0.01, "{covered}");
        assert!((small.planes[1][32 * 64 + 32] - 0.4).abs() < 1e-5);
        assert!(
            small.planes[1].iter().zip(&small.planes[3]).all(|(g, a)| *a == 0.0 || (g - 0.4).abs() < 1e-4)
        );
    }

    #[test]
    fn of_a_wide_picture_the_centre_is_seen_and_of_a_crop_the_crop() {
        let mut canvas = Canvas::empty(30, 10);
        canvas.planes[3].fill(1.0);
        (0..300).for_each(|at| canvas.planes[0][at] = (at % 30) as f32 / 30.0);
        let seen = |crop| {
            let out = map(Augment::default(), (30, 10), crop).sample(&canvas, 10);
            (out.planes[0][0] * 30.0, out.planes[0][9] * 30.0)
        };
        let (left, right) = seen(None);
        assert!((left - 10.0).abs() < 1e-3 && (right - 19.0).abs() < 1e-3, "{left} {right}");
        let (left, right) = seen(Some(Crop { left: 3, top: 0, width: 10, height: 10 }));
        assert!((left - 3.0).abs() < 1e-3 && (right - 12.0).abs() < 1e-3, "{left} {right}");
    }
}
