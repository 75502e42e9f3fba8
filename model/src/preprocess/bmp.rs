//! BMP, and the same without its file header (DIB): Windows' headers from OS/2's 12 bytes to version 5, palettes of 1
//! to 8 bits, RLE of 4 and 8 bits, and 16 to 32 bits with masks. Read as Pillow reads it, also where a file is odd.

use super::raster::{Raster, check_pixels};
use crate::error::{Error, Result};
use crate::memory;

/// Bytes of the headers that exist.
const HEADERS: [u32; 7] = [12, 40, 52, 56, 64, 108, 124];

const RAW: u32 = 0;
const RLE8: u32 = 1;
const RLE4: u32 = 2;
const MASKS: u32 = 3;

struct Header {
    width: u32,
    height: u32,
    /// Whether the first row is the top one.
    top_down: bool,
    bits: u16,
    compression: u32,
    /// Red, green, blue, alpha.
    masks: [u32; 4],
    /// Blue, green, red, and sometimes a byte of padding.
    palette: Vec<[u8; 3]>,
    /// Where the pixels start.
    pixels_at: usize,
}

/// Whether these bytes start a BMP or DIB.
pub(super) fn recognized(encoded: &[u8]) -> bool {
    encoded.starts_with(b"BM") || long(encoded, 0).is_some_and(|size| HEADERS.contains(&size))
}

/// Decodes to RGB, or RGBA where there is an alpha mask.
pub(super) fn decode(encoded: &[u8], max_pixels: u64) -> Result<Raster> {
    let header = Header::read(encoded)?;
    check_pixels(header.width, header.height, max_pixels)?;
    let data = encoded.get(header.pixels_at..).unwrap_or_default();
    match (header.compression, header.bits) {
        (RAW, 1 | 2 | 4 | 8) => header.indexed(&header.unpacked(data)?),
        (RLE8, 8) | (RLE4, 4) => header.indexed(&header.runs(data)?),
        (RAW | MASKS, 16 | 24 | 32) => header.direct(data),
        (4 | 5, _) => Err(bad("a JPEG or PNG inside, which is for printers, is not supported")),
        (compression, bits) => {
            Err(bad(format!("compression {compression} with {bits} bits a pixel is not supported")))
        }
    }
}

