//! WebDataset's format: a tar, plain or gzip, read as a stream of samples.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

use super::group::{Groups, LIMIT};
use super::{Reader, Shard};
use crate::byte_stream;
use crate::content::{no_tar, read_head};
use crate::error::{Error, Result};
use crate::fields::Fields;
use crate::sample::{Builder, Part, Sample, split};

/// Tar's unit, bytes.
const BLOCK: u64 = 512;
/// A picture or a text larger than this is refused rather than read into memory, bytes.
const MAX_FILE: u64 = 1 << 30;
const BUFFER: usize = 1 << 18;

/// The samples of one tar, in the order in which they become complete. Samples without a picture or a caption are left out
/// and counted.
pub(crate) struct Tar {
    shard: Shard,
    fields: Fields,
    archive: Archive,
    groups: Groups,
    /// Whether the archive was read to its end.
    ended: bool,
}

/// Counts what is read, to say where a shard is broken and to find the next block.
struct Archive {
    inner: Box<dyn Read + Send>,
    offset: u64,
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
                self.read_entry().map_err(|e| (start, printable(&e.to_string())))?
            else {
                // The end is a block of zeros; a file that just stops was cut.
                if self.offset == start {
                    return Err((start, "truncated: the end-of-archive block is missing".to_owned()));
                }
                // The rest carries gzip's checksum; and a command or a server may yet say that it failed.
                io::copy(self, &mut io::sink()).map_err(|e| (self.offset, e.to_string()))?;
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

impl Tar {
    /// # Errors
    /// Those of [`byte_stream::open`]; [`Error::NotATar`] when its beginning is known to be something else; [`Error::Read`] when it
    /// cannot be read.
    pub fn open(shard: Shard, fields: Fields) -> Result<Tar> {
        let unread = |source| Error::Read { shard: shard.location.clone(), source };
        let foreign = |reason| Error::NotATar { shard: shard.location.clone(), reason };
        let mut file = BufReader::with_capacity(BUFFER, byte_stream::open(&shard.location)?);
        let head = read_head(&mut file).map_err(unread)?;
        let gzip = head.starts_with(&[0x1f, 0x8b]);
        let inner: Box<dyn Read + Send> = if gzip {
            // One that cannot be unpacked is told of where it is read.
            let unpacked = MultiGzDecoder::new(Cursor::new(head).chain(file));
            let (unpacked, head, error) = begin_unpacked(unpacked);
            if let Some(reason) = no_tar(&head).filter(|_| error.is_none()) {
                return Err(foreign(format!("in gzip, {reason}")));
            }
            Box::new(BufReader::with_capacity(
                BUFFER,
                Cursor::new(head).chain(Failing(error)).chain(unpacked),
            ))
        } else {
            if let Some(reason) = no_tar(&head) {
                return Err(foreign(reason));
            }
            Box::new(Cursor::new(head).chain(file))
        };
        let archive = Archive { inner, offset: 0 };
        let groups = Groups::new(fields.captions, LIMIT);
        Ok(Tar { shard, fields, archive, groups, ended: false })
    }

    fn broken(&self, offset: u64, reason: String) -> Error {
        let sample = match self.groups.key() {
            Some(key) => format!("in sample `{key}`"),
            None => "before the first sample".to_owned(),
        };
        Error::Shard { shard: self.shard.location.clone(), offset, sample, reason }
    }

    fn finish(&mut self, builder: Builder) -> Option<Sample> {
        if builder.is_begun() {
            return self.shard.take(builder.finish(&self.fields));
        }
        if builder.has_class() {
            self.shard
                .note(&builder.key, "its class is not used: the .cls file lies behind the sample, or alone");
        }
        None
    }

    /// Leaves out what has waited longest while too much waits; in an archive in which nothing has become a sample, nothing will.
    fn make_room(&mut self) -> Result<()> {
        while self.groups.is_over() {
            if self.shard.found == 0 {
                let reason = format!(
                    "{} MiB of files came before the first sample was complete, and no more is held in memory: put the files \
                     of a sample next to each other (tar --sort=name), or make smaller shards",
                    LIMIT >> 20
                );
                return Err(self.broken(self.archive.offset, reason));
            }
            if let Some(oldest) = self.groups.take_oldest() {
                // It lacks something, and so is no sample.
                self.finish(oldest);
            }
        }
        Ok(())
    }
}

/// The first bytes of what is packed, and why there are no more.
fn begin_unpacked<R: BufRead>(
    mut file: MultiGzDecoder<R>,
) -> (MultiGzDecoder<R>, Vec<u8>, Option<io::Error>) {
    let mut head = Vec::new();
    let error = file.by_ref().take(crate::content::HEAD as u64).read_to_end(&mut head).err();
    (file, head, error)
}

/// Nothing, then an error where there is one.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

impl Reader for Tar {
    fn next(&mut self) -> Result<Option<(usize, Sample)>> {
        let number = self.shard.found as usize;
        while !self.ended {
            let Some(Member { key, part, bytes }) =
                self.archive.next().map_err(|(offset, reason)| self.broken(offset, reason))?
            else {
                self.ended = true;
                break;
            };
            let complete = self.groups.add(key, part, bytes);
            if let Some(sample) = complete.and_then(|builder| self.finish(builder)) {
                return Ok(Some((number, sample)));
            }
            self.make_room()?;
        }
        while let Some(builder) = self.groups.take() {
            if let Some(sample) = self.finish(builder) {
                return Ok(Some((number, sample)));
            }
        }
        if self.shard.found == 0 {
            return Err(self
                .shard
                .empty("the files of a sample share their name up to the first dot, as in a.jpg, a.txt"));
        }
        Ok(None)
    }

    fn unusable(&self) -> u64 {
        self.shard.unusable
    }
}
/// A reason that quotes bytes of the archive, without what a terminal would act upon.
fn printable(reason: &str) -> String {
    let shown = clip_model::excerpt(reason);
    shown.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
