//! JPEG, decoded to the same bits as libjpeg-turbo with its defaults (accurate integer IDCT, smooth chroma), which is
//! what Pillow uses. See docs/decisions/010-jpeg-decoder.md.

use image::DynamicImage;
use image::metadata::Orientation;
use libjpeg_turbo_rs::decode::pipeline::Decoder;
use libjpeg_turbo_rs::{JpegError, PixelFormat};

use super::decode::{check_pixels, unreadable};
use crate::error::{Error, Result};

/// Decodes to grey or RGB, and says which orientation the EXIF data asks for.
pub(super) fn decode(encoded: &[u8], max_pixels: u64) -> Result<(DynamicImage, Orientation)> {
    let failed = |error: JpegError| unreadable("JPEG", error);
    let mut decoder = Decoder::new(encoded).map_err(failed)?;
    let (width, height) = (u32::from(decoder.header().width), u32::from(decoder.header().height));
    check_pixels(width, height, max_pixels)?;
    if decoder.header().precision != 8 {
        return Err(Error::Image(format!("JPEG: {} bits a sample, expected 8", decoder.header().precision)));
    }
    let orientation = decoder.exif_orientation().and_then(Orientation::from_exif);
    decoder.set_output_format(match decoder.header().components.len() {
        1 => PixelFormat::Grayscale,
        4 => PixelFormat::Cmyk,
        _ => PixelFormat::Rgb,
    });
    let decoded = decoder.decode_image().map_err(failed)?;
    let image = match decoded.pixel_format {
        PixelFormat::Grayscale => {
            image::GrayImage::from_raw(width, height, decoded.data).map(DynamicImage::ImageLuma8)
        }
        PixelFormat::Rgb => image::RgbImage::from_raw(width, height, decoded.data).map(DynamicImage::ImageRgb8),
        PixelFormat::Cmyk => {
            // Adobe stores ink upside down, and everybody else does as Adobe.
            let rgb = decoded.data.chunks_exact(4).flat_map(|ink| cmyk_to_rgb([ink[0], ink[1], ink[2], ink[3]].map(|v| 255 - v)));
            image::RgbImage::from_raw(width, height, rgb.collect()).map(DynamicImage::ImageRgb8)
        }
        other => return Err(Error::Image(format!("JPEG: pixels come as {other:?}"))),
    };
    let image = image.ok_or_else(|| Error::Image("JPEG: fewer pixels than the header says".to_owned()))?;
    Ok((image, orientation.unwrap_or(Orientation::NoTransforms)))
}

/// Ink (0 is none) to RGB as Pillow does it, without colour profiles.
pub(super) fn cmyk_to_rgb([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let paper = 255 - u32::from(black);
    [cyan, magenta, yellow].map(|ink| {
        // ink * paper / 255, rounded to nearest.
        let product = u32::from(ink) * paper + 128;
        (paper - (((product >> 8) + product) >> 8)) as u8
    })
}
