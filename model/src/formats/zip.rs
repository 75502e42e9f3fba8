//! The list of files in a zip archive. PyTorch stores tensors as they are; TorchScript's code, which is not read, is
//! compressed.
//!
//! Source of the layout: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.3 (zip64).

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::weights::read_at;

/// What every local file header begins with, and so an archive with anything in it.
pub(super) const MAGIC: [u8; 4] = *b"PK\x03\x04";

/// Largest list of files that is read, bytes. The largest published checkpoints have some 200 KB.
const LARGEST_DIRECTORY: u64 = 1 << 26;

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// First byte in the archive.
    pub(super) start: u64,
    pub(super) size: u64,
    /// Whether its bytes are there as they are, neither compressed nor encrypted.
    pub(super) stored: bool,
}

/// An open archive.
struct Archive<'a> {
    path: &'a Path,
    file: &'a File,
    size: u64,
}

/// Lists the files of an archive.
///
/// # Errors
/// [`Error::Weights`] for an archive that is damaged.
pub(super) fn entries(path: &Path, file: &File) -> Result<Vec<Entry>> {
    let size = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
    let archive = Archive { path, file, size };
    let (count, length, start) = archive.directory()?;
    let directory = archive.read(start, length)?;
    let mut rest = Fields { bytes: &directory };
    let mut entries = Vec::new();
    for _ in 0..count {
        let entry = rest.central_header().ok_or_else(|| archive.damaged("its list of files is cut off"))?;
        entries.push(archive.entry(entry)?);
    }
    Ok(entries)
}

/// What the list of files says of one of them.
struct Central {
    name: String,
    flags: u16,
    method: u16,
    stored: u64,
    size: u64,
    header: u64,
}

impl Archive<'_> {
    fn damaged(&self, reason: &str) -> Error {
        Error::Weights {
            path: PathBuf::from(self.path),
            reason: format!("damaged or incomplete zip archive: {reason}"),
        }
    }

    fn read(&self, start: u64, length: u64) -> Result<Vec<u8>> {
        if start.checked_add(length).is_none_or(|end| end > self.size) {
            return Err(self.damaged("it refers to bytes beyond its end"));
        }
        let mut bytes = vec![0; length as usize];
        read_at(self.file, self.path, &mut bytes, start)?;
        Ok(bytes)
    }

    /// Number of entries, length and start of the list of files.
    fn directory(&self) -> Result<(u64, u64, u64)> {
        /// Length of the end record without its comment, which is at most 65,535 bytes long.
        const END: u64 = 22;
        const LONGEST_COMMENT: u64 = 0xffff;
        let tail_start = self.size.saturating_sub(END + LONGEST_COMMENT);
        let tail = self.read(tail_start, self.size - tail_start)?;
        let mark = tail.windows(4).rposition(|window| window == b"PK\x05\x06");
        let mark = mark.ok_or_else(|| self.damaged("its end is missing"))?;
        let mut end = Fields { bytes: &tail[mark + 4..] };
        let fields = (|| {
            end.skip(6)?;
            Some((end.u16()?.into(), end.u32()?.into(), end.u32()?.into()))
        })();
        let (mut count, mut length, mut start): (u64, u64, u64) =
            fields.ok_or_else(|| self.damaged("its end is cut off"))?;
        if count == 0xffff || length == 0xffff_ffff || start == 0xffff_ffff {
            (count, length, start) = self.directory64(tail_start + mark as u64)?;
        }
        if length > LARGEST_DIRECTORY {
            return Err(self.damaged(&format!("its list of files has {length} bytes")));
        }
        Ok((count, length, start))
    }

    /// The same from the 64-bit records in front of the end record.
    fn directory64(&self, end: u64) -> Result<(u64, u64, u64)> {
        const LOCATOR: u64 = 20;
        const END64: u64 = 56;
        let missing = || self.damaged("its 64-bit end is missing");
        let locator = self.read(end.checked_sub(LOCATOR).ok_or_else(missing)?, LOCATOR)?;
        let mut locator = Fields { bytes: &locator };
        let start = (|| {
            locator.expect(b"PK\x06\x07")?;
            locator.skip(4)?;
            locator.u64()
        })();
        let record = self.read(start.ok_or_else(missing)?, END64)?;
        let mut record = Fields { bytes: &record };
        let fields = (|| {
            record.expect(b"PK\x06\x06")?;
            record.skip(28)?;
            Some((record.u64()?, record.u64()?, record.u64()?))
        })();
        fields.ok_or_else(missing)
    }

    fn entry(&self, central: Central) -> Result<Entry> {
        /// Length of a local header without name and extra fields.
        const LOCAL: u64 = 30;
        let Central { name, flags, method, stored, size, header } = central;
        let local = self.read(header, LOCAL)?;
        let mut local = Fields { bytes: &local };
        let skipped = (|| {
            local.expect(&MAGIC)?;
            local.skip(22)?;
            Some(u64::from(local.u16()?) + u64::from(local.u16()?))
        })();
        let skipped = skipped.ok_or_else(|| self.damaged(&format!("{name} has no header")))?;
        let start = header + LOCAL + skipped;
        let held = if method == 0 { size } else { stored };
        if start.checked_add(held).is_none_or(|end| end > self.size) {
            return Err(self.damaged(&format!("{name} reaches beyond its end")));
        }
        Ok(Entry { name, start, size, stored: flags & 1 == 0 && method == 0 && stored == size })
    }
}

