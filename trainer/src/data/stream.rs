//! The order of the samples: an endless stream over epochs, shuffled from the seed.
//!
//! Each epoch visits each sample once. Its order depends on the seed and the epoch's number only: the shards in random
//! order, then a buffer out of which a random sample is handed on whenever the next one comes in.

use std::path::PathBuf;

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::random::{Purpose, generator};
use super::sample::Sample;
use super::shard::Shard;
use super::warnings::Warnings;
use crate::error::{Error, Result};

/// A sample drawn from the stream.
#[derive(Debug)]
pub(super) struct Drawn {
    /// Its place in the endless stream, from 0.
    pub position: u64,
    /// Whether it is the first of its epoch.
    pub first: bool,
    /// Which shard it came from, as an index into the list.
    pub shard: usize,
    /// Which sample of the shard it is.
    pub index: usize,
    /// Samples without a picture or a caption that were left out since the stream was opened.
    pub unusable: u64,
    pub sample: Sample,
}

/// The endless stream from a position on.
pub(super) struct Stream {
    shards: Vec<PathBuf>,
    seed: u64,
    buffer: usize,
    warnings: Warnings,
    epoch: Epoch,
    number: u64,
    /// Position of the current epoch's first sample.
    base: u64,
    /// Samples drawn from the current epoch.
    drawn: u64,
    /// Samples left out in the epochs before.
    unusable: u64,
}

/// One pass over the shards.
struct Epoch {
    random: ChaCha8Rng,
    /// Shards still to read, the next one last.
    order: Vec<usize>,
    current: Option<(usize, usize, Shard)>,
    buffer: Vec<(usize, usize, Sample)>,
    /// Samples left out in the shards that were read to their end.
    unusable: u64,
}

impl Stream {
    /// The stream from sample number `start` on. What comes before is replayed without decoding; of the
    /// epochs before, only the first is read, to count its samples.
    ///
    /// # Errors
    /// As [`Stream::draw`].
    pub fn open(
        shards: Vec<PathBuf>,
        seed: u64,
        buffer: usize,
        start: u64,
        warnings: Warnings,
    ) -> Result<Stream> {
        let epoch = Epoch::new(shards.len(), seed, 0);
        let buffer = buffer.max(1);
        let mut stream =
            Stream { shards, seed, buffer, warnings, epoch, number: 0, base: 0, drawn: 0, unusable: 0 };
        let mut left = start;
        while left > 0 {
            if stream.draw_from_epoch()?.is_some() {
                left -= 1;
                continue;
            }
            // The first epoch ended: all epochs have as many samples.
            let length = stream.drawn;
            if length == 0 {
                return Err(Error::NoShards);
            }
            stream.begin_epoch(start / length, start - start % length);
            left = start % length;
        }
        stream.unusable = 0u64.wrapping_sub(stream.epoch.unusable());
        Ok(stream)
    }

    fn begin_epoch(&mut self, number: u64, base: u64) {
        self.unusable = self.unusable.wrapping_add(self.epoch.unusable());
        self.epoch = Epoch::new(self.shards.len(), self.seed, number);
        (self.number, self.base, self.drawn) = (number, base, 0);
    }

    /// The next sample; there always is one.
    ///
    /// # Errors
    /// A shard that cannot be opened, is broken, or holds no samples.
    pub fn draw(&mut self) -> Result<Drawn> {
        loop {
            if let Some((shard, index, sample)) = self.draw_from_epoch()? {
                let position = self.base + self.drawn - 1;
                let unusable = self.unusable.wrapping_add(self.epoch.unusable());
                return Ok(Drawn { position, first: self.drawn == 1, shard, index, unusable, sample });
            }
            if self.drawn == 0 {
                return Err(Error::NoShards);
            }
            self.begin_epoch(self.number + 1, self.base + self.drawn);
        }
    }

    fn draw_from_epoch(&mut self) -> Result<Option<(usize, usize, Sample)>> {
        while self.epoch.buffer.len() < self.buffer {
            match self.epoch.read(&self.shards, &self.warnings)? {
                Some(next) => self.epoch.buffer.push(next),
                None => break,
            }
        }
        let length = self.epoch.buffer.len();
        if length == 0 {
            return Ok(None);
        }
        let chosen = self.epoch.random.random_range(0..length);
        self.drawn += 1;
        Ok(Some(self.epoch.buffer.swap_remove(chosen)))
    }
}

impl Epoch {
    fn new(shards: usize, seed: u64, number: u64) -> Epoch {
        let mut random = generator(seed, Purpose::Order, number);
        let mut order: Vec<usize> = (0..shards).collect();
        order.shuffle(&mut random);
        Epoch { random, order, current: None, buffer: Vec::new(), unusable: 0 }
    }

    fn unusable(&self) -> u64 {
        self.unusable + self.current.as_ref().map_or(0, |(_, _, shard)| shard.unusable)
    }

    /// The next sample as the shards hold them, `None` after the last.
    fn read(&mut self, shards: &[PathBuf], warnings: &Warnings) -> Result<Option<(usize, usize, Sample)>> {
        loop {
            if let Some((number, index, shard)) = &mut self.current {
                if let Some(sample) = shard.next() {
                    let place = (*number, *index);
                    *index += 1;
                    return Ok(Some((place.0, place.1, sample?)));
                }
                self.unusable += shard.unusable;
                self.current = None;
            }
            let Some(next) = self.order.pop() else { return Ok(None) };
            self.current = Some((next, 0, Shard::open(&shards[next], warnings.clone())?));
        }
    }
}
