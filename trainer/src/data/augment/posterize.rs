//! Few levels in each channel, as flat drawings have.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::canvas::Canvas;
use super::{Augment, chance};

impl Augment {
    pub(super) fn posterize(&self, random: &mut ChaCha8Rng, canvas: &mut Canvas) {
        if chance(random, self.posterize) {
            let steps = f32::from(random.random_range(1..=5u8));
            canvas.planes[..3]
                .iter_mut()
                .flatten()
                .for_each(|value| *value = (*value * steps).round() / steps);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::collections::BTreeSet;

    #[test]
    fn leaves_two_to_six_levels() {
        for seed in 0..20 {
            let mut canvas = Canvas::empty(101, 1);
            (0..101).for_each(|x| canvas.planes[0][x] = x as f32 / 100.0);
            let augment = Augment { posterize: 1.0, ..Augment::default() };
            augment.posterize(&mut ChaCha8Rng::seed_from_u64(seed), &mut canvas);
            let levels: BTreeSet<u32> = canvas.planes[0].iter().map(|value| value.to_bits()).collect();
            assert!((2..=6).contains(&levels.len()));
            assert_eq!((canvas.planes[0][0], canvas.planes[0][100]), (0.0, 1.0));
        }
    }
}
