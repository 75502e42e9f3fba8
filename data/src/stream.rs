//! The order of the samples of one source: an endless stream over epochs, shuffled from the seed.
//!
//! An exact epoch visits each sample once; a resampled one draws as many shards as there are, each any number of times. Its order
//! depends on the seed and the epoch's number only: the shards in random order, then a buffer out of which a random sample is handed
//! on whenever the next one comes in. Where several machines train together, each takes its part of an epoch's shards in
//! [`order`], and all else stays.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::error::Result;
use crate::lengths::Lengths;
use crate::pass::{Pass, Place, Plan};
use crate::random::{Purpose, generator_in};
use crate::sample::Sample;
use crate::warnings::Warnings;

/// How a source is shuffled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shuffle {
    pub seed: u64,
    /// The number of the source.
    pub source: usize,
    /// Samples among which the next one is drawn.
    pub buffer: usize,
    /// Shards are drawn with replacement.
    pub resampled: bool,
}

/// The endless stream of a source from a position on.
pub(crate) struct Stream {
    plan: Plan,
    shuffle: Shuffle,
    warnings: Warnings,
    epoch: Epoch,
    /// Samples of each shard, once they were counted.
    lengths: Lengths,
    /// Whether that has changed since it was asked for.
    counted: bool,
    /// Samples and shards left out in the epochs before.
    left_out: LeftOut,
    /// Those left out before the stream's start.
    at_start: LeftOut,
}

/// What could not be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Samples without a picture or a caption.
    pub samples: u64,
    /// Shards that are broken or missing, each time that they are met.
    pub shards: u64,
}

/// One pass over the shards.
struct Epoch {
    number: u64,
    /// Samples drawn from it.
    drawn: u64,
    random: ChaCha8Rng,
    pass: Pass,
    buffer: Vec<(Place, Sample)>,
}

impl Stream {
    /// The stream from sample number `start` on. What comes before is replayed without decoding; of the epochs before, those
    /// are passed over whose shards were all counted, here or before (`lengths`, one for each shard, or none).
    ///
    /// # Errors
    /// As [`Stream::draw`].
    pub fn open(
        plan: Plan,
        shuffle: Shuffle,
        start: u64,
        lengths: &[Option<u64>],
        warnings: Warnings,
    ) -> Result<Stream> {
        let count = plan.shards.len();
        let epoch = Epoch::new(count, shuffle, &warnings, 0);
        let known = if lengths.len() == count { lengths.to_vec() } else { vec![None; count] };
        let mut stream = Stream {
            plan,
            shuffle,
            warnings,
            epoch,
            lengths: Lengths(known),
            counted: true,
            left_out: LeftOut::default(),
            at_start: LeftOut::default(),
        };
        let mut left = start;
        while left > 0 {
            let number = stream.epoch.number;
            if stream.epoch.drawn == 0
                && let Some(length @ 1..) = stream.length(number)
                && left >= length
            {
                // All exact epochs have as many samples.
                let passed = if stream.shuffle.resampled { 1 } else { left / length };
                stream.begin_epoch(number + passed);
                left -= passed * length;
            } else if stream.draw_from_epoch()?.is_some() {
                left -= 1;
            } else {
                stream.end_epoch()?;
            }
        }
        stream.at_start = stream.all_left_out();
        Ok(stream)
    }

    /// Samples of an epoch, when all its shards were counted.
    fn length(&self, epoch: u64) -> Option<u64> {
        order(self.plan.shards.len(), self.shuffle, epoch).1.iter().map(|&shard| self.lengths.0[shard]).sum()
    }

    /// Samples of each shard, when more of them were counted since this was asked for.
    pub fn newly_counted(&mut self) -> Option<&[Option<u64>]> {
        std::mem::take(&mut self.counted).then_some(&self.lengths.0)
    }

    fn begin_epoch(&mut self, number: u64) {
        self.left_out = self.all_left_out();
        self.epoch = Epoch::new(self.plan.shards.len(), self.shuffle, &self.warnings, number);
    }

    fn end_epoch(&mut self) -> Result<()> {
        let others = self.shuffle.resampled && self.lengths.0.iter().any(|length| *length != Some(0));
        if self.epoch.drawn == 0 && !others {
            return Err(self.epoch.pass.nothing());
        }
        self.begin_epoch(self.epoch.number + 1);
        Ok(())
    }

    fn all_left_out(&self) -> LeftOut {
        let LeftOut { samples, shards } = self.left_out;
        let pass = &self.epoch.pass;
        LeftOut { samples: samples + pass.unusable(), shards: shards + pass.bad() }
    }

    /// What was left out since the stream was opened.
    pub fn left_out(&self) -> LeftOut {
        let all = self.all_left_out();
        LeftOut { samples: all.samples - self.at_start.samples, shards: all.shards - self.at_start.shards }
    }

    /// The next sample, where it is from, and whether it is the first of its epoch; there always is one.
    ///
    /// # Errors
    /// A shard that cannot be opened, is broken, or holds no samples; where those are skipped, a whole epoch without a sample.
    pub fn draw(&mut self) -> Result<(Place, Sample, bool)> {
        loop {
            if let Some((place, sample)) = self.draw_from_epoch()? {
                return Ok((place, sample, self.epoch.drawn == 1));
            }
            self.end_epoch()?;
        }
    }

    fn draw_from_epoch(&mut self) -> Result<Option<(Place, Sample)>> {
        let epoch = &mut self.epoch;
        while epoch.buffer.len() < self.shuffle.buffer {
            let next = epoch.pass.next(&self.plan)?;
            for (shard, length) in epoch.pass.take_lengths() {
                self.lengths.0[shard] = Some(length);
                self.counted = true;
            }
            match next {
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

/// The shards of an epoch in order, and the generator that goes on behind it.
fn order(count: usize, shuffle: Shuffle, epoch: u64) -> (ChaCha8Rng, Vec<usize>) {
    let mut random = generator_in(shuffle.seed, Purpose::Order, epoch, [shuffle.source, 0]);
    if shuffle.resampled {
        let drawn = (0..count).map(|_| random.random_range(0..count)).collect();
        return (random, drawn);
    }
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut random);
    order.reverse();
    (random, order)
}

impl Epoch {
    fn new(count: usize, shuffle: Shuffle, warnings: &Warnings, number: u64) -> Epoch {
        let (random, order) = order(count, shuffle, number);
        // A buffer of 1 is for those who want a shard's own order.
        let rows = move |shard| {
            let random = generator_in(shuffle.seed, Purpose::Rows, number, [shuffle.source, shard]);
            (shuffle.buffer > 1).then_some(random)
        };
        Epoch { number, drawn: 0, random, pass: Pass::new(order, rows, warnings.clone()), buffer: Vec::new() }
    }
}
