//! The samples of a TIFF's pixels, 8 bits each, out of its strips and tiles.

use super::chunk::{Compression, add_left, decompress, join_floats, reversed};
use super::layout::{Colours, Packing, Sample};
use super::{Picture, bad};
use crate::error::Result;
use crate::memory;
use crate::preprocess::jpeg::{self, Jpeg};
use crate::preprocess::raster::check_pixels;

impl Picture<'_> {
    /// All samples of all pixels, 8 bits each; those of a palette are indices.
    pub(super) fn samples(&self) -> Result<Vec<u8>> {
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
    pub(super) fn old_jpeg(&self) -> Result<Vec<u8>> {
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
}
