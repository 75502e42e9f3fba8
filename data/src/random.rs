//! Random numbers: each use has a generator of its own, made from the run's seed, what it is for, and a position. So
//! nothing depends on which thread draws first, or on what was drawn before.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What the numbers are for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// The order of an epoch of a source; the position is the epoch.
    Order = 1,
    /// Caption and augmentation of a sample; the position is the sample's in the endless stream.
    Sample = 2,
    /// From which source each sample comes.
    Source = 3,
    /// The order within a shard of a source; the position is the epoch.
    Rows = 4,
}

/// The generator of the first source, or of all of them.
pub(crate) fn generator(seed: u64, purpose: Purpose, position: u64) -> ChaCha8Rng {
    generator_in(seed, purpose, position, [0, 0])
}

/// The generator of a source and, in it, a shard.
pub(crate) fn generator_in(
    seed: u64,
    purpose: Purpose,
    position: u64,
    [source, shard]: [usize; 2],
) -> ChaCha8Rng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = purpose as u8;
    bytes[9..16].copy_from_slice(&(source as u64).to_le_bytes()[..7]);
    bytes[16..24].copy_from_slice(&position.to_le_bytes());
    bytes[24..].copy_from_slice(&(shard as u64).to_le_bytes());
    ChaCha8Rng::from_seed(bytes)
}

/// True with this probability.
pub(crate) fn chance(random: &mut ChaCha8Rng, probability: f32) -> bool {
    probability > 0.0 && random.random::<f32>() < probability
}

/// Uniform in `low..high`; `low` when they are equal.
pub(crate) fn uniform(random: &mut ChaCha8Rng, [low, high]: [f32; 2]) -> f32 {
    low + (high - low) * random.random::<f32>()
}

/// Uniform within `most` to either side of 0.
pub(crate) fn symmetric(random: &mut ChaCha8Rng, most: f32) -> f32 {
    uniform(random, [-most, most])
}

/// Uniform in the logarithm; both ends above 0.
pub(crate) fn log_uniform(random: &mut ChaCha8Rng, [low, high]: [f32; 2]) -> f32 {
    uniform(random, [low.ln(), high.ln()]).exp()
}
