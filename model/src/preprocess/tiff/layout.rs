//! What a TIFF's tags say about its pixels.

use super::chunk::Compression;
use super::fax::Scheme;
use super::{Directory, bad};
use crate::error::Result;
use crate::memory;

/// Most samples of a pixel: colours, alpha and what else a program added.
const MAX_SAMPLES: usize = 8;

/// What a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sample {
    /// An unsigned number of any of the usual widths; 8-bit ones also where they are called signed, as in Pillow.
    Unsigned,
    /// A number without a white: what is outside of 0 to 255 is cut, as Pillow does it.
    Signed,
    Float,
}

/// What colours a pixel's first samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    Grey { white_is_zero: bool },
    Rgb,
    Palette,
    Cmyk,
    YCbCr,
    Lab,
}

/// What the sample after the colours is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alpha {
    Absent,
    Straight,
    /// The colours are multiplied with it.
    Premultiplied,
}

/// How the chunks are to be decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain(Compression),
    /// JPEG of TIFF 6.0's supplement 2: each chunk is a JPEG.
    Jpeg,
    /// That of TIFF 6.0 itself: the picture is one JPEG.
    OldJpeg,
}

/// The tags, checked and with their defaults.
pub(super) struct Layout {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) packing: Packing,
    pub(super) colours: Colours,
    pub(super) alpha: Alpha,
    pub(super) sample: Sample,
    /// Bits of a sample.
    pub(super) bits: usize,
    /// Samples of a pixel.
    pub(super) samples: usize,
    /// Whether each sample has chunks of its own.
    pub(super) separate: bool,
    /// Whether the bits of each byte stand in the other order.
    pub(super) reversed_bits: bool,
    pub(super) predictor: u64,
    /// YCbCr: how many pixels share their chroma, across and down.
    pub(super) sharing: (usize, usize),
    pub(super) tiled: bool,
    /// Width and height of a chunk.
    pub(super) chunk: (usize, usize),
}

impl Layout {
    pub(super) fn read(directory: &Directory) -> Result<Layout> {
        let number = |tag, default| directory.number(tag).unwrap_or(default);
        let side = |tag, name: &str| {
            let value = directory.number(tag).ok_or_else(|| bad(format!("no {name}")))?;
            u32::try_from(value).map_err(|_| bad(format!("a {name} of {value}")))
        };
        let (width, height) = (side(256, "width")?, side(257, "height")?);
        let packing = packing(number(259, 1), number(292, 0))?;
        let photometric = if packing == Packing::OldJpeg { 6 } else { number(262, 0) };
        let default = if packing == Packing::OldJpeg { 3 } else { 1 };
        let samples = usize::try_from(number(277, default)).unwrap_or(usize::MAX);
        if !(1..=MAX_SAMPLES).contains(&samples) {
            return Err(bad(format!("{samples} samples a pixel, at most {MAX_SAMPLES} are supported")));
        }
        let bits = bits(directory, samples)?;
        let (colours, base) = match (photometric, samples) {
            (0 | 1, _) | (6, 1) => (Colours::Grey { white_is_zero: photometric == 0 }, 1),
            (2, _) => (Colours::Rgb, 3),
            (3, _) => (Colours::Palette, 1),
            (5, _) => (Colours::Cmyk, 4),
            (6, _) => (Colours::YCbCr, 3),
            (8, _) => (Colours::Lab, 3),
            _ => return Err(bad(format!("photometric interpretation {photometric} is not supported"))),
        };
        if samples < base {
            return Err(bad(format!("{samples} samples a pixel, its colours have {base}")));
        }
        let extra = directory.numbers(338).and_then(|kinds| kinds.first().copied());
        let alpha = match extra {
            _ if samples == base || matches!(colours, Colours::Cmyk) => Alpha::Absent,
            Some(1) => Alpha::Premultiplied,
            // 999 is what CorelDRAW writes.
            Some(2 | 999) => Alpha::Straight,
            None if colours == Colours::Rgb && samples == 4 => Alpha::Straight,
            _ => Alpha::Absent,
        };
        // Samples beyond those need not be read where they lie apart.
        let separate = number(284, 1) == 2 && samples > 1;
        let samples = if separate { base + usize::from(alpha != Alpha::Absent) } else { samples };
        let tiled = directory.number(322).is_some() && directory.number(273).is_none();
        let side = |tag, largest: u32| {
            let value = usize::try_from(number(tag, u64::from(largest))).unwrap_or(usize::MAX);
            if value == 0 { Err(bad("tiles or strips of no pixels")) } else { Ok(value) }
        };
        let chunk = if tiled {
            (side(322, width)?, side(323, height)?)
        } else {
            (width as usize, side(278, height)?.min(height as usize))
        };
        let sharing = directory.numbers(530).filter(|sharing| sharing.len() == 2).unwrap_or(vec![2, 2]);
        let sharing = match (colours, sharing[0], sharing[1]) {
            (Colours::YCbCr, across @ (1 | 2 | 4), down @ (1 | 2 | 4)) => (across as usize, down as usize),
            (Colours::YCbCr, across, down) => return Err(bad(format!("chroma of {across}x{down} pixels"))),
            _ => (1, 1),
        };
        Ok(Layout {
            width,
            height,
            packing,
            colours,
            alpha,
            sample: sample(directory, bits)?,
            bits,
            samples,
            separate,
            reversed_bits: number(266, 1) == 2,
            predictor: number(317, 1),
            sharing,
            tiled,
            chunk,
        })
    }

