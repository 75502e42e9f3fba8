//! JPEG, decoded to the same bits as libjpeg-turbo with its defaults (accurate integer IDCT, smooth chroma), which is
//! what Pillow uses. See docs/decisions/004-jpeg-decoder.md.

use image::DynamicImage;
use image::metadata::Orientation;
use libjpeg_turbo_rs::common::types::ComponentInfo;
use libjpeg_turbo_rs::decode::pipeline::Decoder;
use libjpeg_turbo_rs::{JpegError, PixelFormat};

use super::decode::{check_pixels, unreadable};
use crate::error::{Error, Result};

/// Decodes to grey or RGB, and says which orientation the EXIF data asks for. A panic inside the decoder, which damaged
/// files have been seen to cause, is an error like any other.
pub(super) fn decode(encoded: &[u8], max_pixels: u64) -> Result<(DynamicImage, Orientation)> {
    // Nothing that outlives the call is touched inside, so nothing is left half done.
    std::panic::catch_unwind(|| decode_unguarded(encoded, max_pixels))
        .unwrap_or_else(|_| Err(Error::Image("JPEG: the header contradicts itself".to_owned())))
}

/// Refuses sampling factors that no encoder writes; decoders are not tested with them.
fn check_sampling(components: &[ComponentInfo]) -> Result<()> {
    let factors: Vec<(u8, u8)> =
        components.iter().map(|c| (c.horizontal_sampling, c.vertical_sampling)).collect();
    let usual = match factors[..] {
        [_] => true,
        [luma, blue, red] => blue == red && divides(blue, luma),
        [luma, blue, red, black] => luma == black && blue == red && divides(blue, luma),
        _ => false,
    };
    if usual {
        Ok(())
    } else {
        Err(Error::Image(format!("JPEG: sampling factors {factors:?} are not supported")))
    }
}

fn divides(small: (u8, u8), large: (u8, u8)) -> bool {
    let one =
        |small: u8, large: u8| matches!(small, 1 | 2 | 4) && matches!(large, 1 | 2 | 4) && small <= large;
    one(small.0, large.0) && one(small.1, large.1)
}

fn decode_unguarded(encoded: &[u8], max_pixels: u64) -> Result<(DynamicImage, Orientation)> {
    let failed = |error: JpegError| unreadable("JPEG", error);
    let mut decoder = Decoder::new(encoded).map_err(failed)?;
    let (width, height) = (u32::from(decoder.header().width), u32::from(decoder.header().height));
    check_pixels(width, height, max_pixels)?;
    if decoder.header().precision != 8 {
        return Err(Error::Image(format!("JPEG: {} bits a sample, expected 8", decoder.header().precision)));
    }
    check_sampling(&decoder.header().components)?;
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
        PixelFormat::Rgb => {
            image::RgbImage::from_raw(width, height, decoded.data).map(DynamicImage::ImageRgb8)
        }
        PixelFormat::Cmyk => {
            // Adobe stores ink upside down, and everybody else does as Adobe.
            let rgb = decoded
                .data
                .chunks_exact(4)
                .flat_map(|ink| cmyk_to_rgb([ink[0], ink[1], ink[2], ink[3]].map(|v| 255 - v)));
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
