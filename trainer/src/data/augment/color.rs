//! Colours: hue, saturation, contrast, brightness; without colour; negative; channels in another order. Each is a
//! linear map of the colour, applied where there is any.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::canvas::Canvas;
use super::draw::{symmetric, uniform};
use super::{Augment, chance};

/// Rows: red, green, blue of the result; columns: red, green, blue, one.
type Matrix = [[f32; 4]; 3];

const IDENTITY: Matrix = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
const NEGATIVE: Matrix = [[-1.0, 0.0, 0.0, 1.0], [0.0, -1.0, 0.0, 1.0], [0.0, 0.0, -1.0, 1.0]];
/// Luma of ITU-R BT.601.
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

impl Augment {
    pub(super) fn color(&self, random: &mut ChaCha8Rng, canvas: &mut Canvas) {
        if chance(random, self.color) {
            let hue = hue(symmetric(random, self.hue).to_radians());
            let saturation = saturation(uniform(random, self.saturation));
            let contrast = uniform(random, self.contrast);
            let brightness = symmetric(random, self.brightness);
            paint(canvas, then(then(hue, saturation), scale(contrast, brightness)));
        }
        if chance(random, self.permute) {
            let mut rows = IDENTITY;
            rows.shuffle(random);
            paint(canvas, rows);
        }
        if chance(random, self.invert) {
            paint(canvas, NEGATIVE);
        }
        if chance(random, self.grayscale) {
            paint(canvas, saturation(0.0));
        }
    }
}

/// A rotation about the grey axis.
fn hue(angle: f32) -> Matrix {
    let (sin, cos) = angle.sin_cos();
    let (same, next) = ((1.0 - cos) / 3.0, sin / 3f32.sqrt());
    std::array::from_fn(|i| {
        std::array::from_fn(|j| match (j + 3 - i) % 3 {
            _ if j == 3 => 0.0,
            0 => cos + same,
            2 => same + next,
            _ => same - next,
        })
    })
}

/// Towards grey (below 1) or away from it.
fn saturation(factor: f32) -> Matrix {
    let mut matrix = [[0.0; 4]; 3];
    for (i, row) in matrix.iter_mut().enumerate() {
        (0..3).for_each(|j| row[j] = LUMA[j] * (1.0 - factor));
        row[i] += factor;
    }
    matrix
}

/// About middle grey.
fn scale(contrast: f32, brightness: f32) -> Matrix {
    let mut matrix = [[0.0; 4]; 3];
    for (i, row) in matrix.iter_mut().enumerate() {
        row[i] = contrast;
        row[3] = 0.5 - 0.5 * contrast + brightness;
    }
    matrix
}

/// `second` after `first`.
fn then(first: Matrix, second: Matrix) -> Matrix {
    std::array::from_fn(|i| {
        std::array::from_fn(|j| {
            let own = if j == 3 { second[i][3] } else { 0.0 };
            own + (0..3).map(|k| second[i][k] * first[k][j]).sum::<f32>()
        })
    })
}

fn paint(canvas: &mut Canvas, m: Matrix) {
    let [r, g, b, _] = &mut canvas.planes;
    for ((r, g), b) in r.iter_mut().zip(g).zip(b) {
        let (x, y, z) = (*r, *g, *b);
        let row = |m: [f32; 4]| (m[0] * x + m[1] * y + m[2] * z + m[3]).clamp(0.0, 1.0);
        (*r, *g, *b) = (row(m[0]), row(m[1]), row(m[2]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(m: Matrix, color: [f32; 3]) -> [f32; 3] {
        let mut canvas = Canvas::empty(1, 1);
        (0..3).for_each(|c| canvas.planes[c][0] = color[c]);
        paint(&mut canvas, m);
        [0, 1, 2].map(|c| canvas.planes[c][0])
    }

    fn close(a: [f32; 3], b: [f32; 3]) {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5), "{a:?} {b:?}");
    }

    #[test]
    fn neutral_settings_change_nothing() {
        let color = [0.2, 0.7, 0.4];
        close(painted(then(then(hue(0.0), saturation(1.0)), scale(1.0, 0.0)), color), color);
    }

    #[test]
    fn each_does_what_it_is_called() {
        close(painted(hue(120f32.to_radians()), [1.0, 0.0, 0.0]), [0.0, 1.0, 0.0]);
        close(painted(hue(1.0), [0.5; 3]), [0.5; 3]);
        close(painted(saturation(0.0), [1.0, 0.0, 0.0]), [0.299; 3]);
        close(painted(scale(0.5, 0.1), [1.0, 0.5, 0.0]), [0.85, 0.6, 0.35]);
        close(painted(NEGATIVE, [1.0, 0.5, 0.2]), [0.0, 0.5, 0.8]);
        close(painted(then(scale(0.5, 0.0), NEGATIVE), [1.0, 0.5, 0.0]), [0.25, 0.5, 0.75]);
    }
}
