//! What a loader's samples came to: which could be used, and when too many could not.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::location::Location;
use crate::options::{LoaderOptions, MANY};
use crate::pool::Done;
use crate::stream::LeftOut;
use crate::warnings::Warnings;
use crate::worker::Prepared;

/// Counts what could not be used, to notice when it is too much.
pub(crate) struct Tally {
    shards: Arc<[Location]>,
    warnings: Warnings,
    max_skipped: f64,
    undecodable: u64,
    /// Of each source, the undecodable pictures of the current epoch, while it has nothing else; `None` also when its start was
    /// not seen.
    all: Vec<Option<u64>>,
    /// Samples taken.
    taken: u64,
    left_out: LeftOut,
    samples: Option<u64>,
    /// Key and reason of the last one that could not be decoded.
    last: (String, String),
    small_is_said: bool,
}

impl Tally {
    pub fn new(
        shards: Arc<[Location]>,
        sources: usize,
        options: &LoaderOptions,
        warnings: Warnings,
    ) -> Tally {
        Tally {
            shards,
            warnings,
            max_skipped: options.max_skipped,
            undecodable: 0,
            all: vec![None; sources],
            taken: 0,
            left_out: LeftOut::default(),
            samples: None,
            last: Default::default(),
            small_is_said: false,
        }
    }

    /// Passes on what was decoded, counts what was not.
    ///
    /// # Errors
    /// [`Error::Undecodable`] behind an epoch without a picture; what is no fault of the picture.
    pub fn count(&mut self, (drawn, prepared): Done) -> Result<Option<Prepared>> {
        let all = &mut self.all[drawn.source];
        if drawn.first
            && let Some(count @ 1..) = all.replace(0)
        {
            let (key, reason) = std::mem::take(&mut self.last);
            return Err(Error::Undecodable { count, key, reason });
        }
        self.taken += 1;
        (self.left_out, self.samples) = (drawn.left_out, drawn.samples);
        match prepared {
            Ok(prepared) => {
                *all = None;
                Ok(Some(prepared))
            }
            Err(Error::Model(error)) => {
                self.undecodable += 1;
                *all = all.map(|count| count + 1);
                self.last = (drawn.sample.key, error.to_string());
                self.warnings.say(&self.shards[drawn.place.0], &self.last.0, &self.last.1);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// Looks at the figures behind a batch of `size`.
    ///
    /// # Errors
    /// [`Error::TooManySkipped`].
    pub fn check_batch(&mut self, size: usize) -> Result<()> {
        let (skipped, met) = (self.skipped(), self.taken + self.left_out.samples);
        if met >= MANY && skipped as f64 > self.max_skipped * met as f64 {
            let reasons = self.warnings.skipped();
            return Err(Error::TooManySkipped { skipped, met, limit: self.max_skipped, reasons });
        }
        if let Some(samples) = self.samples.filter(|&samples| samples < size as u64 && !self.small_is_said) {
            self.small_is_said = true;
            self.warnings.once(&format!(
                "the data has {samples} samples, fewer than a batch of {size}: each batch holds some of them several times, and \
                 the loss takes their copies for other pairs"
            ));
        }
        Ok(())
    }

    /// Samples left out.
    pub fn skipped(&self) -> u64 {
        self.undecodable + self.left_out.samples
    }

    /// Shards left out.
    pub fn bad_shards(&self) -> u64 {
        self.left_out.shards
    }

    /// Samples of all shards, once they are known.
    pub fn samples(&self) -> Option<u64> {
        self.samples
    }
}
