//! Colours, ink and background.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::canvas::Canvas;
use super::settings::Augment;
use crate::random::{chance, symmetric, uniform};

/// A linear map of the colour. Rows: red, green, blue of the result; columns: red, green, blue, one.
type Matrix = [[f32; 4]; 3];

/// Luma of ITU-R BT.601.
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// How much of the range within a window makes an edge, at least.
const THRESHOLD: [f32; 2] = [0.25, 0.6];
/// How fast a stroke gets opaque above it.
const STEEPNESS: f32 = 8.0;
/// Grey level of the ink, at most.
const DARKNESS: [f32; 2] = [0.0, 0.25];

/// Other hue, saturation, contrast and brightness, or no colour at all.
pub(super) fn color(augment: &Augment, random: &mut ChaCha8Rng, canvas: &mut Canvas) {
    if chance(random, augment.color) {
        let hue = hue(symmetric(random, augment.hue).to_radians());
        let saturation = saturation(uniform(random, augment.saturation));
        let contrast = uniform(random, augment.contrast);
        let brightness = symmetric(random, augment.brightness);
        paint(canvas, then(then(hue, saturation), scale(contrast, brightness)));
    }
    if chance(random, augment.grayscale) {
        paint(canvas, saturation(0.0));
    }
}

/// Dark strokes along the edges of the shape and within it, as in a pen drawing: one style of drawing comes to look a
/// little like another.
pub(super) fn ink(augment: &Augment, random: &mut ChaCha8Rng, canvas: &mut Canvas) {
    if !chance(random, augment.ink) {
        return;
    }
    let threshold = uniform(random, THRESHOLD);
    let level = uniform(random, DARKNESS);
    let stroke = edges(canvas);
    if chance(random, augment.ink_only) {
        canvas.planes[..3].iter_mut().for_each(|plane| plane.fill(1.0));
    }
    let [r, g, b, a] = &mut canvas.planes;
    for ((((edge, r), g), b), a) in stroke.iter().zip(r).zip(g).zip(b).zip(a) {
        let m = ((edge - threshold) * STEEPNESS).clamp(0.0, 1.0);
        for value in [r, g, b] {
            *value += (level - *value) * m;
        }
        *a = a.max(m);
    }
}

