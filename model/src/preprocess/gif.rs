//! GIF, by the crate `gif`: the first frame, on a canvas that holds all of it.

use std::io::Cursor;
use std::num::NonZeroU64;

use gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};

use super::formats::unreadable;
use super::raster::{Raster, check_pixels};
use crate::error::{Error, Result};
use crate::memory;

/// Decodes to RGB, or RGBA where the frame has a transparent colour.
///
/// As in Pillow, the canvas grows to what the frame covers, and is the transparent colour elsewhere, or the first of
/// the palette.
pub(super) fn decode(encoded: &[u8], max_pixels: u64) -> Result<Raster> {
    let failed = |error: DecodingError| unreadable("GIF", error);
    let grey = no_palette(encoded)?;
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    if let Some(limit) = NonZeroU64::new(max_pixels) {
        options.set_memory_limit(MemoryLimit::Bytes(limit));
    }
    let mut decoder = options.read_info(Cursor::new(grey.as_deref().unwrap_or(encoded))).map_err(failed)?;
    let screen = (u32::from(decoder.width()), u32::from(decoder.height()));
    let frame =
        decoder.next_frame_info().map_err(failed)?.ok_or_else(|| Error::Image("GIF: no frame".to_owned()))?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (frame_width, frame_height) = (usize::from(frame.width), usize::from(frame.height));
    let transparent = frame.transparent;
    let width = screen.0.max((left + frame_width) as u32);
    let height = screen.1.max((top + frame_height) as u32);
    check_pixels(width, height, max_pixels)?;

    let mut indices = memory::filled("a GIF picture", 0, frame_width * frame_height)?;
    decoder.read_into_buffer(&mut indices).map_err(failed)?;
    let palette = decoder.palette().map_err(failed)?;
    let colour = |index: u8| {
        let at = 3 * usize::from(index);
        // An index beyond the palette is black.
        let rgb = palette.get(at..at + 3).unwrap_or(&[0; 3]);
        [rgb[0], rgb[1], rgb[2], if transparent == Some(index) { 0 } else { 255 }]
    };
    let colours: [[u8; 4]; 256] = std::array::from_fn(|index| colour(index as u8));
    let channels = if transparent.is_some() { 4 } else { 3 };
    let outside = &colours[usize::from(transparent.unwrap_or(0))][..channels];
    let bytes = width as usize * height as usize * channels;
    let mut samples = memory::with_capacity("a GIF picture", bytes)?;
    for y in 0..height as usize {
        let row = y.checked_sub(top).filter(|&y| y < frame_height);
        let row = row.map_or(&[][..], |y| &indices[y * frame_width..][..frame_width]);
        for x in 0..width as usize {
            let index = x.checked_sub(left).and_then(|x| row.get(x));
            samples
                .extend_from_slice(index.map_or(outside, |&index| &colours[usize::from(index)][..channels]));
        }
    }
    Raster::new(width, height, channels, samples)
}

/// A copy with a palette of all greys where the file has none: its indices are greys then. The decoder refuses it.
fn no_palette(encoded: &[u8]) -> Result<Option<Vec<u8>>> {
    let Some((header, rest)) = encoded.split_at_checked(13) else { return Ok(None) };
    if header[10] & 0x80 != 0 {
        return Ok(None);
    }
    let mut copy = memory::with_capacity("a GIF file", encoded.len() + 768)?;
    copy.extend_from_slice(header);
    copy[10] |= 0x87;
    copy.extend((0..=255).flat_map(|grey: u8| [grey; 3]));
    copy.extend_from_slice(rest);
    Ok(Some(copy))
}