/// Little-endian fields, read one after another; none where they end too early.
struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(n)?;
        self.bytes = rest;
        Some(taken)
    }

    fn skip(&mut self, n: usize) -> Option<()> {
        self.take(n).map(|_| ())
    }

    fn expect(&mut self, bytes: &[u8]) -> Option<()> {
        (self.take(bytes.len())? == bytes).then_some(())
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn central_header(&mut self) -> Option<Central> {
        self.expect(b"PK\x01\x02")?;
        self.skip(4)?;
        let (flags, method) = (self.u16()?, self.u16()?);
        self.skip(8)?;
        let (mut stored, mut size): (u64, u64) = (self.u32()?.into(), self.u32()?.into());
        let (name, extra, comment) = (self.u16()?, self.u16()?, self.u16()?);
        self.skip(8)?;
        let mut header: u64 = self.u32()?.into();
        let name = String::from_utf8_lossy(self.take(name.into())?).into_owned();
        let mut extra = Fields { bytes: self.take(extra.into())? };
        self.skip(comment.into())?;
        while let Some((id, length)) = extra.u16().zip(extra.u16()) {
            let mut field = Fields { bytes: extra.take(length.into())? };
            if id == 1 {
                // Only the sizes that do not fit above are there, in this order.
                for value in [&mut size, &mut stored, &mut header] {
                    if *value == 0xffff_ffff {
                        *value = field.u64()?;
                    }
                }
            }
        }
        Some(Central { name, flags, method, stored, size, header })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An archive of stored files; with `zip64`, all its sizes are in the 64-bit records.
    pub(in crate::formats) fn archive(files: &[(&str, &[u8])], zip64: bool) -> Vec<u8> {
        let (mut bytes, mut directory) = (Vec::new(), Vec::new());
        for (name, content) in files {
            let at = bytes.len() as u64;
            let (size, name_length) = (content.len() as u64, name.len() as u16);
            let sizes = |out: &mut Vec<u8>| {
                let short = if zip64 { u32::MAX } else { size as u32 };
                out.extend([short.to_le_bytes(), short.to_le_bytes()].concat());
            };
            bytes.extend(MAGIC);
            bytes.extend([0; 14]);
            sizes(&mut bytes);
            bytes.extend(name_length.to_le_bytes());
            bytes.extend(3u16.to_le_bytes()); // an extra field, as PyTorch's padding is one
            bytes.extend(name.as_bytes());
            bytes.extend([7; 3]);
            bytes.extend(*content);

            directory.extend(*b"PK\x01\x02");
            directory.extend([0; 16]);
            sizes(&mut directory);
            directory.extend(name_length.to_le_bytes());
            directory.extend(if zip64 { 28u16 } else { 0 }.to_le_bytes());
            directory.extend([0; 10]);
            directory.extend(if zip64 { u32::MAX } else { at as u32 }.to_le_bytes());
            directory.extend(name.as_bytes());
            if zip64 {
                directory.extend([1u16.to_le_bytes(), 24u16.to_le_bytes()].concat());
                directory.extend([size, size, at].map(u64::to_le_bytes).concat());
            }
        }
        let (start, length, count) = (bytes.len() as u64, directory.len() as u64, files.len() as u64);
        bytes.extend(directory);
        if zip64 {
            let record = bytes.len() as u64;
            bytes.extend(*b"PK\x06\x06");
            bytes.extend([0; 28]);
            bytes.extend([count, length, start].map(u64::to_le_bytes).concat());
            bytes.extend(*b"PK\x06\x07");
            bytes.extend([0; 4]);
            bytes.extend(record.to_le_bytes());
            bytes.extend([0; 4]);
        }
        bytes.extend(*b"PK\x05\x06");
        bytes.extend([0; 6]);
        bytes.extend(if zip64 { u16::MAX } else { count as u16 }.to_le_bytes());
        bytes.extend(if zip64 { u32::MAX } else { length as u32 }.to_le_bytes());
        bytes.extend(if zip64 { u32::MAX } else { start as u32 }.to_le_bytes());
        bytes.extend([0; 2]);
        bytes
    }

    fn list(bytes: &[u8]) -> Result<Vec<Entry>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        entries(file.path(), &File::open(file.path()).unwrap())
    }

    #[test]
    fn stored_files_are_found_with_short_and_long_sizes() {
        let files: [(&str, &[u8]); 3] =
            [("a/data.pkl", b"pickle"), ("a/data/0", b""), ("a/data/1", b"12345")];
        for zip64 in [false, true] {
            let bytes = archive(&files, zip64);
            let found = list(&bytes).unwrap();
            assert_eq!(found.len(), 3);
            for (entry, (name, content)) in found.iter().zip(files) {
                let (start, end) = (entry.start as usize, (entry.start + entry.size) as usize);
                assert_eq!((entry.name.as_str(), &bytes[start..end]), (name, content));
            }
        }
    }

    #[test]
    fn compressed_files_are_marked_and_damaged_archives_refused() {
        let whole = archive(&[("x", b"0123456789")], false);
        let mut compressed = whole.clone();
        let central = whole.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        compressed[central + 10] = 8;
        assert_eq!(list(&compressed).unwrap().iter().map(|entry| entry.stored).collect::<Vec<_>>(), [false]);
        assert!(list(&whole).unwrap()[0].stored);
        let mut beyond = whole.clone();
        beyond[central + 20..central + 28].fill(0x7f);
        assert!(list(&beyond).unwrap_err().to_string().contains("x reaches beyond its end"));
        for end in 0..whole.len() - 2 {
            assert!(list(&whole[..end]).is_err(), "cut at {end}");
        }
        for zip64 in [false, true] {
            let whole = archive(&[("x", b"0123456789")], zip64);
            for at in 0..whole.len() {
                for value in [0, 1, 0x7f, 0xff] {
                    let mut damaged = whole.clone();
                    damaged[at] = value;
                    let _ = list(&damaged);
                }
            }
        }
    }
}
