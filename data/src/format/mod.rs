//! The formats that data comes in; each file of this folder reads one.

mod folder;
mod group;
#[cfg(feature = "parquet")]
mod parquet;
mod table;
mod tar;

use std::path::Path;

use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::fields::Fields;
use crate::location::Location;
use crate::sample::{Sample, Unusable};
use crate::warnings::Warnings;

/// The samples of one shard.
pub(crate) trait Reader: Send {
    /// The next sample with its number in the shard, `None` after the last. Nothing is asked for after an error.
    ///
    /// # Errors
    /// A shard that is broken, or has no sample at all.
    fn next(&mut self) -> Result<Option<(usize, Sample)>>;

    /// Samples left out so far.
    fn unusable(&self) -> u64;
}

/// Opens a shard. Where samples can be reached in any order, `order` gives it; others come as they lie.
///
/// # Errors
/// A shard that is not there, or is something else than its name says.
pub(crate) fn open(
    location: &Location,
    fields: &Fields,
    order: Option<ChaCha8Rng>,
    warnings: &Warnings,
) -> Result<Box<dyn Reader>> {
    let shard = Shard { location: location.clone(), warnings: warnings.clone(), found: 0, unusable: 0 };
    let path = match (Format::of(location), location.path()) {
        (Format::Tar, _) => return Ok(Box::new(tar::Tar::open(shard, fields.clone())?)),
        (_, Some(path)) => path,
        (_, None) => {
            let reason = "a table is read from a file only: fetch it first".to_owned();
            return Err(Error::Table { shard: location.clone(), reason });
        }
    };
    Ok(match Format::of(location) {
        Format::Folder => Box::new(folder::Folder::open(shard, path, fields.clone(), order)?),
        Format::Parquet => parquet(shard, path, fields)?,
        _ => Box::new(table::Table::open(shard, path, fields, order)?),
    })
}

#[cfg(feature = "parquet")]
fn parquet(shard: Shard, path: &Path, fields: &Fields) -> Result<Box<dyn Reader>> {
    Ok(Box::new(parquet::Parquet::open(shard, path, fields)?))
}

#[cfg(not(feature = "parquet"))]
fn parquet(shard: Shard, _: &Path, _: &Fields) -> Result<Box<dyn Reader>> {
    let reason = "this program was built without reading Parquet".to_owned();
    Err(Error::Table { shard: shard.location, reason })
}

/// What a shard is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Tar,
    Folder,
    Table,
    Parquet,
}

impl Format {
    fn of(shard: &Location) -> Format {
        let name = match shard {
            Location::File(path) if path.is_dir() => return Format::Folder,
            Location::Command(_) => return Format::Tar,
            _ => shard.name().to_lowercase(),
        };
        match name.rsplit('.').next() {
            Some("csv" | "tsv") => Format::Table,
            Some("parquet") => Format::Parquet,
            _ => Format::Tar,
        }
    }
}

/// A shard that is being read: counts its samples, and says which are left out.
pub(crate) struct Shard {
    pub location: Location,
    warnings: Warnings,
    /// Samples that were handed on.
    pub found: u64,
    pub unusable: u64,
}

impl Shard {
    /// Passes on a sample, counts what is none.
    pub fn take(&mut self, made: Result<Sample, Unusable>) -> Option<Sample> {
        match made {
            Ok(sample) => {
                self.found += 1;
                Some(sample)
            }
            Err(Unusable { key, reason }) => {
                self.unusable += 1;
                self.warnings.say(&self.location, &key, reason);
                None
            }
        }
    }

    /// The error of a shard without a sample; `format` says what one is.
    pub fn empty(&self, format: &'static str) -> Error {
        Error::EmptyShard { shard: self.location.clone(), format, unusable: self.unusable }
    }

    /// Says something about a file that is no reason to leave out a sample.
    pub fn note(&self, key: &str, reason: &str) {
        self.warnings.note(&self.location, key, reason);
    }
}
