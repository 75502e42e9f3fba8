//! The order of the samples of all sources.

use std::sync::{Arc, Mutex, PoisonError};

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::dataset::DataSet;
use crate::error::{Error, Result};
use crate::lengths::Lengths;
use crate::options::LoaderOptions;
use crate::pass::{Place, Plan};
use crate::random::{Purpose, generator};
use crate::sample::Sample;
use crate::stream::{LeftOut, Shuffle, Stream};
use crate::warnings::Warnings;

/// A sample drawn from the data.
#[derive(Debug)]
pub(crate) struct Drawn {
    /// Its place in the endless stream, from 0.
    pub position: u64,
    /// The number of its source.
    pub source: usize,
    /// Whether it is the first of an epoch of its source.
    pub first: bool,
    /// Where it is from; shards are counted over all sources.
    pub place: Place,
    /// What was left out since the loader was started.
    pub left_out: LeftOut,
    /// Samples of all shards, once each was read to its end.
    pub samples: Option<u64>,
    pub sample: Sample,
}

/// The endless stream of all sources from a position on. Which source a sample comes from depends on the seed and the position.
pub(crate) struct Mixture {
    /// Each with the number of its first shard.
    streams: Vec<(usize, Stream)>,
    /// Sums of the weights, up to each source.
    sums: Vec<f64>,
    random: ChaCha8Rng,
    position: u64,
    /// Samples of all shards of all sources.
    lengths: Arc<Mutex<Lengths>>,
    samples: Option<u64>,
}

impl Mixture {
    /// The stream from [`LoaderOptions::start`] on, which keeps `lengths` up to date, one for each shard.
    ///
    /// # Errors
    /// As [`Mixture::draw`].
    pub fn open(
        data: &DataSet,
        options: &LoaderOptions,
        lengths: Arc<Mutex<Lengths>>,
        warnings: &Warnings,
    ) -> Result<Mixture> {
        let mut total = 0.0;
        let sums = data.sources().iter().map(|source| {
            total += source.weight;
            total
        });
        let mut mixture = Mixture {
            sums: sums.collect(),
            random: generator(options.seed, Purpose::Source, 0),
            streams: Vec::new(),
            position: options.start,
            lengths,
            samples: None,
        };
        let mut starts = vec![0; data.sources().len()];
        match starts.as_mut_slice() {
            [start] => *start = options.start,
            starts => (0..options.start).for_each(|_| starts[mixture.choose()] += 1),
        }
        let mut first = 0;
        for (number, source) in data.sources().iter().enumerate() {
            let (shards, count) = (source.shards.as_slice().into(), source.shards.len());
            let plan =
                Plan { shards, fields: options.fields.clone(), skip_bad_shards: options.skip_bad_shards };
            let LoaderOptions { seed, shuffle_buffer: buffer, resampled, .. } = *options;
            let shuffle = Shuffle { seed, source: number, buffer, resampled };
            let lengths = options.lengths.0.get(first..first + count).unwrap_or_default();
            let stream = Stream::open(plan, shuffle, starts[number], lengths, warnings.clone())?;
            mixture.streams.push((first, stream));
            mixture.note_lengths(number);
            first += count;
        }
        Ok(mixture)
    }

    /// The source of the next sample.
    fn choose(&mut self) -> usize {
        if let [_] = self.sums[..] {
            return 0;
        }
        let last = self.sums.len() - 1;
        let at = self.random.random::<f64>() * self.sums[last];
        self.sums.partition_point(|&sum| sum <= at).min(last)
    }

    /// The next sample; there always is one.
    ///
    /// # Errors
    /// As [`Stream::draw`].
    pub fn draw(&mut self) -> Result<Drawn> {
        let source = self.choose();
        let (first_shard, stream) = self.streams.get_mut(source).ok_or(Error::NoShards)?;
        let ((shard, number), sample, first) = stream.draw()?;
        let place = (*first_shard + shard, number);
        self.note_lengths(source);
        let (position, left_out) = (self.position, self.left_out());
        self.position += 1;
        Ok(Drawn { position, source, first, place, left_out, samples: self.samples, sample })
    }

    /// Tells what a source has counted.
    fn note_lengths(&mut self, source: usize) {
        let (first, stream) = &mut self.streams[source];
        if let Some(counted) = stream.newly_counted() {
            let mut lengths = self.lengths.lock().unwrap_or_else(PoisonError::into_inner);
            lengths.0[*first..*first + counted.len()].copy_from_slice(counted);
            self.samples = lengths.total();
        }
    }

    fn left_out(&self) -> LeftOut {
        self.streams.iter().map(|(_, stream)| stream.left_out()).fold(LeftOut::default(), |sum, one| {
            LeftOut { samples: sum.samples + one.samples, shards: sum.shards + one.shards }
        })
    }
}
