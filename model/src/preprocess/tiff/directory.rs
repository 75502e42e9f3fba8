//! The first directory of a TIFF file, classic or BigTIFF; EXIF data has the same form.

use crate::error::{Error, Result};
use crate::memory;

/// Largest number of values that is read of an entry: strips of a picture, or a colour map.
const MAX_VALUES: u64 = 1 << 24;

/// Tags and their values.
pub(in super::super) struct Directory<'a> {
    bytes: &'a [u8],
    little_endian: bool,
    entries: Vec<Entry>,
}

struct Entry {
    tag: u16,
    /// The type of the values, by TIFF's number.
    kind: u16,
    count: u64,
    /// Where the values are.
    at: u64,
}

/// Bytes of a value of this type; None for types that nobody knows.
fn size(kind: u16) -> Option<u64> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16 | 17 | 18 => Some(8),
        _ => None,
    }
}

/// All values, if there are all and memory for them.
fn collected<T>(count: usize, values: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let mut all = memory::with_capacity("a TIFF's values", count).ok()?;
    for value in values {
        all.push(value?);
    }
    Some(all)
}

impl<'a> Directory<'a> {
    /// Reads the directory. Entries of unknown types, and such whose values are beyond the end, are left out.
    ///
    /// # Errors
    /// [`Error::Image`] for bytes without a directory.
    pub(in super::super) fn read(bytes: &'a [u8]) -> Result<Directory<'a>> {
        Directory::read_entries(bytes).ok_or_else(|| Error::Image("TIFF: no directory".to_owned()))
    }

    fn read_entries(bytes: &'a [u8]) -> Option<Directory<'a>> {
        let little_endian = match bytes.get(..2)? {
            b"II" => true,
            b"MM" => false,
            _ => return None,
        };
        let mut directory = Directory { bytes, little_endian, entries: Vec::new() };
        // Some programs write the number of the format in the other byte order.
        let big = match directory.unsigned(2, 2)? {
            42 | 0x2a00 => false,
            43 => true,
            _ => return None,
        };
        // The width of an offset, of an entry's count, and of the number of entries.
        let (offset, entry, number) = if big { (8, 20, 8) } else { (4, 12, 2) };
        let start = directory.unsigned(if big { 8 } else { 4 }, offset)?;
        let count = directory.unsigned(start, number)?;
        let first = start.checked_add(number)?;
        for n in 0..count.min(1 << 16) {
            let at = n.checked_mul(entry)?.checked_add(first)?;
            let Some(read) = directory.entry(at, offset) else { break };
            let inside = |entry: &Entry| {
                let length = size(entry.kind).and_then(|size| size.checked_mul(entry.count));
                length
                    .and_then(|length| length.checked_add(entry.at))
                    .is_some_and(|end| end <= bytes.len() as u64)
            };
            if inside(&read) {
                directory.entries.push(read);
            }
        }
        Some(directory)
    }

    fn entry(&self, at: u64, offset: u64) -> Option<Entry> {
        let tag = self.unsigned(at, 2)? as u16;
        let kind = self.unsigned(at + 2, 2)? as u16;
        let count = self.unsigned(at + 4, offset)?;
        let value = at + 4 + offset;
        // What fits into the offset's place stands there.
        let far = size(kind).is_some_and(|size| size.saturating_mul(count) > offset);
        let at = if far { self.unsigned(value, offset)? } else { value };
        Some(Entry { tag, kind, count, at })
    }

    /// The `width` bytes at `at` as a number.
    fn unsigned(&self, at: u64, width: u64) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let bytes = self.bytes.get(at..at.checked_add(width as usize)?)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.little_endian { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) })
    }

    /// Whether the file's numbers have the low byte first.
    pub(super) fn little_endian(&self) -> bool {
        self.little_endian
    }

    fn find(&self, tag: u16) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    /// The bytes of a tag's values, of whatever type.
    pub(in super::super) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        let entry = self.find(tag)?;
        let length = size(entry.kind)?.checked_mul(entry.count)?;
        self.bytes.get(entry.at as usize..)?.get(..usize::try_from(length).ok()?)
    }

    /// A tag's values, of any numeric type but BYTE, which holds data.
    pub(super) fn reals(&self, tag: u16) -> Option<Vec<f64>> {
        let entry = self.find(tag).filter(|entry| entry.count > 0 && entry.count <= MAX_VALUES)?;
        let size = size(entry.kind)?;
        let value = |n: u64| {
            let at = entry.at + n * size;
            let whole = self.unsigned(at, size)?;
            Some(match entry.kind {
                3 | 4 | 13 | 16 | 18 => whole as f64,
                8 => f64::from(whole as u16 as i16),
                9 => f64::from(whole as u32 as i32),
                17 => whole as i64 as f64,
                5 => self.unsigned(at, 4)? as f64 / self.unsigned(at + 4, 4)? as f64,
                10 => {
                    let part = |at| Some(f64::from(self.unsigned(at, 4)? as u32 as i32));
                    part(at)? / part(at + 4)?
                }
                11 => f64::from(f32::from_bits(whole as u32)),
                12 => f64::from_bits(whole),
                _ => return None,
            })
        };
        collected(entry.count as usize, (0..entry.count).map(value))
    }

    /// A tag's values where all are whole numbers of at least 0.
    pub(super) fn numbers(&self, tag: u16) -> Option<Vec<u64>> {
        let whole = |value: f64| (value >= 0.0 && value.fract() == 0.0).then_some(value as u64);
        let reals = self.reals(tag)?;
        collected(reals.len(), reals.into_iter().map(whole))
    }

    /// A tag's first value, if it is a whole number of at least 0.
    pub(in super::super) fn number(&self, tag: u16) -> Option<u64> {
        self.numbers(tag)?.first().copied()
    }
}
