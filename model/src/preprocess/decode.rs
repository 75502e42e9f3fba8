//! Encoded pictures to pixels.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::jpeg;
use super::{Image, RgbaImage};
use crate::error::{Error, Result};

/// What a picture decodes to.
pub(super) enum Pixels {
    /// Every pixel is opaque.
    Opaque(Image),
    /// The picture has an alpha channel.
    Alpha(RgbaImage),
}

/// Decodes a picture: JPEG, PNG, WebP, GIF (the first frame), BMP or TIFF, known by its first bytes.
///
/// Grey becomes RGB; samples of 16 bits give their high byte; CMYK is converted as Pillow does it, without colour
/// profiles. TIFF's own orientation tag is always applied, as Pillow does; that of EXIF data only on request.
///
/// # Errors
/// [`Error::ImageTooLarge`] when the header promises more than `max_pixels`, before anything of that size is
/// allocated; [`Error::Image`] for bytes that are not such a picture, are damaged, or end too early.
pub fn decode(encoded: &[u8], apply_exif_orientation: bool, max_pixels: u64) -> Result<RgbaImage> {
    match decode_pixels(encoded, apply_exif_orientation, max_pixels)? {
        Pixels::Alpha(image) => Ok(image),
        Pixels::Opaque(image) => {
            let rgba = image.rgb().chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
            RgbaImage::new(image.width(), image.height(), rgba)
        }
    }
}

/// [`decode`], without an alpha channel where the picture has none.
pub(super) fn decode_pixels(encoded: &[u8], apply_exif_orientation: bool, max_pixels: u64) -> Result<Pixels> {
    let unknown = || Error::Image("the bytes are not a JPEG, PNG, WebP, GIF, BMP or TIFF picture".to_owned());
    let format = image::guess_format(encoded).map_err(|_| unknown())?;
    let (mut image, orientation) = match format {
        ImageFormat::Jpeg => jpeg::decode(encoded, max_pixels)?,
        ImageFormat::Png | ImageFormat::WebP | ImageFormat::Gif | ImageFormat::Bmp | ImageFormat::Tiff => {
            decode_other(encoded, format, max_pixels)?
        }
        _ => return Err(unknown()),
    };
    if apply_exif_orientation || format == ImageFormat::Tiff {
        image.apply_orientation(orientation);
    }
    to_pixels(image)
}

/// All formats but JPEG, by the crate `image`.
fn decode_other(encoded: &[u8], format: ImageFormat, max_pixels: u64) -> Result<(DynamicImage, Orientation)> {
    let failed = |error| unreadable(&format!("{format:?}"), error);
    let mut reader = ImageReader::with_format(Cursor::new(encoded), format);
    // Dimensions are checked below, with a better message; this bounds what a decoder needs besides the pixels.
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(max_pixels.saturating_mul(16).max(64 << 20));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    check_pixels(width, height, max_pixels)?;
    let orientation = decoder.orientation().map_err(failed)?;
    let image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    Ok((image, orientation))
}

/// Refuses pictures over the limit.
pub(super) fn check_pixels(width: u32, height: u32, limit: u64) -> Result<()> {
    if u64::from(width) * u64::from(height) > limit {
        return Err(Error::ImageTooLarge { width, height, limit });
    }
    Ok(())
}

/// The error of a decoder.
pub(super) fn unreadable(format: &str, error: impl std::fmt::Display) -> Error {
    Error::Image(format!("{format}: {error}"))
}

/// To 8 bits and three or four channels.
fn to_pixels(image: DynamicImage) -> Result<Pixels> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let high = |samples: Vec<u16>| samples.into_iter().map(|v| (v >> 8) as u8).collect::<Vec<u8>>();
    let (channels, samples) = match image {
        DynamicImage::ImageLuma8(image) => (1, image.into_raw()),
        DynamicImage::ImageLumaA8(image) => (2, image.into_raw()),
        DynamicImage::ImageRgb8(image) => (3, image.into_raw()),
        DynamicImage::ImageRgba8(image) => (4, image.into_raw()),
        DynamicImage::ImageLuma16(image) => (1, high(image.into_raw())),
        DynamicImage::ImageLumaA16(image) => (2, high(image.into_raw())),
        DynamicImage::ImageRgb16(image) => (3, high(image.into_raw())),
        DynamicImage::ImageRgba16(image) => (4, high(image.into_raw())),
        other => return Err(Error::Image(format!("samples of type {:?} are not supported", other.color()))),
    };
    Ok(match channels {
        1 => {
            Pixels::Opaque(Image::new(width, height, samples.into_iter().flat_map(|v| [v, v, v]).collect())?)
        }
        2 => {
            let rgba = samples.chunks_exact(2).flat_map(|p| [p[0], p[0], p[0], p[1]]).collect();
            Pixels::Alpha(RgbaImage::new(width, height, rgba)?)
        }
        3 => Pixels::Opaque(Image::new(width, height, samples)?),
        _ => Pixels::Alpha(RgbaImage::new(width, height, samples)?),
    })
}