/// Draws the background behind the picture: one random colour, or the `usual` one. Afterwards it is opaque.
pub(super) fn background(augment: &Augment, random: &mut ChaCha8Rng, canvas: &mut Canvas, usual: [u8; 3]) {
    let behind: [f32; 3] = match chance(random, augment.background) {
        true => random.random(),
        false => usual.map(|value| f32::from(value) / 255.0),
    };
    let [r, g, b, a] = &mut canvas.planes;
    for (((r, g), b), a) in r.iter_mut().zip(g).zip(b).zip(a) {
        for (value, behind) in [r, g, b].into_iter().zip(behind) {
            *value = behind + (*value - behind) * *a;
        }
        *a = 1.0;
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

/// The largest range (maximum minus minimum) of alpha, or of a colour times alpha, in the 3x3 pixels around each pixel.
fn edges(canvas: &Canvas) -> Vec<f32> {
    let (width, height) = (canvas.width, canvas.height);
    let mut edges = vec![0.0f32; width * height];
    let alpha = &canvas.planes[3];
    for (channel, plane) in canvas.planes.iter().enumerate() {
        let mut high: Vec<f32> = if channel == 3 {
            alpha.clone()
        } else {
            plane.iter().zip(alpha).map(|(value, alpha)| value * alpha).collect()
        };
        let mut low = high.clone();
        spread(&mut high, width, f32::max);
        spread(&mut low, width, f32::min);
        for ((edge, high), low) in edges.iter_mut().zip(&high).zip(&low) {
            *edge = edge.max(high - low);
        }
    }
    edges
}

/// Each pixel becomes the maximum (or minimum) of the 3x3 pixels around it.
fn spread(plane: &mut [f32], width: usize, pick: impl Fn(f32, f32) -> f32) {
    let mut across = plane.to_vec();
    for (row, out) in plane.chunks_exact(width).zip(across.chunks_exact_mut(width)) {
        for (out, &left) in out[1..].iter_mut().zip(row) {
            *out = pick(*out, left);
        }
        for (out, &right) in out.iter_mut().zip(&row[1..]) {
            *out = pick(*out, right);
        }
    }
    plane.copy_from_slice(&across);
    let below = &mut plane[width..];
    below.iter_mut().zip(&across).for_each(|(out, &above)| *out = pick(*out, above));
    plane.iter_mut().zip(&across[width..]).for_each(|(out, &below)| *out = pick(*out, below));
}

#[cfg(test)]
mod tests {
    use super::super::canvas::tests::disc;
    use super::*;
    use rand::SeedableRng;

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
        close(painted(then(scale(0.5, 0.0), saturation(0.0)), [1.0, 0.5, 0.5]), [0.57475; 3]);
    }

    #[test]
    fn edges_are_ranges_in_a_window() {
        let mut canvas = Canvas::empty(7, 6);
        let side = |x: usize, y: usize| (x * 31 + y * 17) % 11;
        for y in 0..6 {
            for x in 0..7 {
                canvas.planes[1][y * 7 + x] = side(x, y) as f32 / 11.0;
                canvas.planes[3][y * 7 + x] = 1.0;
            }
        }
        let edges = edges(&canvas);
        for y in 0..6usize {
            for x in 0..7usize {
                let window = (y.saturating_sub(1)..(y + 2).min(6))
                    .flat_map(|v| (x.saturating_sub(1)..(x + 2).min(7)).map(move |u| side(u, v)));
                let expected = (window.clone().max().unwrap() - window.min().unwrap()) as f32 / 11.0;
                assert!((edges[y * 7 + x] - expected).abs() < 1e-6, "{x} {y}");
            }
        }
    }

    #[test]
    fn strokes_run_round_the_shape_and_a_flat_picture_has_none() {
        let augment = Augment { ink: 1.0, ..Augment::default() };
        let canvas = Canvas::new(&disc(64), 64);
        let mut inked = canvas.clone();
        super::ink(&augment, &mut ChaCha8Rng::seed_from_u64(1), &mut inked);
        let at = |x: usize| 32 * 64 + x;
        assert!(inked.planes[1][at(7)] < 0.3 && canvas.planes[1][at(7)] > 0.4, "the left rim is dark");
        assert_eq!(inked.planes[1][at(32)], canvas.planes[1][at(32)], "the middle is as it was");
        assert_eq!(inked.planes[3][0], 0.0, "the corner stays transparent");

        let mut flat = Canvas::empty(8, 8);
        flat.planes.iter_mut().for_each(|plane| plane.fill(0.5));
        let before = flat.clone();
        super::ink(&augment, &mut ChaCha8Rng::seed_from_u64(1), &mut flat);
        assert_eq!(flat, before);
    }

    #[test]
    fn without_a_random_background_it_is_the_models() {
        let mut canvas = Canvas::new(&disc(20), 20);
        background(&Augment::default(), &mut ChaCha8Rng::seed_from_u64(1), &mut canvas, [10, 20, 30]);
        assert_eq!(canvas.to_image().unwrap(), disc(20).over([10, 20, 30]).unwrap());
    }

    #[test]
    fn random_backgrounds_differ_and_leave_the_picture() {
        let augment = Augment { background: 1.0, ..Augment::default() };
        let corners: Vec<[f32; 3]> = (0..40)
            .map(|seed| {
                let mut canvas = Canvas::new(&disc(20), 20);
                let middle = canvas.planes[0][210];
                background(&augment, &mut ChaCha8Rng::seed_from_u64(seed), &mut canvas, [255; 3]);
                assert!(canvas.planes.iter().flatten().all(|value| (0.0..=1.0).contains(value)));
                assert!((canvas.planes[0][210] - middle).abs() < 1e-6);
                let rim = (0..20).flat_map(|i| [i, 380 + i]);
                assert!(rim.into_iter().all(|at| canvas.planes[0][at] == canvas.planes[0][0]));
                [0, 1, 2].map(|c| canvas.planes[c][0])
            })
            .collect();
        assert!(corners.windows(2).all(|two| two[0] != two[1]));
    }
}
