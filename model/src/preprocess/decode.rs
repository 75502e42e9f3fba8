//! Encoded pictures to pixels.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::exif;
use super::formats::{FORMATS, Format};
use super::jpeg::Reduced;
use super::raster::{Pixels, Raster};
use super::{RgbaImage, bmp, gif, jpeg, png, pnm, tiff, webp};
use crate::error::{Error, Result};
use crate::memory;
use crate::orientation::Orientation;

/// Decodes a picture of one of the [`FORMATS`], known by its first bytes.
///
/// Grey becomes RGB; unsigned samples of 16 bits give their high byte; CMYK is converted as Pillow does it, without colour
/// profiles. TIFF's own orientation tag is always applied, as Pillow does; that of EXIF data, or of XMP where EXIF does
/// not say, only on request.
///
/// # Errors
/// [`Error::ImageTooLarge`] when the header promises more than `max_pixels`, before anything of that size is
/// allocated; [`Error::Memory`] when the pixels do not fit into memory; [`Error::Image`] for bytes that are not such a
/// picture, are damaged, or end too early. A panic inside a decoder is [`Error::Image`], too.
pub fn decode(encoded: &[u8], apply_exif_orientation: bool, max_pixels: u64) -> Result<RgbaImage> {
    match decode_pixels(encoded, apply_exif_orientation, max_pixels)? {
        Pixels::Alpha(image) => Ok(image),
        Pixels::Opaque(image) => {
            let mut rgba = memory::with_capacity("a picture with alpha", 4 * image.width() * image.height())?;
            rgba.extend(image.rgb().chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]));
            RgbaImage::new(image.width(), image.height(), rgba)
        }
    }
}

/// [`decode`], without an alpha channel where the picture has none.
pub(super) fn decode_pixels(encoded: &[u8], apply_exif_orientation: bool, max_pixels: u64) -> Result<Pixels> {
    let format =
        Format::of(encoded).ok_or_else(|| Error::Image(format!("the bytes are not a {FORMATS} picture")))?;
    guarded(format, || {
        let orientation = match format {
            Format::Jpeg if apply_exif_orientation => exif::of_jpeg(encoded),
            Format::Png if apply_exif_orientation => exif::of_png(encoded),
            Format::WebP if apply_exif_orientation => exif::of_webp(encoded),
            _ => Orientation::Normal,
        };
        stored(encoded, format, max_pixels)?.oriented(orientation)?.into_pixels()
    })
}

/// A JPEG for [`super::Preprocess::decode_fitted`], as small as it can be with sides of at least `least` pixels, and how it is to be turned; `None` for pictures of
/// other formats.
pub(super) fn decode_reduced(
    encoded: &[u8],
    apply_exif_orientation: bool,
    max_pixels: u64,
    least: usize,
) -> Result<Option<(Reduced, Orientation)>> {
    if Format::of(encoded) != Some(Format::Jpeg) {
        return Ok(None);
    }
    guarded(Format::Jpeg, || {
        let turned = if apply_exif_orientation { exif::of_jpeg(encoded) } else { Orientation::Normal };
        Ok(Some((jpeg::decode_reduced(encoded, max_pixels, least)?, turned)))
    })
}

/// The picture as it is stored; a TIFF as its orientation tag says.
fn stored(encoded: &[u8], format: Format, max_pixels: u64) -> Result<Raster> {
    match format {
        Format::Jpeg => jpeg::decode(encoded, max_pixels),
        Format::Png => png::decode(encoded, max_pixels),
        Format::WebP => webp::decode(encoded, max_pixels),
        Format::Gif => gif::decode(encoded, max_pixels),
        Format::Bmp => bmp::decode(encoded, max_pixels),
        Format::Tiff => tiff::decode(encoded, max_pixels),
        Format::Pnm => pnm::decode(encoded, max_pixels),
    }
}

/// Turns a decoder's panic into an error. No picture is known to cause one; its message would go where the program's
/// panic hook, which is not a library's to change, sends it.
fn guarded<T>(format: Format, decode: impl FnOnce() -> Result<T>) -> Result<T> {
    // Nothing that outlives the call is touched inside, so nothing is left half done.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        Err(Error::Image(format!("{}: the decoder gave up on damaged data", format.name())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoders_panic_is_an_error() {
        // `resume_unwind` unwinds as a panic does, without calling the hook.
        let result =
            guarded::<()>(Format::Gif, || std::panic::resume_unwind(Box::new("index out of bounds")));
        assert!(matches!(&result, Err(Error::Image(message)) if message.starts_with("GIF: ")), "{result:?}");
    }
}
