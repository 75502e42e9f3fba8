//! Draws from the distributions that the augmentations share.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// True with this probability.
pub(super) fn chance(random: &mut ChaCha8Rng, probability: f32) -> bool {
    probability > 0.0 && random.random::<f32>() < probability
}

/// Uniform in `low..high`; `low` when they are equal.
pub(super) fn uniform(random: &mut ChaCha8Rng, [low, high]: [f32; 2]) -> f32 {
    low + (high - low) * random.random::<f32>()
}

/// Uniform within `most` to either side of 0.
pub(super) fn symmetric(random: &mut ChaCha8Rng, most: f32) -> f32 {
    uniform(random, [-most, most])
}

/// Uniform in the logarithm; both ends above 0.
pub(super) fn log_uniform(random: &mut ChaCha8Rng, [low, high]: [f32; 2]) -> f32 {
    uniform(random, [low.ln(), high.ln()]).exp()
}

/// A colour out of the whole cube.
pub(super) fn color(random: &mut ChaCha8Rng) -> [f32; 3] {
    random.random()
}
