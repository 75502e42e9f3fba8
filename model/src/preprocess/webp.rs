//! WebP, by the crate `image-webp`.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::formats::unreadable;
use super::raster::{Raster, check_pixels};
use crate::error::{Error, Result};
use crate::memory;

/// Decodes to RGB or RGBA; of an animation its first frame.
pub(super) fn decode(encoded: &[u8], max_pixels: u64) -> Result<Raster> {
    let failed = |error: DecodingError| unreadable("WebP", error);
    let mut decoder = WebPDecoder::new(Cursor::new(encoded)).map_err(failed)?;
    let (width, height) = decoder.dimensions();
    check_pixels(width, height, max_pixels)?;
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let pixels = width as usize * height as usize;
    // Besides the picture: planes of 8 bits, a decoded frame, and an animation's canvas.
    drop(memory::with_capacity::<u8>("decoding a WebP picture", 16 * pixels + (1 << 20))?);
    decoder.set_memory_limit(16 * pixels + (1 << 26));
    let bytes = decoder
        .output_buffer_size()
        .filter(|&bytes| bytes == pixels * channels)
        .ok_or_else(|| Error::Image(format!("WebP: {width}x{height} pixels do not fit into memory")))?;
    let mut samples = memory::filled("a WebP picture", 0, bytes)?;
    decoder.read_image(&mut samples).map_err(failed)?;
    Raster::new(width, height, channels, samples)
}
