//! A folder of pictures, each with its captions in a file beside it, or named by the folder that it is in.

use std::path::{Path, PathBuf};

use clip_model::files;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Reader, Shard};
use crate::error::{Error, Result};
use crate::fields::{CaptionSource, Fields};
use crate::sample::{Builder, Part, Sample, Unusable};
use crate::walk::walk;

/// The pictures of a folder and of the folders in it, with their captions.
pub(crate) struct Folder {
    shard: Shard,
    fields: Fields,
    folder: PathBuf,
    /// By their names.
    pictures: Vec<PathBuf>,
    /// What comes next is at the end.
    order: Vec<usize>,
}

impl Folder {
    /// In the order of the names, or in the one that `order` gives.
    ///
    /// # Errors
    /// [`Error::Read`] for a folder that cannot be read.
    pub fn open(shard: Shard, folder: &Path, fields: Fields, order: Option<ChaCha8Rng>) -> Result<Folder> {
        let mut pictures = Vec::new();
        walk(folder, &mut pictures)
            .map_err(|source| Error::Read { shard: shard.location.clone(), source })?;
        pictures.sort();
        let order = numbers(pictures.len(), order);
        Ok(Folder { shard, fields, folder: folder.to_owned(), pictures, order })
    }

    fn read(&self, path: &Path) -> Result<Sample, Unusable> {
        let key = path.strip_prefix(&self.folder).unwrap_or(path).with_extension("");
        let key = key.to_string_lossy().into_owned();
        let mut builder = Builder::new(match self.fields.captions {
            // The folder itself may be the class.
            CaptionSource::Folder => path.with_extension("").to_string_lossy().into_owned(),
            _ => key.clone(),
        });
        let part = match self.fields.captions {
            CaptionSource::Txt => Some((Part::Captions, "txt")),
            CaptionSource::Json => Some((Part::Json, "json")),
            CaptionSource::Folder => None,
        };
        if let Some((part, extension)) = part {
            let captions = path.with_extension(extension);
            if captions.exists() {
                builder.add(part, read(&captions, files::TEXT_LIMIT, &key)?);
            }
        }
        builder.add(Part::Image, read(path, files::IMAGE_LIMIT, &key)?);
        let named = |unusable: Unusable| Unusable { key: key.clone(), ..unusable };
        builder.finish(&self.fields).map(|sample| Sample { key: key.clone(), ..sample }).map_err(named)
    }
}

/// The numbers below `count`, the first one last, shuffled where there is a generator.
pub(super) fn numbers(count: usize, order: Option<ChaCha8Rng>) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..count).rev().collect();
    if let Some(mut random) = order {
        numbers.shuffle(&mut random);
    }
    numbers
}

/// A file of the sample `key`.
pub(super) fn read(path: &Path, limit: u64, key: &str) -> Result<Vec<u8>, Unusable> {
    files::read(path, limit).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        Unusable { key: key.to_owned(), reason: format!("{error}{}", cause.unwrap_or_default()) }
    })
}

impl Reader for Folder {
    fn next(&mut self) -> Result<Option<(usize, Sample)>> {
        while let Some(number) = self.order.pop() {
            let made = self.read(&self.pictures[number]);
            if let Some(sample) = self.shard.take(made) {
                return Ok(Some((number, sample)));
            }
        }
        match self.shard.found {
            0 => Err(self.shard.empty(match self.fields.captions {
                CaptionSource::Txt => {
                    "each picture of a folder has its captions in a .txt file of the same name beside it"
                }
                CaptionSource::Json => "each picture of a folder has a .json file of the same name beside it",
                CaptionSource::Folder => "the pictures lie in folders that are named after what they show",
            })),
            _ => Ok(None),
        }
    }

    fn unusable(&self) -> u64 {
        self.shard.unusable
    }
}
