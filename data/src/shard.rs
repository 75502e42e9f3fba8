//! One shard: a WebDataset tar, plain or gzip, read as a stream of samples.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clip_model::files;
use flate2::bufread::MultiGzDecoder;

use crate::error::{Error, Result};
use crate::sample::{Builder, Part, Sample, split};
use crate::warnings::Warnings;

/// Tar's unit, bytes.
const BLOCK: u64 = 512;
/// A picture or a text larger than this is refused rather than read into memory, bytes.
const MAX_FILE: u64 = 1 << 30;
const BUFFER: usize = 1 << 18;

/// The samples of one shard, in order. Samples without a picture or a caption are left out and counted.
pub(crate) struct Shard {
    path: PathBuf,
    archive: Archive,
    builder: Option<Builder>,
    warnings: Warnings,
    done: bool,
    found: u64,
    /// Samples left out so far.
    pub unusable: u64,
}

/// Counts what is read, to say where a shard is broken and to find the next block.
struct Archive {
    inner: Box<dyn Read + Send>,
    offset: u64,
    gzip: bool,
}

/// A file that belongs to a sample. One that is no part of it has no bytes.
struct Member {
    key: String,
    part: Option<Part>,
    bytes: Vec<u8>,
}

impl Read for Archive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// An entry of the archive, after which the next one can be read.
struct Entry {
    name: String,
    /// Its length in bytes, as announced.
    size: u64,
    /// The file that it is, where it belongs to a sample.
    member: Option<Member>,
    /// How many bytes of it were there.
    read: io::Result<u64>,
}

impl Archive {
    /// The next file that belongs to a sample, `None` at the archive's end; or at which byte it is broken, and how.
    fn next(&mut self) -> Result<Option<Member>, (u64, String)> {
        loop {
            let start = self.offset;
            let Some(Entry { name, size, member, read }) =
                self.read_entry().map_err(|e| (start, e.to_string()))?
            else {
                // The end is a block of zeros; a file that just stops was cut.
                if self.offset == start {
                    return Err((start, "truncated: the end-of-archive block is missing".to_owned()));
                }
                if self.gzip {
                    // The rest carries gzip's checksum.
                    io::copy(self, &mut io::sink()).map_err(|e| (self.offset, e.to_string()))?;
                }
                return Ok(None);
            };
            let read = read.map_err(|e| (self.offset, format!("`{name}`: {e}")))?;
            if read != size {
                return Err((self.offset, format!("truncated: `{name}` has {read} of its {size} bytes")));
            }
            if size > MAX_FILE && member.as_ref().is_some_and(|member| member.part.is_some()) {
                return Err((start, format!("`{name}` has {size} bytes, the limit is {MAX_FILE}")));
            }
            let padding = self.offset.next_multiple_of(BLOCK) - self.offset;
            let skipped = io::copy(&mut self.by_ref().take(padding), &mut io::sink())
                .map_err(|e| (self.offset, format!("after `{name}`: {e}")))?;
            if skipped != padding {
                return Err((self.offset, format!("truncated after `{name}`")));
            }
            if member.is_some() {
                return Ok(member);
            }
        }
    }

    /// The next entry, whether it belongs to a sample or not.
    fn read_entry(&mut self) -> io::Result<Option<Entry>> {
        // An archive of its own for each entry, so that the iterator need not borrow from itself; it also reads the long
        // names that lie in blocks before the entry.
        let mut archive = tar::Archive::new(self);
        let Some(mut entry) = archive.entries()?.next().transpose()? else { return Ok(None) };
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let size = entry.size();
        let mut bytes = Vec::new();
        let place = split(&name).filter(|_| entry.header().entry_type().is_file());
        let read = match place {
            Some((_, Some(_))) if size <= MAX_FILE => entry.read_to_end(&mut bytes).map(|n| n as u64),
            _ => io::copy(&mut entry, &mut io::sink()),
        };
        let member = place.map(|(key, part)| Member { key, part, bytes });
        Ok(Some(Entry { name, size, member, read }))
    }
}

impl Shard {
    /// # Errors
    /// As [`files::open`]; [`Error::Read`] when the file cannot be read.
    pub fn open(path: &Path, warnings: Warnings) -> Result<Shard> {
        let mut file = BufReader::with_capacity(BUFFER, files::open(path)?);
        let start = file.fill_buf().map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let gzip = start.starts_with(&[0x1f, 0x8b]);
        let inner: Box<dyn Read + Send> = match gzip {
            true => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file))),
            false => Box::new(file),
        };
        let (path, archive) = (path.to_owned(), Archive { inner, offset: 0, gzip });
        Ok(Shard { path, archive, builder: None, warnings, done: false, found: 0, unusable: 0 })
    }

    fn next_member(&mut self) -> Result<Option<Member>> {
        self.archive.next().map_err(|(offset, reason)| {
            let sample = match &self.builder {
                Some(builder) => format!("in sample `{}`", builder.key),
                None => "before the first sample".to_owned(),
            };
            Error::Shard { path: self.path.clone(), offset, sample, reason }
        })
    }

    /// Turns the collected files into a sample, or counts why they are none.
    fn finish(&mut self, builder: Option<Builder>) -> Option<Sample> {
        match builder?.finish() {
            Ok(sample) => {
                self.found += 1;
                Some(sample)
            }
            Err((key, reason)) => {
                self.unusable += 1;
                self.warnings.say(&self.path, &key, reason);
                None
            }
        }
    }

    fn next_sample(&mut self) -> Result<Option<Sample>> {
        while let Some(Member { key, part, bytes }) = self.next_member()? {
            let complete = match &self.builder {
                Some(builder) if builder.key == key => None,
                _ => self.builder.replace(Builder::new(key)),
            };
            if let (Some(builder), Some(part)) = (&mut self.builder, part) {
                builder.add(part, bytes);
            }
            if let Some(sample) = self.finish(complete) {
                return Ok(Some(sample));
            }
        }
        self.done = true;
        let last = self.builder.take();
        let sample = self.finish(last);
        if self.found == 0 {
            return Err(Error::EmptyShard { path: self.path.clone(), unusable: self.unusable });
        }
        Ok(sample)
    }
}

impl Iterator for Shard {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.next_sample();
        self.done |= next.is_err();
        next.transpose()
    }
}
