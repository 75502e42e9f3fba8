//! One sample: a picture with its captions.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use clip_model::preprocess::EXTENSIONS;

use super::shard::Shard;
use super::warnings::Warnings;
use crate::error::{Error, Result};

/// A picture with its captions, as a shard holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The name that the sample's files share, up to the first dot; folders included.
    pub key: String,
    /// At least one; none is blank.
    pub captions: Vec<String>,
    /// The encoded picture.
    pub image: Vec<u8>,
    /// The class, where the sample has a `.cls` file.
    pub class: Option<usize>,
}

/// What a file is to its sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Image,
    Captions,
    Class,
}

impl Part {
    pub fn of(extension: &str) -> Option<Part> {
        match extension {
            "txt" => Some(Part::Captions),
            "cls" => Some(Part::Class),
            other => EXTENSIONS.contains(&other).then_some(Part::Image),
        }
    }
}

/// Key and lower-case extension of a file in a shard: `a/b.c.PNG` is `a/b` and `c.png`. `None` for hidden files and
/// files without a dot, which belong to no sample.
pub(super) fn split(name: &str) -> Option<(String, String)> {
    let base = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = base + name[base..].find('.')?;
    (dot > base).then(|| (name[..dot].to_owned(), name[dot + 1..].to_lowercase()))
}

/// Collects the files of one sample.
#[derive(Debug)]
pub(super) struct Builder {
    key: String,
    image: Option<Vec<u8>>,
    captions: Option<Vec<u8>>,
    class: Option<Vec<u8>>,
}

impl Builder {
    pub fn new(key: String) -> Self {
        Builder { key, image: None, captions: None, class: None }
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    /// Of two files for the same part the first counts.
    pub fn add(&mut self, extension: &str, bytes: Vec<u8>) {
        match Part::of(extension) {
            Some(Part::Image) => self.image.get_or_insert(bytes),
            Some(Part::Captions) => self.captions.get_or_insert(bytes),
            Some(Part::Class) => self.class.get_or_insert(bytes),
            None => return,
        };
    }

    /// The sample, or its key and why the files are none.
    pub fn finish(self) -> std::result::Result<Sample, (String, &'static str)> {
        let key = self.key;
        let Some(image) = self.image else { return Err((key, "it has no image")) };
        let Some(captions) = self.captions else { return Err((key, "it has no .txt file")) };
        let Ok(captions) = String::from_utf8(captions) else {
            return Err((key, "its captions are not UTF-8"));
        };
        let captions: Vec<String> =
            captions.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        if captions.is_empty() {
            return Err((key, "its .txt file has no caption"));
        }
        let class = match self.class.map(|bytes| String::from_utf8_lossy(&bytes).trim().parse()) {
            None => None,
            Some(Ok(class)) => Some(class),
            Some(Err(_)) => return Err((key, "its .cls file is not a class number")),
        };
        Ok(Sample { key, captions, image, class })
    }
}

/// All samples of some shards, in order, once; for validation.
pub struct Samples {
    shards: VecDeque<PathBuf>,
    current: Option<Shard>,
    warnings: Warnings,
    unusable: u64,
}

/// The samples of `shards`, in order. The iterator ends after the first error: a shard that is missing, broken or
/// without samples. Samples without a picture or a caption are left out, with a warning on stderr.
pub fn samples(shards: &[PathBuf]) -> Samples {
    Samples {
        shards: shards.iter().cloned().collect(),
        current: None,
        warnings: Warnings::default(),
        unusable: 0,
    }
}

impl Samples {
    /// How many samples were left out so far.
    pub fn unusable(&self) -> u64 {
        self.unusable + self.current.as_ref().map_or(0, |shard| shard.unusable)
    }

    fn next_sample(&mut self) -> Result<Option<Sample>> {
        loop {
            if let Some(shard) = &mut self.current {
                if let Some(sample) = shard.next() {
                    return sample.map(Some);
                }
                self.unusable += shard.unusable;
                self.current = None;
            }
            let Some(path) = self.shards.pop_front() else { return Ok(None) };
            self.current = Some(Shard::open(&path, self.warnings.clone())?);
        }
    }
}

impl Iterator for Samples {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_sample();
        if next.is_err() {
            self.shards.clear();
            self.current = None;
        }
        next.transpose()
    }
}

/// All captions of `shards`, in order: what a vocabulary is trained from.
///
/// # Errors
/// As [`samples`]; [`Error::NoShards`] when there are none.
pub fn read_captions(shards: &[impl AsRef<Path>]) -> Result<Vec<String>> {
    if shards.is_empty() {
        return Err(Error::NoShards);
    }
    let shards: Vec<PathBuf> = shards.iter().map(|shard| shard.as_ref().to_owned()).collect();
    let mut captions = Vec::new();
    for sample in samples(&shards) {
        captions.extend(sample?.captions);
    }
    Ok(captions)
}

/// Opens each shard once, so that one that is missing shows before any work is done.
///
/// # Errors
/// [`Error::Model`] for what is not a file, [`Error::Io`] for what cannot be read.
pub fn check_shards(shards: &[PathBuf]) -> Result<()> {
    shards.iter().try_for_each(|path| Shard::open(path, Warnings::default()).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_end_at_the_first_dot_of_the_file_name() {
        let split = |name| split(name).map(|(k, e)| format!("{k} {e}"));
        assert_eq!(split("a/b.c.PNG").unwrap(), "a/b c.png");
        assert_eq!(split("v1.0/b.txt").unwrap(), "v1.0/b txt");
        assert_eq!(split("a/.hidden.png"), None);
        assert_eq!(split("README"), None);
    }

    #[test]
    fn blank_lines_are_no_captions() {
        let mut builder = Builder::new("k".into());
        builder.add("png", vec![1]);
        builder.add("jpg", vec![2]);
        builder.add("txt", b"one \r\n\n   \n two".to_vec());
        builder.add("json", vec![]);
        builder.add("cls", b"7\n".to_vec());
        let sample = builder.finish().unwrap();
        assert_eq!(sample.captions, ["one", "two"]);
        assert_eq!((sample.image, sample.class), (vec![1], Some(7)));
    }

    #[test]
    fn incomplete_samples_say_what_is_missing() {
        let reason = |files: &[(&str, &[u8])]| {
            let mut builder = Builder::new("k".into());
            files.iter().for_each(|(extension, bytes)| builder.add(extension, bytes.to_vec()));
            builder.finish().unwrap_err().1
        };
        assert_eq!(reason(&[("txt", b"a")]), "it has no image");
        assert_eq!(reason(&[("png", b"")]), "it has no .txt file");
        assert_eq!(reason(&[("png", b""), ("txt", b" \n")]), "its .txt file has no caption");
        assert_eq!(reason(&[("png", b""), ("txt", b"\xff")]), "its captions are not UTF-8");
        assert_eq!(
            reason(&[("png", b""), ("txt", b"a"), ("cls", b"x")]),
            "its .cls file is not a class number"
        );
    }
}
