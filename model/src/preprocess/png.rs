//! PNG, by the crate `png`.

use std::borrow::Cow;
use std::io::Cursor;

use super::formats::unreadable;
use super::orientation::png_chunks;
use super::raster::{Raster, check_pixels};
use crate::error::{Error, Result};
use crate::memory;

/// What the decoder may allocate besides a few rows: texts and colour profiles.
const LIMIT: usize = 64 << 20;

/// The chunk that ends a PNG.
const END: &[u8; 12] = b"\0\0\0\0IEND\xae\x42\x60\x82";

/// Decodes to 8 bits: palettes and transparent values expanded, samples of 16 bits by their high byte.
pub(super) fn decode(encoded: &[u8], max_pixels: u64) -> Result<Raster> {
    let failed = |error: png::DecodingError| unreadable("PNG", error);
    let encoded = ended(encoded)?;
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(&*encoded), png::Limits { bytes: LIMIT });
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(failed)?;
    let (width, height) = (header.width, header.height);
    check_pixels(width, height, max_pixels)?;
    // The decoder keeps two rows and two windows of zlib's; rows have up to 8 bytes a pixel.
    drop(memory::with_capacity::<u8>("decoding a PNG picture", 32 * width as usize + (1 << 18))?);
    let mut reader = decoder.read_info().map_err(failed)?;
    let (colour, _) = reader.output_color_type();
    let bytes = reader
        .output_buffer_size()
        .ok_or_else(|| Error::Image(format!("PNG: {width}x{height} pixels do not fit into memory")))?;
    let mut samples = memory::filled("a PNG picture", 0, bytes)?;
    reader.next_frame(&mut samples).map_err(failed)?;
    Raster::new(width, height, colour.samples(), samples)
}

/// With the end that some programs leave out, and that the decoder insists on.
fn ended(encoded: &[u8]) -> Result<Cow<'_, [u8]>> {
    if encoded.ends_with(END) || png_chunks(encoded).any(|(kind, _)| kind == *b"IEND") {
        return Ok(Cow::Borrowed(encoded));
    }
    let mut whole = memory::with_capacity("a PNG file", encoded.len() + END.len())?;
    whole.extend_from_slice(encoded);
    whole.extend_from_slice(END);
    Ok(Cow::Owned(whole))
}
