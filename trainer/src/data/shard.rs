//! One shard: a WebDataset tar, plain or gzip, read as a stream of samples.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use clip_model::files;
use flate2::bufread::MultiGzDecoder;

use super::sample::{Builder, Sample};
use super::warnings::Warnings;
use crate::error::{Error, Result};

/// Tar's unit, bytes.
const BLOCK: u64 = 512;
/// A picture or a text larger than this is refused rather than read into memory, bytes.
const MAX_FILE: u64 = 1 << 30;
const BUFFER: usize = 1 << 18;

/// The samples of one shard, in order. Samples without a picture or a caption are left out and counted.
pub(super) struct Shard {
    path: PathBuf,
    reader: Counting,
    builder: Option<Builder>,
    warnings: Warnings,
    gzip: bool,
    done: bool,
    found: u64,
    /// Samples left out so far.
    pub unusable: u64,
}

/// Counts what is read, to say where a shard is broken and to find the next block.
struct Counting {
    inner: Box<dyn Read + Send>,
    offset: u64,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// One file of the archive.
struct Member {
    name: String,
    /// Empty for the files that no sample needs.
    bytes: Vec<u8>,
}

impl Shard {
    /// # Errors
    /// As [`files::open`]; [`Error::Io`] when the file cannot be read.
    pub fn open(path: &Path, warnings: Warnings) -> Result<Shard> {
        let file = files::open(path)?;
        let mut file = BufReader::with_capacity(BUFFER, file);
        let start = io::BufRead::fill_buf(&mut file).map_err(|e| Error::io("read", path, e))?;
        let gzip = start.starts_with(&[0x1f, 0x8b]);
        let inner: Box<dyn Read + Send> = if gzip {
            Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file)))
        } else {
            Box::new(file)
        };
        Ok(Shard {
            path: path.to_owned(),
            reader: Counting { inner, offset: 0 },
            builder: None,
            warnings,
            gzip,
            done: false,
            found: 0,
            unusable: 0,
        })
    }

    /// Whether a file of this name is kept: a picture, captions or a class.
    fn wanted(name: &str) -> bool {
        super::sample::split(name).is_some_and(|(_, extension)| super::sample::Part::of(&extension).is_some())
    }

    /// The next regular file, `None` at the archive's end.
    fn next_member(&mut self) -> Result<Option<Member>> {
        loop {
            let start = self.reader.offset;
            // An archive of its own for each member, so that the iterator need not borrow from itself; it also reads
            // the long names that lie in blocks before the member.
            let mut archive = tar::Archive::new(&mut self.reader);
            let entry = archive.entries().map_err(|e| (start, e)).and_then(|mut entries| {
                entries.next().transpose().map_err(|e| (start, e)).map(|entry| {
                    entry.map(|mut entry| {
                        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                        let size = entry.size();
                        let regular = entry.header().entry_type().is_file();
                        let mut bytes = Vec::new();
                        let read = if regular && Self::wanted(&name) && size <= MAX_FILE {
                            entry.read_to_end(&mut bytes).map(|n| n as u64)
                        } else {
                            io::copy(&mut entry, &mut io::sink())
                        };
                        (name, size, regular, read, bytes)
                    })
                })
            });
            let entry = entry.map_err(|(at, e)| self.broken(at, &e.to_string()))?;
            let Some((name, size, regular, read, bytes)) = entry else {
                // The end is a block of zeros; a file that just stops was cut.
                if self.reader.offset == start {
                    return Err(self.broken(start, "truncated: the end-of-archive block is missing"));
                }
                if self.gzip {
                    // The rest carries gzip's checksum.
                    io::copy(&mut self.reader, &mut io::sink())
                        .map_err(|e| self.broken(self.reader.offset, &e.to_string()))?;
                }
                return Ok(None);
            };
            let read = read.map_err(|e| self.broken(self.reader.offset, &format!("`{name}`: {e}")))?;
            if read != size {
                let reason = format!("truncated: `{name}` has {read} of its {size} bytes");
                return Err(self.broken(self.reader.offset, &reason));
            }
            if regular && size > MAX_FILE && Self::wanted(&name) {
                return Err(
                    self.broken(start, &format!("`{name}` has {size} bytes, the limit is {MAX_FILE}"))
                );
            }
            let padding = self.reader.offset.next_multiple_of(BLOCK) - self.reader.offset;
            let skipped = io::copy(&mut (&mut self.reader).take(padding), &mut io::sink())
                .map_err(|e| self.broken(self.reader.offset, &format!("after `{name}`: {e}")))?;
            if skipped != padding {
                return Err(self.broken(self.reader.offset, &format!("truncated after `{name}`")));
            }
            if regular {
                return Ok(Some(Member { name, bytes }));
            }
        }
    }

    fn broken(&self, offset: u64, reason: &str) -> Error {
        let sample = match &self.builder {
            Some(builder) => format!("in sample `{}`", builder.key()),
            None => "before the first sample".to_owned(),
        };
        Error::Shard { path: self.path.clone(), offset, sample, reason: reason.to_owned() }
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
        while let Some(member) = self.next_member()? {
            let Some((key, extension)) = super::sample::split(&member.name) else { continue };
            let complete = match &self.builder {
                Some(builder) if builder.key() == key => None,
                _ => self.builder.replace(Builder::new(key)),
            };
            if let Some(builder) = &mut self.builder {
                builder.add(&extension, member.bytes);
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
