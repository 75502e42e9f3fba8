//! Pictures in memory.

use crate::error::{Error, Result};
use crate::memory;

/// Packed 8-bit RGB, rows top-down. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

/// Packed 8-bit RGB with straight (not premultiplied) alpha, rows top-down. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbaImage {
    width: usize,
    height: usize,
    rgba: Vec<u8>,
}

/// Bytes in `height` rows of `width` pixels, or an error that names the numbers.
fn bytes(width: usize, height: usize, channels: usize) -> Result<usize> {
    if width == 0 || height == 0 {
        return Err(Error::Size(format!("the image is {width}x{height} pixels, expected at least 1x1")));
    }
    width
        .checked_mul(height)
        .and_then(|pixels| pixels.checked_mul(channels))
        .filter(|&bytes| isize::try_from(bytes).is_ok())
        .ok_or_else(|| Error::Size(format!("an image of {width}x{height} pixels does not fit into memory")))
}

fn check(width: usize, height: usize, channels: usize, found: usize) -> Result<()> {
    let expected = bytes(width, height, channels)?;
    if found != expected {
        return Err(Error::Size(format!(
            "{found} bytes for an image of {width}x{height} pixels with {channels} channels, expected {expected}"
        )));
    }
    Ok(())
}

impl Image {
    /// Takes `rgb`, `width * height * 3` bytes.
    ///
    /// # Errors
    /// [`Error::Size`] for an empty image or another number of bytes.
    pub fn new(width: usize, height: usize, rgb: Vec<u8>) -> Result<Image> {
        check(width, height, 3, rgb.len())?;
        Ok(Image { width, height, rgb })
    }

    /// Copies rows that start `stride_bytes` apart; what lies between a row's end and the next start is ignored.
    ///
    /// # Errors
    /// [`Error::Size`] for an empty image, a stride shorter than a row, or too few bytes (the last row may end
    /// without padding); [`Error::Memory`] where there is none for the copy.
    pub fn from_strided(width: usize, height: usize, stride_bytes: usize, bytes_: &[u8]) -> Result<Image> {
        let total = bytes(width, height, 3)?;
        let row = width * 3;
        if stride_bytes < row {
            return Err(Error::Size(format!(
                "the stride is {stride_bytes} bytes, a row of {width} pixels has {row}"
            )));
        }
        let needed = (height - 1).checked_mul(stride_bytes).and_then(|start| start.checked_add(row));
        if needed.is_none_or(|needed| bytes_.len() < needed) {
            return Err(Error::Size(format!(
                "{} bytes are too few for {height} rows of {width} pixels, {stride_bytes} bytes apart",
                bytes_.len()
            )));
        }
        let mut rgb = memory::with_capacity("a picture", total)?;
        for y in 0..height {
            rgb.extend_from_slice(&bytes_[y * stride_bytes..][..row]);
        }
        Ok(Image { width, height, rgb })
    }

    /// Width, pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height, pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixels, `width * height * 3` bytes.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }
}

impl RgbaImage {
    /// Takes `rgba`, `width * height * 4` bytes.
    ///
    /// # Errors
    /// [`Error::Size`] for an empty image or another number of bytes.
    pub fn new(width: usize, height: usize, rgba: Vec<u8>) -> Result<RgbaImage> {
        check(width, height, 4, rgba.len())?;
        Ok(RgbaImage { width, height, rgba })
    }

    /// Width, pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height, pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixels, `width * height * 4` bytes.
    pub fn rgba(&self) -> &[u8] {
        &self.rgba
    }

    /// The image over an opaque colour, rounded to nearest.
    ///
    /// # Errors
    /// [`Error::Memory`] where there is none for the result.
    pub fn over(&self, background: [u8; 3]) -> Result<Image> {
        let mut rgb = memory::with_capacity("a picture over its background", self.width * self.height * 3)?;
        for pixel in self.rgba.chunks_exact(4) {
            let alpha = u32::from(pixel[3]);
            for channel in 0..3 {
                let mixed =
                    u32::from(pixel[channel]) * alpha + u32::from(background[channel]) * (255 - alpha);
                rgb.push(((mixed + 127) / 255) as u8);
            }
        }
        Ok(Image { width: self.width, height: self.height, rgb })
    }
}
