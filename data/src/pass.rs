//! One pass over shards, in a given order.

use std::sync::Arc;
use std::vec::IntoIter;

use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::fields::Fields;
use crate::format::{Reader, open};
use crate::location::Location;
use crate::sample::Sample;
use crate::warnings::Warnings;

/// Which shard a sample is from, as an index into the list, and which one of the shard it is.
pub(crate) type Place = (usize, usize);

/// What is read, and how: the same in every pass.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub shards: Arc<[Location]>,
    pub fields: Fields,
    /// Go on behind shards that are broken or missing.
    pub skip_bad_shards: bool,
}

impl Plan {
    /// All of `shards`, none of which may be broken.
    pub fn new(shards: Arc<[Location]>) -> Plan {
        Plan { shards, fields: Fields::default(), skip_bad_shards: false }
    }
}

/// The generator of the order within a shard, where it is one whose samples can be reached in any order.
type Orders = Box<dyn Fn(usize) -> Option<ChaCha8Rng> + Send>;

/// A pass over shards.
pub(crate) struct Pass {
    /// Shards still to read.
    order: IntoIter<usize>,
    orders: Orders,
    current: Option<(usize, Box<dyn Reader>)>,
    warnings: Warnings,
    /// Samples of the current shard.
    found: u64,
    /// Samples left out in the shards before.
    unusable: u64,
    /// Samples of the shards that were read to their end, or to where they are broken.
    lengths: Vec<(usize, u64)>,
    bad: u64,
    last_bad: String,
}

impl Pass {
    /// Shards in this order; of a shard that has none of its own, `orders` gives the order of the samples.
    pub fn new(
        order: Vec<usize>,
        orders: impl Fn(usize) -> Option<ChaCha8Rng> + Send + 'static,
        warnings: Warnings,
    ) -> Pass {
        Pass {
            order: order.into_iter(),
            orders: Box::new(orders),
            current: None,
            warnings,
            found: 0,
            unusable: 0,
            lengths: Vec::new(),
            bad: 0,
            last_bad: String::new(),
        }
    }

    /// Samples left out so far.
    pub fn unusable(&self) -> u64 {
        self.unusable + self.current.as_ref().map_or(0, |(_, reader)| reader.unusable())
    }

    /// Shards left out so far, in whole or from some point on.
    pub fn bad(&self) -> u64 {
        self.bad
    }

    /// Numbers and samples of the shards that were read since this was asked before.
    pub fn take_lengths(&mut self) -> Vec<(usize, u64)> {
        std::mem::take(&mut self.lengths)
    }

    /// Why there is no sample when a whole pass over `count` shards gave none.
    pub fn nothing(&self) -> Error {
        match self.bad {
            0 => Error::NoShards,
            count => Error::AllBad { count, reason: self.last_bad.clone() },
        }
    }

    /// The next sample and its place, `None` after the last.
    ///
    /// # Errors
    /// A shard that cannot be opened, is broken, or holds no samples, where `plan` does not go on behind it. Nothing is asked for
    /// after an error.
    pub fn next(&mut self, plan: &Plan) -> Result<Option<(Place, Sample)>> {
        loop {
            let failed = match &mut self.current {
                Some((shard, reader)) => match reader.next() {
                    Ok(Some((number, sample))) => {
                        self.found += 1;
                        return Ok(Some(((*shard, number), sample)));
                    }
                    Ok(None) => {
                        self.leave();
                        continue;
                    }
                    Err(error) => Some(error),
                },
                None => {
                    let Some(number) = self.order.next() else { return Ok(None) };
                    let order = (self.orders)(number);
                    match open(&plan.shards[number], &plan.fields, order, &self.warnings) {
                        Ok(reader) => {
                            self.current = Some((number, reader));
                            None
                        }
                        Err(error) => {
                            self.lengths.push((number, 0));
                            Some(error)
                        }
                    }
                }
            };
            let Some(error) = failed else { continue };
            if !plan.skip_bad_shards {
                return Err(error);
            }
            self.bad += 1;
            self.last_bad = said(&error);
            self.warnings.skipped_shard(&self.last_bad);
            self.leave();
        }
    }

    /// Leaves the current shard.
    fn leave(&mut self) {
        if let Some((shard, reader)) = self.current.take() {
            self.unusable += reader.unusable();
            self.lengths.push((shard, std::mem::take(&mut self.found)));
        }
    }
}

/// An error with its causes, in one line.
fn said(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}
