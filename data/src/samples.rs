//! All samples of some shards, once.

use crate::byte_stream::is_stream;
use crate::error::Result;
use crate::fields::Fields;
use crate::format::open;
use crate::location::Location;
use crate::pass::{Pass, Plan};
use crate::sample::Sample;
use crate::skipped::Skipped;
use crate::warnings::{Warn, Warnings};

/// An iterator over the samples of some shards, see [`samples`].
pub struct Samples {
    plan: Plan,
    pass: Option<Pass>,
    warnings: Warnings,
    ended: bool,
}

/// The samples of `shards`, in order. The iterator ends after the first error: a shard that is missing, broken or
/// without samples. Samples without a picture or a caption are left out, with a warning.
pub fn samples<S: Clone + Into<Location>>(shards: &[S], warn: Warn) -> Samples {
    let plan = Plan::new(shards.iter().cloned().map(Into::into).collect());
    Samples { plan, pass: None, warnings: Warnings::new(warn), ended: false }
}

/// Opens each file once, so that one that is missing or something else than it should be shows before any work is done. Streams and
/// what is on servers are left alone.
///
/// # Errors
/// Those of a shard that cannot be read.
pub fn check_shards<S: Clone + Into<Location>>(shards: &[S]) -> Result<()> {
    check_shards_with(shards, &Fields::default())
}

/// [`check_shards`] of tables whose columns `fields` names.
///
/// # Errors
/// As [`check_shards`].
pub fn check_shards_with<S: Clone + Into<Location>>(shards: &[S], fields: &Fields) -> Result<()> {
    check(&shards.iter().cloned().map(Into::into).collect::<Vec<_>>(), fields)
}

/// [`check_shards_with`], of places.
pub(crate) fn check(shards: &[Location], fields: &Fields) -> Result<()> {
    let quiet = Warnings::new(|_| {});
    let mut files = shards.iter().filter(|shard| shard.path().is_some_and(|path| !is_stream(path)));
    files.try_for_each(|shard| open(shard, fields, None, &quiet).map(drop))
}

impl Samples {
    /// With captions and pictures from where `fields` says.
    pub fn with_fields(mut self, fields: Fields) -> Samples {
        self.plan.fields = fields;
        self
    }

    /// Whether the iterator goes on behind a shard that is missing, broken or empty; a warning tells of each.
    pub fn skipping_bad_shards(mut self, skip: bool) -> Samples {
        self.plan.skip_bad_shards = skip;
        self
    }

    /// How many shards were left out so far, in whole or from some point on.
    pub fn bad_shards(&self) -> u64 {
        self.pass.as_ref().map_or(0, Pass::bad)
    }

    /// How many samples were left out so far.
    pub fn unusable(&self) -> u64 {
        self.pass.as_ref().map_or(0, Pass::unusable)
    }

    /// The samples that were left out so far, by reason.
    pub fn skipped(&self) -> Skipped {
        self.warnings.skipped()
    }
}

impl Iterator for Samples {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let Samples { plan, pass, warnings, .. } = self;
        let order = || (0..plan.shards.len()).collect::<Vec<usize>>();
        let pass = pass.get_or_insert_with(|| Pass::new(order(), |_| None, warnings.clone()));
        let next = pass.next(plan);
        self.ended = !matches!(next, Ok(Some(_)));
        next.map(|found| found.map(|(_, sample)| sample)).transpose()
    }
}
