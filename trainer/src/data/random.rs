//! Random numbers of the data's side: each use has a generator of its own, made from the run's seed, what it is for,
//! and a position. So nothing depends on which thread draws first, or on what was drawn before.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What the numbers are for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// The order of an epoch; the position is the epoch.
    Order = 1,
    /// Caption and augmentation of a sample; the position is the sample's in the endless stream.
    Sample = 2,
}

pub(super) fn generator(seed: u64, purpose: Purpose, position: u64) -> ChaCha8Rng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = purpose as u8;
    bytes[16..24].copy_from_slice(&position.to_le_bytes());
    ChaCha8Rng::from_seed(bytes)
}
