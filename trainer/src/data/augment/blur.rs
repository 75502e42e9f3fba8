//! Gaussian blur.

use rand_chacha::ChaCha8Rng;

use super::canvas::Canvas;
use super::draw::uniform;
use super::{Augment, chance};

impl Augment {
    pub(super) fn blur(&self, random: &mut ChaCha8Rng, canvas: &mut Canvas) {
        if chance(random, self.blur) {
            let sigma = uniform(random, self.blur_sigma);
            let kernel = kernel(sigma);
            let (width, height) = (canvas.width, canvas.height);
            for plane in &mut canvas.planes[..3] {
                for y in 0..height {
                    convolve(plane, y * width, 1, width, &kernel);
                }
                for x in 0..width {
                    convolve(plane, x, width, height, &kernel);
                }
            }
        }
    }
}

/// Weights at the distances 0, 1, ... that sum up to 1 over both sides.
fn kernel(sigma: f32) -> Vec<f32> {
    let radius = (3.0 * sigma).ceil() as usize;
    let weight = |d: usize| if d == 0 { 1.0 } else { (-0.5 * (d as f32 / sigma).powi(2)).exp() };
    let total: f32 = (0..=radius).map(|d| weight(d) * if d == 0 { 1.0 } else { 2.0 }).sum();
    (0..=radius).map(|d| weight(d) / total).collect()
}

/// One line of `count` pixels, `step` apart; beyond its ends it goes on with the last pixel.
fn convolve(plane: &mut [f32], start: usize, step: usize, count: usize, kernel: &[f32]) {
    let line: Vec<f32> = (0..count).map(|i| plane[start + i * step]).collect();
    for i in 0..count {
        let sides = kernel.iter().enumerate().skip(1);
        let sum: f32 =
            sides.map(|(d, w)| w * (line[i.saturating_sub(d)] + line[(i + d).min(count - 1)])).sum();
        plane[start + i * step] = (kernel[0] * line[i] + sum).clamp(0.0, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn spreads_a_dot_and_keeps_its_sum() {
        let mut canvas = Canvas::empty(15, 15);
        canvas.planes[0][7 * 15 + 7] = 1.0;
        let augment = Augment { blur: 1.0, blur_sigma: [1.0, 1.0], ..Augment::default() };
        augment.blur(&mut ChaCha8Rng::seed_from_u64(0), &mut canvas);
        let plane = &canvas.planes[0];
        assert!((plane.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        // (1 / (sqrt(2 pi)))^2 at the centre, but for the cut tails.
        assert!((plane[7 * 15 + 7] - 0.159).abs() < 2e-3);
        assert!((plane[7 * 15 + 8] - plane[8 * 15 + 7]).abs() < 1e-7);
    }

    #[test]
    fn a_sigma_of_zero_changes_nothing() {
        assert_eq!(kernel(0.0), [1.0]);
    }
}