    /// Where the chunks are, and how long; a length that is not known goes to the end of the file.
    pub(super) fn chunks(&self, directory: &Directory) -> Result<Vec<(u64, u64)>> {
        let (offsets, lengths) = if self.tiled { (324, 325) } else { (273, 279) };
        let offsets = directory.numbers(offsets).ok_or_else(|| bad("no pixels"))?;
        let lengths = directory.numbers(lengths).unwrap_or_default();
        let length = |n: usize| lengths.get(n).copied().filter(|&length| length > 0).unwrap_or(u64::MAX);
        let mut chunks = memory::with_capacity("a TIFF's strips", offsets.len())?;
        chunks.extend(offsets.iter().enumerate().map(|(n, &offset)| (offset, length(n))));
        Ok(chunks)
    }
}

fn packing(compression: u64, group3_options: u64) -> Result<Packing> {
    Ok(Packing::Plain(match compression {
        1 => Compression::None,
        2 => Compression::Fax(Scheme::Huffman),
        3 => Compression::Fax(Scheme::Group3 { two_dimensional: group3_options & 1 == 1 }),
        4 => Compression::Fax(Scheme::Group4),
        5 => Compression::Lzw,
        6 => return Ok(Packing::OldJpeg),
        7 => return Ok(Packing::Jpeg),
        8 | 32946 => Compression::Deflate,
        32773 => Compression::PackBits,
        other => {
            let name = match other {
                32809 => " (ThunderScan)",
                34712 => " (JPEG 2000)",
                34925 => " (LZMA)",
                50000 => " (Zstandard)",
                50001 => " (WebP)",
                _ => "",
            };
            return Err(bad(format!("compression {other}{name} is not supported")));
        }
    }))
}

/// Bits of a sample, the same for all.
fn bits(directory: &Directory, samples: usize) -> Result<usize> {
    let mut bits = directory.numbers(258).unwrap_or(vec![1]);
    bits.truncate(samples);
    if bits.len() == 1 {
        bits.resize(samples, bits[0]);
    }
    match bits[..] {
        [first @ (1 | 2 | 4 | 8 | 12 | 16 | 32), ..]
            if bits.len() == samples && bits.iter().all(|&b| b == first) =>
        {
            Ok(first as usize)
        }
        _ => Err(bad(format!("samples of {bits:?} bits are not supported"))),
    }
}

fn sample(directory: &Directory, bits: usize) -> Result<Sample> {
    let kinds = directory.numbers(339).unwrap_or(vec![1]);
    match (kinds[0], bits) {
        (kind, _) if kinds.iter().any(|&other| other != kind) => Err(bad("samples of several types")),
        (1 | 4, ..=16) | (2, 8) => Ok(Sample::Unsigned),
        (1 | 2, 16 | 32) => Ok(Sample::Signed),
        (3, 32) => Ok(Sample::Float),
        (kind, bits) => Err(bad(format!("samples of type {kind} with {bits} bits are not supported"))),
    }
}
