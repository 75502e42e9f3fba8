//! The order of the samples: an endless stream over epochs, shuffled from the seed.
//!
//! Each epoch visits each sample once. Its order depends on the seed and the epoch's number only: the shards in random
//! order, then a buffer out of which a random sample is handed on whenever the next one comes in.

use std::path::PathBuf;
use std::sync::Arc;

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::random::{Purpose, generator};
use crate::sample::Sample;
use crate::samples::{Place, Samples};
use crate::warnings::Warnings;

/// A sample drawn from the stream.
#[derive(Debug)]
pub(crate) struct Drawn {
    /// Its place in the endless stream, from 0.
    pub position: u64,
    /// Whether it is the first of its epoch.
    pub first: bool,
    /// Where it is from.
    pub place: Place,
    /// Samples without a picture or a caption that were left out since the stream was opened.
    pub unusable: u64,
    pub sample: Sample,
}

/// The endless stream from a position on.
pub(crate) struct Stream {
    shards: Arc<[PathBuf]>,
    seed: u64,
    buffer: usize,
    warnings: Warnings,
    epoch: Epoch,
    /// Samples left out in the epochs before.
    unusable: u64,
    /// Samples left out before the stream's start.
    unusable_at_start: u64,
}

/// One pass over the shards.
struct Epoch {
    number: u64,
    /// Position of its first sample.
    base: u64,
    /// Samples drawn from it.
    drawn: u64,
    random: ChaCha8Rng,
    samples: Samples,
    buffer: Vec<(Place, Sample)>,
}

impl Stream {
    /// The stream from sample number `start` on. What comes before is replayed without decoding; of the epochs before,
    /// only the first is read, to count its samples.
    ///
    /// # Errors
    /// As [`Stream::draw`].
    pub fn open(
        shards: Arc<[PathBuf]>,
        seed: u64,
        buffer: usize,
        start: u64,
        warnings: Warnings,
    ) -> Result<Stream> {
        let epoch = Epoch::new(&shards, seed, &warnings, 0, 0);
        let mut stream = Stream { shards, seed, buffer, warnings, epoch, unusable: 0, unusable_at_start: 0 };
        let mut left = start;
        while left > 0 {
            if stream.draw_from_epoch()?.is_some() {
                left -= 1;
                continue;
            }
            // The first epoch ended: all epochs have as many samples.
            let length = stream.epoch.drawn;
            if length == 0 {
                return Err(Error::NoShards);
            }
            stream.begin_epoch(start / length, start - start % length);
            left = start % length;
        }
        stream.unusable_at_start = stream.unusable + stream.epoch.samples.unusable();
        Ok(stream)
    }

    fn begin_epoch(&mut self, number: u64, base: u64) {
        self.unusable += self.epoch.samples.unusable();
        self.epoch = Epoch::new(&self.shards, self.seed, &self.warnings, number, base);
    }

    /// The next sample; there always is one.
    ///
    /// # Errors
    /// A shard that cannot be opened, is broken, or holds no samples.
    pub fn draw(&mut self) -> Result<Drawn> {
        loop {
            if let Some((place, sample)) = self.draw_from_epoch()? {
                let Epoch { base, drawn, samples, .. } = &self.epoch;
                let unusable = self.unusable + samples.unusable() - self.unusable_at_start;
                return Ok(Drawn { position: base + drawn - 1, first: *drawn == 1, place, unusable, sample });
            }
            let Epoch { number, base, drawn, .. } = self.epoch;
            if drawn == 0 {
                return Err(Error::NoShards);
            }
            self.begin_epoch(number + 1, base + drawn);
        }
    }

    fn draw_from_epoch(&mut self) -> Result<Option<(Place, Sample)>> {
        let epoch = &mut self.epoch;
        while epoch.buffer.len() < self.buffer {
            match epoch.samples.next_placed()? {
                Some(next) => epoch.buffer.push(next),
                None => break,
            }
        }
        if epoch.buffer.is_empty() {
            return Ok(None);
        }
        epoch.drawn += 1;
        let chosen = epoch.random.random_range(0..epoch.buffer.len());
        Ok(Some(epoch.buffer.swap_remove(chosen)))
    }
}

impl Epoch {
    fn new(shards: &Arc<[PathBuf]>, seed: u64, warnings: &Warnings, number: u64, base: u64) -> Epoch {
        let mut random = generator(seed, Purpose::Order, number);
        let mut order: Vec<usize> = (0..shards.len()).collect();
        order.shuffle(&mut random);
        order.reverse();
        let samples = Samples::in_order(shards.clone(), order, warnings.clone());
        Epoch { number, base, drawn: 0, random, samples, buffer: Vec::new() }
    }
}