fn bad(what: impl std::fmt::Display) -> Error {
    Error::Image(format!("BMP: {what}"))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl Header {
    fn read(encoded: &[u8]) -> Result<Header> {
        let file_header = if encoded.starts_with(b"BM") { 14 } else { 0 };
        Header::read_at(encoded, file_header).ok_or_else(|| bad("the header ends early"))?
    }

    /// None where the bytes end within the header.
    fn read_at(encoded: &[u8], at: usize) -> Option<Result<Header>> {
        let size = long(encoded, at)?;
        if !HEADERS.contains(&size) {
            return Some(Err(bad(format!("a header of {size} bytes is not supported"))));
        }
        let start = encoded.get(at..at + size as usize)?;
        let mut end = at + size as usize;
        let (width, height, bits, compression, colours, entry);
        let mut top_down = false;
        let mut masks = [0; 4];
        if size == 12 {
            (width, height) = (u32::from(short(start, 4)?), u32::from(short(start, 6)?));
            (bits, compression, colours, entry) = (short(start, 10)?, RAW, 0, 3);
        } else {
            let signed_height = long(start, 8)?;
            top_down = signed_height >> 24 == 0xff;
            (width, height) =
                (long(start, 4)?, if top_down { signed_height.wrapping_neg() } else { signed_height });
            (bits, compression, colours, entry) = (short(start, 14)?, long(start, 16)?, long(start, 32)?, 4);
            if compression == MASKS {
                // Behind a header of version 3, and in a longer one from the same place on.
                let count = if size >= 56 { 4 } else { 3 };
                for (n, mask) in masks.iter_mut().take(count).enumerate() {
                    *mask = long(encoded, at + 40 + 4 * n)?;
                }
                if size == 40 {
                    end += 12;
                }
            }
        }
        let mut palette = Vec::new();
        let mut pixels_at = if at == 0 { 0 } else { long(encoded, 10)? as usize };
        if bits <= 8 {
            let colours = if colours == 0 { 1 << bits } else { colours as usize };
            // Some programs forget the palette when they say where the pixels are.
            if at > 0 && pixels_at == 14 + size as usize {
                pixels_at = pixels_at.saturating_add(colours.saturating_mul(entry));
            }
            let entries = encoded.get(end..)?.chunks_exact(entry).take(colours.min(256));
            palette.extend(entries.map(|e| [e[2], e[1], e[0]]));
            end = end.saturating_add(colours.saturating_mul(entry));
        }
        if pixels_at == 0 {
            pixels_at = end;
        }
        Some(Ok(Header { width, height, top_down, bits, compression, masks, palette, pixels_at }))
    }

    /// Bytes of a row, which is padded to four.
    fn stride(&self) -> usize {
        (self.width as usize * usize::from(self.bits)).div_ceil(32) * 4
    }

    /// The stored rows from the top down.
    fn rows<'a>(&self, data: &'a [u8], stride: usize) -> Result<impl Iterator<Item = &'a [u8]>> {
        let (height, top_down) = (self.height as usize, self.top_down);
        // The last row's padding may be missing.
        let row = (self.width as usize * usize::from(self.bits)).div_ceil(8).min(stride);
        if data.len() < (height - 1) * stride + row {
            return Err(bad("the pixels end early"));
        }
        Ok((0..height).map(move |y| {
            let y = if top_down { y } else { height - 1 - y };
            &data[y * stride..][..row]
        }))
    }

    /// The palette's indices, one a byte, in the stored order of rows.
    fn unpacked(&self, data: &[u8]) -> Result<Vec<u8>> {
        let (width, bits) = (self.width as usize, usize::from(self.bits));
        let mut indices = memory::with_capacity("a BMP picture", width * self.height as usize)?;
        let stored = Header { top_down: true, palette: Vec::new(), ..*self };
        for row in stored.rows(data, self.stride())? {
            if bits == 8 {
                indices.extend_from_slice(row);
            } else {
                let mask = (1u8 << bits) - 1;
                indices.extend((0..width).map(|x| (row[x * bits / 8] >> (8 - bits - x * bits % 8)) & mask));
            }
        }
        Ok(indices)
    }

    /// The palette's indices of run-length encoded pixels. What is skipped has index 0, as in Pillow.
    fn runs(&self, data: &[u8]) -> Result<Vec<u8>> {
        let (width, total) = (self.width as usize, self.width as usize * self.height as usize);
        let four = self.compression == RLE4;
        let early = || bad("the pixels end early");
        let mut indices: Vec<u8> = memory::with_capacity("a BMP picture", total)?;
        let mut x = 0;
        let mut at = 0;
        while indices.len() < total {
            let &[count, value] =
                data.get(at..at + 2).and_then(|pair| pair.first_chunk()).ok_or_else(early)?;
            at += 2;
            let room = total - indices.len();
            match (count, value) {
                (0, 0) => {
                    let filled = indices.len().next_multiple_of(width).min(total);
                    indices.resize(filled, 0);
                    x = 0;
                }
                (0, 1) => break,
                (0, 2) => {
                    let &[right, up] =
                        data.get(at..at + 2).and_then(|pair| pair.first_chunk()).ok_or_else(early)?;
                    at += 2;
                    let skipped = usize::from(right) + usize::from(up) * width;
                    indices.resize(indices.len() + skipped.min(room), 0);
                    x = indices.len() % width;
                }
                (0, count) => {
                    let pixels = usize::from(count).min(room);
                    let bytes = if four { pixels.div_ceil(2) } else { pixels };
                    let literal = data.get(at..at + bytes).ok_or_else(early)?;
                    indices.extend((0..pixels).map(|n| index(literal, n, four)));
                    at += bytes + bytes % 2;
                    x += usize::from(count);
                }
                (count, value) => {
                    let pixels = usize::from(count).min(width.saturating_sub(x)).min(room);
                    indices
                        .extend((0..pixels).map(|n| if four { index(&[value], n % 2, true) } else { value }));
                    x += pixels;
                }
            }
        }
        indices.resize(total, 0);
        Ok(indices)
    }

    /// Indices through the palette.
    fn indexed(&self, indices: &[u8]) -> Result<Raster> {
        // Pillow takes a palette that is grey in order for none, and then indices beyond it are greys, too.
        let grey = self.palette.iter().enumerate().all(|(n, colour)| *colour == [n as u8; 3]);
        let mut colours: [[u8; 3]; 256] = std::array::from_fn(|n| if grey { [n as u8; 3] } else { [0; 3] });
        colours[..self.palette.len()].copy_from_slice(&self.palette);
        let width = self.width as usize;
        let mut rgb = memory::with_capacity("a BMP picture", 3 * indices.len())?;
        for y in 0..self.height as usize {
            let y = if self.top_down { y } else { self.height as usize - 1 - y };
            rgb.extend(indices[y * width..][..width].iter().flat_map(|&index| colours[usize::from(index)]));
        }
        Raster::new(self.width, self.height, 3, rgb)
    }

    /// 16, 24 or 32 bits a pixel.
    fn direct(&self, data: &[u8]) -> Result<Raster> {
        let masks = match (self.compression, self.bits, self.masks) {
            (MASKS, 32, [0, 0, 0, 0]) => [0xff_0000, 0xff00, 0xff, 0xff00_0000],
            (MASKS, 32, masks) => masks,
            // Alpha of 16 bits is no alpha to Pillow, nor to most viewers.
            (MASKS, _, [red, green, blue, _]) => [red, green, blue, 0],
            (_, 16, _) => [0x7c00, 0x3e0, 0x1f, 0],
            _ => [0xff_0000, 0xff00, 0xff, 0],
        };
        let channels = if masks[3] == 0 { 3 } else { 4 };
        let fields = masks.map(|mask| {
            let shift = if mask == 0 { 0 } else { mask.trailing_zeros() };
            (shift, mask >> shift)
        });
        if fields.iter().any(|(_, max)| max & max.wrapping_add(1) != 0) {
            return Err(bad(format!("masks {masks:x?} are not supported")));
        }
        let bytes = usize::from(self.bits / 8);
        let mut samples =
            memory::with_capacity("a BMP picture", self.width as usize * self.height as usize * channels)?;
        let whole_bytes = fields[..channels].iter().all(|&(shift, max)| max == 0xff && shift % 8 == 0);
        let places = fields.map(|(shift, _)| shift as usize / 8);
        for row in self.rows(data, self.stride())? {
            if whole_bytes {
                let pixels = row.chunks_exact(bytes);
                match channels {
                    3 => samples.extend(pixels.flat_map(|p| [p[places[0]], p[places[1]], p[places[2]]])),
                    _ => samples.extend(pixels.flat_map(|p| places.map(|place| p[place]))),
                }
                continue;
            }
            for pixel in row.chunks_exact(bytes) {
                let mut value = [0; 4];
                value[..bytes].copy_from_slice(pixel);
                let value = u32::from_le_bytes(value);
                samples.extend(fields[..channels].iter().map(|&(shift, max)| {
                    (u64::from(value >> shift & max) * 255 / u64::from(max.max(1))) as u8
                }));
            }
        }
        Raster::new(self.width, self.height, channels, samples)
    }
}

/// The index at position `n` of bytes with one or two indices each.
fn index(bytes: &[u8], n: usize, four: bool) -> u8 {
    match (four, n % 2) {
        (false, _) => bytes[n],
        (true, 0) => bytes[n / 2] >> 4,
        (true, _) => bytes[n / 2] & 15,
    }
}
