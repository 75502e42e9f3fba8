//! TIFF and BigTIFF, the first picture of a file: strips and tiles, samples together or apart, grey, RGB, palettes,
//! CMYK, YCbCr and L*a*b*, with alpha or without; uncompressed, CCITT, LZW, Deflate, PackBits and JPEG.
//!
//! Pillow, whose pixels are the reference, reads with libtiff; no Rust reader comes near the kinds that it knows.

mod chunk;
mod colour;
mod directory;
mod fax;
mod layout;

pub(super) use directory::Directory;

use chunk::{Compression, add_left, decompress, join_floats, reversed};
use colour::{YCbCr, lab_to_rgb, unmultiplied};
use layout::{Alpha, Colours, Layout, Packing, Sample};

use super::jpeg::{self, Jpeg, cmyk_to_rgb};
use super::orientation::Orientation;
use super::raster::{Raster, check_pixels};
use crate::error::{Error, Result};
use crate::memory;

/// Whether these bytes start a TIFF.
pub(super) fn recognized(encoded: &[u8]) -> bool {
    matches!(encoded, [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..])
        || matches!(encoded, [b'I', b'I', 0, 42, ..] | [b'M', b'M', 42, 0, ..])
}

fn bad(what: impl std::fmt::Display) -> Error {
    Error::Image(format!("TIFF: {what}"))
}

/// Decodes the first picture, turned as its orientation says.
pub(super) fn decode(encoded: &[u8], max_pixels: u64) -> Result<Raster> {
    let directory = Directory::read(encoded)?;
    let layout = Layout::read(&directory)?;
    check_pixels(layout.width, layout.height, max_pixels)?;
    let picture = Picture { encoded, directory: &directory, layout: &layout, max_pixels };
    let samples = match layout.packing {
        Packing::OldJpeg => picture.old_jpeg()?,
        _ => picture.samples()?,
    };
    picture.coloured(samples)?.oriented(Orientation::of_tiff(&directory))
}

struct Picture<'a> {
    encoded: &'a [u8],
    directory: &'a Directory<'a>,
    layout: &'a Layout,
    max_pixels: u64,
}

