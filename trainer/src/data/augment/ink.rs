//! Dark strokes along the edges of the shape and within it, as in a pen drawing: one style of drawing comes to look a
//! little like another.

use rand_chacha::ChaCha8Rng;

use super::canvas::Canvas;
use super::draw::uniform;
use super::{Augment, chance};

/// How much of the range within a window makes an edge, at least.
const THRESHOLD: [f32; 2] = [0.25, 0.6];
/// How fast a stroke gets opaque above it.
const STEEPNESS: f32 = 8.0;
/// Grey level of the ink, at most.
const DARKNESS: [f32; 2] = [0.0, 0.25];

impl Augment {
    pub(super) fn ink(&self, random: &mut ChaCha8Rng, canvas: &mut Canvas) {
        if !chance(random, self.ink) {
            return;
        }
        let threshold = uniform(random, THRESHOLD);
        let level = uniform(random, DARKNESS);
        let stroke = edges(canvas);
        if chance(random, self.ink_only) {
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
        augment.ink(&mut ChaCha8Rng::seed_from_u64(1), &mut inked);
        let at = |x: usize| 32 * 64 + x;
        assert!(inked.planes[1][at(7)] < 0.3 && canvas.planes[1][at(7)] > 0.4, "the left rim is dark");
        assert_eq!(inked.planes[1][at(32)], canvas.planes[1][at(32)], "the middle is as it was");
        assert_eq!(inked.planes[3][0], 0.0, "the corner stays transparent");

        let mut flat = Canvas::empty(8, 8);
        flat.planes.iter_mut().for_each(|plane| plane.fill(0.5));
        let before = flat.clone();
        augment.ink(&mut ChaCha8Rng::seed_from_u64(1), &mut flat);
        assert_eq!(flat, before);
    }
}
