//! Strips and tiles of a TIFF: decompression and prediction.

use flate2::{Decompress, FlushDecompress};
use weezl::{BitOrder, LzwStatus, decode::Decoder};

use super::bad;
use super::fax::{self, Scheme};
use crate::error::Result;
use crate::memory;

/// How chunks are compressed, but for JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Fax(Scheme),
    Lzw,
    Deflate,
    PackBits,
}

/// Decompresses a chunk to `rows`, which are `width` pixels wide where that matters (fax).
pub(super) fn decompress(compression: Compression, data: &[u8], width: usize, rows: &mut [u8]) -> Result<()> {
    let whole = match compression {
        Compression::None => data.get(..rows.len()).map(|data| rows.copy_from_slice(data)).is_some(),
        Compression::Fax(scheme) => fax::decode(scheme, data, width, rows).is_some(),
        Compression::Lzw => unpack_lzw(data, rows),
        Compression::Deflate => {
            let mut inflate = Decompress::new(true);
            // What is wrong behind the last row, such as the checksum, is not needed.
            let _ = inflate.decompress(data, rows, FlushDecompress::Finish);
            inflate.total_out() == rows.len() as u64
        }
        Compression::PackBits => unpack_bits(data, rows),
    };
    if whole { Ok(()) } else { Err(bad("the pixels are damaged or end early")) }
}

fn unpack_lzw(data: &[u8], mut rows: &mut [u8]) -> bool {
    // Files from before TIFF 5.0 have the bits in the other order, and codes that grow later.
    let mut decoder = match data {
        [0, second, ..] if second & 1 == 1 => Decoder::new(BitOrder::Lsb, 8),
        _ => Decoder::with_tiff_size_switch(BitOrder::Msb, 8),
    };
    let mut rest = data;
    while !rows.is_empty() {
        let result = decoder.decode_bytes(rest, rows);
        rest = &rest[result.consumed_in..];
        rows = &mut rows[result.consumed_out..];
        match result.status {
            Ok(LzwStatus::Ok) if result.consumed_in + result.consumed_out > 0 => {}
            _ => break,
        }
    }
    rows.is_empty()
}

fn unpack_bits(mut data: &[u8], rows: &mut [u8]) -> bool {
    let mut at = 0;
    while at < rows.len() {
        let Some((&head, rest)) = data.split_first() else { return false };
        data = rest;
        match head as i8 {
            -128 => {}
            repeat @ ..0 => {
                let Some((&value, rest)) = data.split_first() else { return false };
                data = rest;
                let end = (at + 1 + usize::from(repeat.unsigned_abs())).min(rows.len());
                rows[at..end].fill(value);
                at = end;
            }
            count => {
                let count = (usize::from(count.unsigned_abs()) + 1).min(rows.len() - at);
                let Some((values, rest)) = data.split_at_checked(count) else { return false };
                rows[at..at + count].copy_from_slice(values);
                data = rest;
                at += count;
            }
        }
    }
    true
}

/// Bits of every byte in the other order (TIFF's FillOrder 2).
pub(super) fn reversed(data: &[u8]) -> Result<Vec<u8>> {
    let mut reversed = memory::with_capacity("a TIFF's strip", data.len())?;
    reversed.extend(data.iter().map(|byte| byte.reverse_bits()));
    Ok(reversed)
}

/// Adds the pixel before to every pixel of a row (TIFF's Predictor 2); samples are 1, 2 or 4 bytes.
pub(super) fn add_left(row: &mut [u8], samples: usize, bytes: usize, little_endian: bool) {
    let read = |row: &[u8]| {
        let add = |number: u32, byte: &u8| number << 8 | u32::from(*byte);
        if little_endian { row.iter().rev().fold(0, add) } else { row.iter().fold(0, add) }
    };
    let step = samples * bytes;
    for at in (step..row.len() / bytes * bytes).step_by(bytes) {
        if bytes == 1 {
            row[at] = row[at].wrapping_add(row[at - step]);
            continue;
        }
        let sum = read(&row[at..at + bytes]).wrapping_add(read(&row[at - step..at - step + bytes]));
        for n in 0..bytes {
            let shift = 8 * if little_endian { n } else { bytes - 1 - n };
            row[at + n] = (sum >> shift) as u8;
        }
    }
}

/// Undoes the prediction of floats (Predictor 3, Adobe's technical note 3): bytes of equal weight stand together, each
/// less the one a pixel before. The floats become big-endian.
pub(super) fn join_floats(row: &mut [u8], samples: usize, bytes: usize) -> Result<()> {
    for at in samples..row.len() {
        row[at] = row[at].wrapping_add(row[at - samples]);
    }
    let planes = memory::copy("a TIFF's row", row)?;
    let count = row.len() / bytes;
    for n in 0..count {
        for byte in 0..bytes {
            row[n * bytes + byte] = planes[byte * count + n];
        }
    }
    Ok(())
}
