//! The list of files in a zip archive. PyTorch stores tensors as they are; TorchScript's code, which is not read, is
//! compressed.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use zip::CompressionMethod;
use zip::read::ZipArchive;
use zip::result::ZipError;

use crate::error::{Error, Result};

/// What every local file header begins with, and so an archive with anything in it.
pub(crate) const MAGIC: [u8; 4] = *b"PK\x03\x04";

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

/// Lists the files of an archive.
///
/// # Errors
/// [`Error::Weights`] for an archive that is damaged.
pub(super) fn entries(path: &Path, file: &File) -> Result<Vec<Entry>> {
    let damaged = |reason: String| Error::Weights {
        path: path.to_owned(),
        reason: format!("damaged or incomplete zip archive: {reason}"),
    };
    let unread = |e: ZipError| damaged(e.to_string());
    let end = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(unread)?;
    let mut entries = Vec::new();
    for i in 0..archive.len() {
        let entry = archive.by_index_raw(i).map_err(unread)?;
        let name = entry.name().map_err(unread)?.into_owned();
        let (size, held) = (entry.size(), entry.compressed_size());
        let stored = entry.compression() == CompressionMethod::Stored && !entry.encrypted() && size == held;
        let start =
            entry.data_start().filter(|start| start.checked_add(held).is_some_and(|last| last <= end));
        let start = start.ok_or_else(|| damaged(format!("{name} reaches beyond its end")))?;
        entries.push(Entry { name, start, size, stored });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clip_testkit::torch::zip_archive as archive;

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
