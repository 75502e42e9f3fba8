//! TIFF and BigTIFF, the first picture of a file: strips and tiles, samples together or apart, grey, RGB, palettes,
//! CMYK, YCbCr and L*a*b*, with alpha or without; uncompressed, CCITT, LZW, Deflate, PackBits and JPEG.
//!
//! Pillow, whose pixels are the reference, reads with libtiff; no Rust reader comes near the kinds that it knows.

mod chunk;
mod colour;
pub(super) mod directory;
mod fax;
mod layout;
mod samples;

use directory::Directory;

use chunk::Compression;
use colour::{YCbCr, jfif_to_rgb, lab_to_rgb, unmultiplied};
use layout::{Alpha, Colours, Layout, Packing};

use super::exif;
use super::jpeg::cmyk_to_rgb;
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
    picture.coloured(samples)?.oriented(exif::of_tiff(&directory))
}

struct Picture<'a> {
    encoded: &'a [u8],
    directory: &'a Directory<'a>,
    layout: &'a Layout,
    max_pixels: u64,
}

impl Picture<'_> {
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
            // Pillow reads these itself, and takes them for JFIF's whatever the file says; the others are libtiff's.
            Colours::YCbCr
                if layout.packing == Packing::Plain(Compression::None) && layout.sharing == (1, 1) =>
            {
                convert(&mut samples, &jfif_to_rgb);
                raster(base + alpha, samples)
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