impl Picture<'_> {
    /// All samples of all pixels, 8 bits each; those of a palette are indices.
    fn samples(&self) -> Result<Vec<u8>> {
        let layout = self.layout;
        let (width, height) = (layout.width as usize, layout.height as usize);
        let (across, down) = (width.div_ceil(layout.chunk.0), height.div_ceil(layout.chunk.1));
        // What lies beyond the picture's edges is decompressed, too.
        let covered = [across, layout.chunk.0, down, layout.chunk.1].map(|n| n as u64);
        if covered.into_iter().fold(1, u64::saturating_mul) > self.max_pixels.max(1 << 20) {
            let (width, height) = layout.chunk;
            return Err(bad(format!(
                "tiles of {width}x{height} pixels need more than the limit on pictures"
            )));
        }
        let chunks = layout.chunks(self.directory)?;
        let planes = if layout.separate { layout.samples } else { 1 };
        let together = layout.samples / planes;
        let mut samples = memory::filled("a TIFF picture", 0, width * height * layout.samples)?;
        let rows = |plane| (0..down).flat_map(move |y| (0..across).map(move |x| (plane, x, y)));
        for (n, (plane, x, y)) in (0..planes).flat_map(rows).enumerate() {
            let &(offset, length) =
                chunks.get(n).ok_or_else(|| bad("fewer strips or tiles than the picture has"))?;
            let data = usize::try_from(offset).ok().and_then(|offset| self.encoded.get(offset..));
            let data = data.ok_or_else(|| bad("a strip or tile begins beyond the end of the file"))?;
            let data = match layout.packing {
                // Its length is known from the picture's size; the one in the file may be anything.
                Packing::Plain(Compression::None) => data,
                _ => &data[..usize::try_from(length).unwrap_or(usize::MAX).min(data.len())],
            };
            let (left, top) = (x * layout.chunk.0, y * layout.chunk.1);
            // The last strip is as high as the picture goes on; tiles are whole.
            let rows = if layout.tiled { layout.chunk.1 } else { layout.chunk.1.min(height - top) };
            let chunk = self.chunk(data, rows, together)?;
            let visible = (layout.chunk.0.min(width - left), rows.min(height - top));
            for row in 0..visible.1 {
                let source = &chunk[row * layout.chunk.0 * together..][..visible.0 * together];
                let start = ((top + row) * width + left) * layout.samples + plane;
                if planes == 1 {
                    samples[start..start + source.len()].copy_from_slice(source);
                } else {
                    let places = samples[start..].iter_mut().step_by(layout.samples);
                    places.zip(source).for_each(|(place, &sample)| *place = sample);
                }
            }
        }
        Ok(samples)
    }

    /// The samples of a chunk, 8 bits each; `together` for a pixel.
    fn chunk(&self, data: &[u8], rows: usize, together: usize) -> Result<Vec<u8>> {
        let layout = self.layout;
        let width = layout.chunk.0;
        let Packing::Plain(compression) = layout.packing else {
            return self.jpeg(data, rows, together);
        };
        let turned;
        let data = if layout.reversed_bits {
            turned = reversed(data)?;
            &turned
        } else {
            data
        };
        let (shared_across, shared_down) = if layout.separate { (1, 1) } else { layout.sharing };
        if (shared_across, shared_down) != (1, 1) {
            return self.shared_chroma(data, compression, rows);
        }
        let row_bytes = (width * together * layout.bits).div_ceil(8);
        let mut packed = memory::filled("a TIFF's strip", 0, row_bytes * rows)?;
        decompress(compression, data, width, &mut packed)?;
        let mut little_endian = self.directory.little_endian();
        let bytes = layout.bits / 8;
        for row in packed.chunks_exact_mut(row_bytes) {
            match (layout.predictor, layout.bits) {
                (1, _) => {}
                (2, 8 | 16 | 32) => add_left(row, together, bytes, little_endian),
                (3, 32) if layout.sample == Sample::Float => join_floats(row, together, bytes)?,
                (other, bits) => {
                    return Err(bad(format!("predictor {other} with {bits} bits is not supported")));
                }
            }
        }
        if layout.predictor == 3 {
            little_endian = false;
        }
        if layout.bits == 8 && layout.sample == Sample::Unsigned && !self.inverted() {
            return Ok(packed);
        }
        let count = width * together;
        let mut samples = memory::with_capacity("a TIFF's strip", count * rows)?;
        for row in packed.chunks_exact(row_bytes) {
            self.unpack(row, count, little_endian, &mut samples);
        }
        Ok(samples)
    }

    fn inverted(&self) -> bool {
        self.layout.colours == Colours::Grey { white_is_zero: true }
    }

    /// Samples of any width to 8 bits.
    fn unpack(&self, row: &[u8], count: usize, little_endian: bool, samples: &mut Vec<u8>) {
        let layout = self.layout;
        let invert = if self.inverted() { 0xff } else { 0 };
        let short = |pair: &[u8; 2]| {
            if little_endian { u16::from_le_bytes(*pair) } else { u16::from_be_bytes(*pair) }
        };
        let long = |four: &[u8; 4]| {
            if little_endian { u32::from_le_bytes(*four) } else { u32::from_be_bytes(*four) }
        };
        let (shorts, longs) = (row.as_chunks::<2>().0, row.as_chunks::<4>().0);
        match (layout.sample, layout.bits) {
            (Sample::Unsigned, 8) => samples.extend(row.iter().map(|value| value ^ invert)),
            (Sample::Unsigned, 16) => {
                samples.extend(shorts.iter().map(|pair| (short(pair) >> 8) as u8 ^ invert))
            }
            (Sample::Unsigned, 12) => samples.extend((0..count).map(|n| {
                let high = if n % 2 == 0 {
                    row[n / 2 * 3]
                } else {
                    row[n / 2 * 3 + 1] << 4 | row[n / 2 * 3 + 2] >> 4
                };
                high ^ invert
            })),
            (Sample::Unsigned, bits) => {
                let most = (1u8 << bits) - 1;
                // An index is what it is; a level fills the 8 bits.
                let factor = if layout.colours == Colours::Palette { 1 } else { 255 / most };
                samples.extend((0..count).map(|n| {
                    let value = row[n * bits / 8] >> (8 - bits - n * bits % 8) & most;
                    (value * factor) ^ invert
                }));
            }
            (Sample::Signed, 16) => {
                samples.extend(shorts.iter().map(|pair| (short(pair) as i16).clamp(0, 255) as u8));
            }
            (Sample::Signed, _) => {
                samples.extend(longs.iter().map(|four| (long(four) as i32).clamp(0, 255) as u8))
            }
            (Sample::Float, _) => samples.extend(longs.iter().map(|four| f32::from_bits(long(four)) as u8)),
        }
    }

    /// YCbCr of which several pixels share their chroma: first the lumas of such a group, then its two chromas.
    fn shared_chroma(&self, data: &[u8], compression: Compression, rows: usize) -> Result<Vec<u8>> {
        let layout = self.layout;
        if layout.bits != 8 || layout.samples != 3 || layout.predictor != 1 {
            return Err(bad(
                "YCbCr with shared chroma and other than three samples of 8 bits is not supported",
            ));
        }
        let (width, (across, down)) = (layout.chunk.0, layout.sharing);
        let (groups, group) = (width.div_ceil(across), across * down + 2);
        let mut packed = memory::filled("a TIFF's strip", 0, groups * rows.div_ceil(down) * group)?;
        decompress(compression, data, width, &mut packed)?;
        let mut samples = memory::with_capacity("a TIFF's strip", 3 * width * rows)?;
        for y in 0..rows {
            for x in 0..width {
                let group = &packed[(y / down * groups + x / across) * group..][..group];
                let luma = group[y % down * across + x % across];
                samples.extend([luma, group[group.len() - 2], group[group.len() - 1]]);
            }
        }
        Ok(samples)
    }

    /// A chunk that is a JPEG, whose tables may stand in a tag.
    fn jpeg(&self, data: &[u8], rows: usize, together: usize) -> Result<Vec<u8>> {
        let layout = self.layout;
        let joined;
        let mut stream = data;
        if let Some(tables) = self.directory.bytes(347).and_then(|tables| tables.strip_suffix(b"\xff\xd9"))
            && let Some(scan) = data.strip_prefix(b"\xff\xd8")
        {
            let mut both = memory::with_capacity("a TIFF's strip", tables.len() + scan.len())?;
            both.extend_from_slice(tables);
            both.extend_from_slice(scan);
            joined = both;
            stream = &joined;
        }
        let jpeg = Jpeg::open(stream)?;
        let (width, height) = (jpeg.width as usize, jpeg.height as usize);
        if width < layout.chunk.0 || height < rows || jpeg.components != together || layout.bits != 8 {
            return Err(bad(format!(
                "a JPEG of {width}x{height} pixels in a strip of {}x{rows}",
                layout.chunk.0
            )));
        }
        check_pixels(jpeg.width, jpeg.height, self.max_pixels.max(1 << 20))?;
        let colour = match layout.colours {
            Colours::YCbCr if !layout.separate => jpeg::Colour::FromYCbCr,
            _ => jpeg::Colour::AsStored,
        };
        let mut samples = jpeg.read(colour)?;
        if width > layout.chunk.0 {
            for row in 0..rows {
                samples.copy_within(
                    row * width * together..(row * width + layout.chunk.0) * together,
                    row * layout.chunk.0 * together,
                );
            }
        }
        samples.truncate(layout.chunk.0 * rows * together);
        if self.inverted() {
            samples.iter_mut().for_each(|sample| *sample = !*sample);
        }
        Ok(samples)
    }

    /// A picture that is one JPEG as a whole: YCbCr, each chroma as large as what shares it.
    fn old_jpeg(&self) -> Result<Vec<u8>> {
        let layout = self.layout;
        let start = self.directory.number(513).and_then(|at| self.encoded.get(usize::try_from(at).ok()?..));
        let jpeg =
            Jpeg::open(start.ok_or_else(|| bad("old-style JPEG without its stream is not supported"))?)?;
        if (jpeg.width, jpeg.height) != (layout.width, layout.height)
            || jpeg.components != 3
            || layout.samples != 3
        {
            return Err(bad(format!("old-style JPEG of {}x{} pixels", jpeg.width, jpeg.height)));
        }
        jpeg.read(jpeg::Colour::PlainYCbCr)
    }

    /// To grey or RGB.
    fn coloured(&self, mut samples: Vec<u8>) -> Result<Raster> {
        let layout = self.layout;
        let count = layout.width as usize * layout.height as usize;
        let raster = |channels, samples| Raster::new(layout.width, layout.height, channels, samples);
        let converted_by_jpeg = layout.packing == Packing::Jpeg && !layout.separate;
        let base: usize = match layout.colours {
            Colours::Grey { .. } | Colours::Palette => 1,
            Colours::Cmyk => 4,
            _ => 3,
        };
        let alpha = usize::from(layout.alpha != Alpha::Absent);
        if layout.samples > base + alpha {
            // What else a program has stored for a pixel is no colour.
            for pixel in 0..count {
                samples.copy_within(
                    pixel * layout.samples..pixel * layout.samples + base + alpha,
                    pixel * (base + alpha),
                );
            }
            samples.truncate(count * (base + alpha));
        }
        if layout.alpha == Alpha::Premultiplied {
            for pixel in samples.chunks_exact_mut(base + alpha) {
                let alpha = pixel[base];
                pixel[..base].iter_mut().for_each(|value| *value = unmultiplied(*value, alpha));
            }
        }
        let convert = |samples: &mut Vec<u8>, to_rgb: &dyn Fn([u8; 3]) -> [u8; 3]| {
            for pixel in samples.chunks_exact_mut(base + alpha) {
                let rgb = to_rgb([pixel[0], pixel[1], pixel[2]]);
                pixel[..3].copy_from_slice(&rgb);
            }
        };
        match layout.colours {
            Colours::Palette => self.through_palette(&samples, alpha),
            Colours::Cmyk => {
                cmyk_to_rgb(&mut samples);
                raster(3, samples)
            }
            Colours::YCbCr if !converted_by_jpeg => {
                let table = self.ycbcr();
                convert(&mut samples, &|pixel| table.rgb(pixel));
                raster(base + alpha, samples)
            }
            Colours::Lab => {
                convert(&mut samples, &lab_to_rgb);
                raster(base + alpha, samples)
            }
            _ => raster(base + alpha, samples),
        }
    }

    fn ycbcr(&self) -> YCbCr {
        let reals = |tag, default: &[f64]| match self.directory.reals(tag) {
            Some(values) if values.len() == default.len() && values.iter().all(|v| v.is_finite()) => values,
            _ => default.to_vec(),
        };
        let coefficients = reals(529, &[0.299, 0.587, 0.114]);
        let reference = reals(532, &[0.0, 255.0, 128.0, 255.0, 128.0, 255.0]);
        YCbCr::new(std::array::from_fn(|n| coefficients[n]), std::array::from_fn(|n| reference[n]))
    }

    /// Indices, and maybe alpha, through the colour map: all reds, all greens, all blues, of 16 bits.
    fn through_palette(&self, samples: &[u8], alpha: usize) -> Result<Raster> {
        let layout = self.layout;
        if layout.bits > 8 {
            return Err(bad(format!("a palette with {} bits is not supported", layout.bits)));
        }
        let map = self.directory.numbers(320).ok_or_else(|| bad("a palette without its colours"))?;
        let colours = map.len() / 3;
        // An index beyond the map is black.
        let level = |channel: usize, index: usize| match index < colours {
            true => (map[channel * colours + index] >> 8) as u8,
            false => 0,
        };
        let table: [[u8; 3]; 256] =
            std::array::from_fn(|index| std::array::from_fn(|channel| level(channel, index)));
        let channels = 3 + alpha;
        let mut pixels = memory::with_capacity("a TIFF picture", samples.len() / (1 + alpha) * channels)?;
        for pixel in samples.chunks_exact(1 + alpha) {
            pixels.extend_from_slice(&table[usize::from(pixel[0])]);
            pixels.extend_from_slice(&pixel[1..]);
        }
        Raster::new(layout.width, layout.height, channels, pixels)
    }
}
