//! Gaussian noise, as a sensor's.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::Augment;
use super::canvas::Canvas;
use super::draw::uniform;

impl Augment {
    pub(super) fn noise(&self, random: &mut ChaCha8Rng, canvas: &mut Canvas) {
        if self.noise == 0.0 {
            return;
        }
        let sigma = uniform(random, [0.0, self.noise]);
        for value in canvas.planes[..3].iter_mut().flatten() {
            *value = (*value + sigma * normal(random)).clamp(0.0, 1.0);
        }
    }
}

/// Nearly normal, of mean 0 and variance 1: the sum of four uniform numbers of 16 bits.
fn normal(random: &mut ChaCha8Rng) -> f32 {
    let bits: u64 = random.random();
    let sum: u32 = (0..4).map(|i| u32::from((bits >> (16 * i)) as u16)).sum();
    // The sum of four has the mean 2 and the variance 4 / 12.
    (sum as f32 / 65_535.0 - 2.0) * 3f32.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn has_mean_zero_and_variance_one() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let numbers: Vec<f64> = (0..100_000).map(|_| f64::from(normal(&mut random))).collect();
        let mean = numbers.iter().sum::<f64>() / 1e5;
        let variance = numbers.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn off_changes_nothing_and_on_stays_in_range() {
        let mut canvas = Canvas::empty(16, 16);
        let before = canvas.clone();
        Augment::default().noise(&mut ChaCha8Rng::seed_from_u64(2), &mut canvas);
        assert_eq!(canvas, before);
        let augment = Augment { noise: 1.0, ..Augment::default() };
        augment.noise(&mut ChaCha8Rng::seed_from_u64(2), &mut canvas);
        assert!(canvas != before && canvas.planes.iter().flatten().all(|v| (0.0..=1.0).contains(v)));
    }
}
