//! What shows where the picture is transparent.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::canvas::Canvas;
use super::draw::{color, symmetric, uniform};
use super::{Augment, chance};

/// Largest deviation of grain from its colour.
const GRAIN: [f32; 2] = [0.05, 0.4];

impl Augment {
    /// Draws the background behind the picture; afterwards it is opaque.
    pub(super) fn fill_background(&self, random: &mut ChaCha8Rng, canvas: &mut Canvas, usual: [u8; 3]) {
        let (width, height) = (canvas.width, canvas.height);
        if !chance(random, self.background) {
            return over(canvas, |_| usual.map(|value| f32::from(value) / 255.0));
        }
        let first = color(random);
        if !chance(random, self.background_pattern) {
            return over(canvas, |_| first);
        }
        if random.random() {
            let second = color(random);
            let (sin, cos) = symmetric(random, std::f32::consts::PI).sin_cos();
            over(canvas, |at| {
                let (x, y) = ((at % width) as f32 / width as f32, (at / width) as f32 / height as f32);
                let share = (0.5 + (x - 0.5) * cos + (y - 0.5) * sin).clamp(0.0, 1.0);
                std::array::from_fn(|c| first[c] + (second[c] - first[c]) * share)
            });
        } else {
            let strength = uniform(random, GRAIN);
            over(canvas, |_| first.map(|value| (value + symmetric(random, strength)).clamp(0.0, 1.0)));
        }
    }
}

fn over(canvas: &mut Canvas, mut background: impl FnMut(usize) -> [f32; 3]) {
    let [r, g, b, a] = &mut canvas.planes;
    for (at, (((r, g), b), a)) in r.iter_mut().zip(g).zip(b).zip(a).enumerate() {
        let behind = background(at);
        for (value, behind) in [r, g, b].into_iter().zip(behind) {
            *value = behind + (*value - behind) * *a;
        }
        *a = 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::canvas::tests::disc;
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn off_it_is_the_models_background() {
        let mut canvas = Canvas::new(&disc(20), 20);
        Augment::default().fill_background(&mut ChaCha8Rng::seed_from_u64(1), &mut canvas, [10, 20, 30]);
        assert_eq!(canvas.to_image().unwrap(), disc(20).over([10, 20, 30]).unwrap());
    }

    #[test]
    fn random_ones_differ_leave_the_picture_and_keep_their_range() {
        for pattern in [0.0, 1.0] {
            let augment = Augment { background: 1.0, background_pattern: pattern, ..Augment::default() };
            let corners: Vec<[f32; 3]> = (0..40)
                .map(|seed| {
                    let mut canvas = Canvas::new(&disc(20), 20);
                    let middle = canvas.planes[0][210];
                    augment.fill_background(&mut ChaCha8Rng::seed_from_u64(seed), &mut canvas, [255; 3]);
                    assert!(canvas.planes.iter().flatten().all(|value| (0.0..=1.0).contains(value)));
                    assert!((canvas.planes[0][210] - middle).abs() < 1e-6);
                    let rim = (0..20).flat_map(|i| [i, 380 + i]);
                    let flat = rim.into_iter().all(|at| canvas.planes[0][at] == canvas.planes[0][0]);
                    assert_eq!(flat, pattern == 0.0);
                    [0, 1, 2].map(|c| canvas.planes[c][0])
                })
                .collect();
            assert!(corners.windows(2).all(|two| two[0] != two[1]));
        }
    }
}
