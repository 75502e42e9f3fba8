//! Patch dropout (Li et al. 2022, arXiv 2212.00794): in training a Vision Transformer sees some of an image's patches, so that a
//! step costs less. The class token always stays.

use clip_model::config::Family;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::Network;

/// What a pass leaves out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct PatchDropout {
    /// Share of the patches, below 1.
    pub share: f64,
    /// Which ones depends on it: the same number gives the same patches.
    pub seed: u64,
}

impl PatchDropout {
    /// `[B, first + patches, D]` with fewer patches, other ones for each image, in no order: their positions are in them already.
    pub(super) fn apply(self, x: &Tensor, first: i64) -> Tensor {
        let (batch, tokens, width) = (x.size()[0], x.size()[1], x.size()[2]);
        let patches = tokens - first;
        let kept = ((patches as f64 * (1.0 - self.share)) as i64).max(1);
        if self.share <= 0.0 || kept >= patches {
            return x.shallow_clone();
        }
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut chosen = Vec::with_capacity((batch * (first + kept)) as usize);
        let mut order: Vec<i64> = (first..tokens).collect();
        for _ in 0..batch {
            let (some, _) = order.partial_shuffle(&mut random, kept as usize);
            chosen.extend((0..first).chain(some.iter().copied()));
        }
        let chosen = Tensor::from_slice(&chosen).view([batch, first + kept, 1]).to_device(x.device());
        x.gather(1, &chosen.expand([batch, first + kept, width], false), false)
    }
}

impl Network {
    /// Tokens in front of an image's patches.
    pub(super) fn first_patch(&self) -> i64 {
        match self.config.family {
            Family::Clip => 1,
            Family::SigLip => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn the_class_token_stays_and_patches_are_drawn_for_each_image() {
        let x = Tensor::arange(17, (Kind::Float, Device::Cpu)).view([1, 17, 1]).expand([64, 17, 1], true);
        let half = PatchDropout { share: 0.5, seed: 3 };
        let found = half.apply(&x, 1);
        assert_eq!(found.size(), [64, 9, 1]);
        assert_eq!(found, half.apply(&x, 1));
        assert_ne!(found, PatchDropout { seed: 4, ..half }.apply(&x, 1));
        let mut counts = [0; 17];
        for image in 0..64 {
            let row: Vec<f32> = Vec::try_from(found.get(image).view([-1])).unwrap();
            assert_eq!(row[0], 0.0);
            let different: std::collections::HashSet<u32> = row.iter().map(|&token| token as u32).collect();
            assert_eq!(different.len(), 9, "{row:?}");
            row.iter().for_each(|&token| counts[token as usize] += 1);
        }
        assert!(counts[1..].iter().all(|&count| (16..48).contains(&count)), "{counts:?}");
        assert_eq!(PatchDropout::default().apply(&x, 1), x);
    }
}
