//! All samples of some shards, once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec::IntoIter;

use crate::error::Result;
use crate::sample::Sample;
use crate::shard::Shard;
use crate::skipped::Skipped;
use crate::warnings::{Warn, Warnings};

/// Which shard a sample is from, as an index into the list, and which one of the shard it is.
pub(crate) type Place = (usize, usize);

/// An iterator over the samples of some shards, see [`samples`].
pub struct Samples {
    shards: Arc<[PathBuf]>,
    /// Shards still to read.
    order: IntoIter<usize>,
    current: Option<(Place, Shard)>,
    warnings: Warnings,
    /// Samples left out in the shards that were read to their end.
    unusable: u64,
}

/// The samples of `shards`, in order. The iterator ends after the first error: a shard that is missing, broken or
/// without samples. Samples without a picture or a caption are left out, with a warning.
pub fn samples(shards: &[impl AsRef<Path>], warn: Warn) -> Samples {
    let shards: Arc<[PathBuf]> = shards.iter().map(|shard| shard.as_ref().to_owned()).collect();
    let order = (0..shards.len()).collect();
    Samples::in_order(shards, order, Warnings::new(warn))
}

/// Opens each shard once, so that one that is missing shows before any work is done.
///
/// # Errors
/// [`crate::Error::Model`] for what is not a file, [`crate::Error::Read`] for what cannot be read.
pub fn check_shards(shards: &[impl AsRef<Path>]) -> Result<()> {
    let quiet = Warnings::new(|_| {});
    shards.iter().try_for_each(|path| Shard::open(path.as_ref(), quiet.clone()).map(drop))
}

impl Samples {
    /// Shards in this order.
    pub(crate) fn in_order(shards: Arc<[PathBuf]>, order: Vec<usize>, warnings: Warnings) -> Samples {
        Samples { shards, order: order.into_iter(), current: None, warnings, unusable: 0 }
    }

    /// How many samples were left out so far.
    pub fn unusable(&self) -> u64 {
        self.unusable + self.current.as_ref().map_or(0, |(_, shard)| shard.unusable)
    }

    /// The samples that were left out so far, by reason.
    pub fn skipped(&self) -> Skipped {
        self.warnings.skipped()
    }

    /// The next sample and its place, `None` after the last.
    pub(crate) fn next_placed(&mut self) -> Result<Option<(Place, Sample)>> {
        loop {
            if let Some((next, shard)) = &mut self.current {
                if let Some(sample) = shard.next() {
                    let place = *next;
                    next.1 += 1;
                    return Ok(Some((place, sample?)));
                }
                self.unusable += shard.unusable;
                self.current = None;
            }
            let Some(number) = self.order.next() else { return Ok(None) };
            self.current = Some(((number, 0), Shard::open(&self.shards[number], self.warnings.clone())?));
        }
    }
}

impl Iterator for Samples {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_placed();
        if next.is_err() {
            (self.order, self.current) = (IntoIter::default(), None);
        }
        next.map(|found| found.map(|(_, sample)| sample)).transpose()
    }
}
