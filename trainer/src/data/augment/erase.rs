//! A part of the picture is covered (Zhong et al. 2017, arXiv 1708.04896).

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::canvas::Canvas;
use super::draw::{color, log_uniform, uniform};
use super::{Augment, chance};

impl Augment {
    pub(super) fn erase(&self, random: &mut ChaCha8Rng, canvas: &mut Canvas) {
        if !chance(random, self.erase) {
            return;
        }
        let area = (canvas.width * canvas.height) as f32 * uniform(random, self.erase_scale);
        let ratio = log_uniform(random, [0.5, 2.0]);
        let width = ((area * ratio).sqrt().round() as usize).min(canvas.width);
        let height = ((area / ratio).sqrt().round() as usize).min(canvas.height);
        let left = random.random_range(0..=canvas.width - width);
        let top = random.random_range(0..=canvas.height - height);
        for (plane, value) in canvas.planes.iter_mut().zip(color(random)) {
            for y in top..top + height {
                plane[y * canvas.width + left..][..width].fill(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn covers_the_share_asked_for() {
        let augment = Augment { erase: 1.0, erase_scale: [0.1, 0.1], ..Augment::default() };
        for seed in 0..50 {
            let mut canvas = Canvas::empty(64, 64);
            canvas.planes[0].fill(-1.0);
            augment.erase(&mut ChaCha8Rng::seed_from_u64(seed), &mut canvas);
            let covered = canvas.planes[0].iter().filter(|&&value| value >= 0.0).count();
            assert!((370..450).contains(&covered), "{covered} of 4096");
        }
    }
}
