//! How a picture becomes the image tower's input: decode, resize, crop, normalise, as Pillow and torchvision do it
//! for OpenAI's and OpenCLIP's models.
//!
//! A picture is converted to 8-bit RGB before it is resized, so the reference is `preprocess(image.convert("RGB"))`.

mod bmp;
mod decode;
mod exif;
mod formats;
mod frame_image;
mod frames;
mod gif;
mod image;
mod jpeg;
mod levels;
mod png;
mod pnm;
mod raster;
mod resample;
mod tiff;
mod webp;
mod weights;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use decode::decode;
use decode::decode_pixels;
pub use formats::{EXTENSIONS, FORMATS, is_picture_name};
pub use frames::{FAST_DECODE_SIDES, Scratch};
pub use image::{Image, RgbaImage};
use raster::Pixels;
pub use weights::{Resampling, vertical_first};

use crate::config::Family;
use crate::error::{Error, Result};
use crate::files;

/// Largest input side that [`Preprocess::validate`] accepts, pixels.
const MAX_SIZE: usize = 1 << 14;

/// How an encoded picture becomes the image tower's input; a part of [`crate::Manifest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Side of the square input, pixels.
    pub size: usize,
    /// What happens to pictures that are not square.
    pub resize_mode: ResizeMode,
    /// The resampling filter, antialiased.
    pub interpolation: Interpolation,
    /// Subtracted from each channel (red, green, blue) after scaling to 0..1.
    pub mean: [f32; 3],
    /// Divides each channel after `mean` is subtracted.
    pub std: [f32; 3],
    /// The colour (red, green, blue) behind transparent pixels. The Python reference drops the alpha channel instead,
    /// which shows whatever colour an encoder left under transparent pixels.
    pub background: [u8; 3],
    /// Whether the orientation in a picture's EXIF data is applied. The Python reference ignores it.
    pub apply_exif_orientation: bool,
    /// Largest width times height that is decoded; checked against the header before anything is allocated.
    pub max_pixels: u64,
}

/// What happens to pictures that are not square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResizeMode {
    /// The shorter side is resized to the input's side, then the centre is cut out.
    Shortest,
    /// Both sides are resized to the input's side, which changes the aspect ratio.
    Squash,
}

/// A resampling filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// Cubic convolution with a = -0.5 (Keys 1981), as Pillow's `BICUBIC`.
    Bicubic,
    /// A triangle, as Pillow's `BILINEAR`.
    Bilinear,
}

impl Default for Preprocess {
    /// OpenAI's preprocessing at 224 pixels; transparent pixels over white, EXIF orientation applied, at most
    /// 178,956,970 pixels (where Pillow refuses, too).
    #[allow(clippy::excessive_precision, reason = "the digits that OpenAI published")]
    fn default() -> Self {
        Preprocess {
            size: 224,
            resize_mode: ResizeMode::Shortest,
            interpolation: Interpolation::Bicubic,
            mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            std: [0.268_629_54, 0.261_302_58, 0.275_777_11],
            background: [255; 3],
            apply_exif_orientation: true,
            max_pixels: 178_956_970,
        }
    }
}

impl Preprocess {
    /// What models of this family use unless they say otherwise, at 224 pixels: OpenAI's, or SigLIP's, which changes the aspect
    /// ratio and maps pixels to -1..1.
    pub fn of(family: Family) -> Preprocess {
        match family {
            Family::Clip => Preprocess::default(),
            Family::SigLip => Preprocess {
                resize_mode: ResizeMode::Squash,
                mean: [0.5; 3],
                std: [0.5; 3],
                ..Preprocess::default()
            },
        }
    }

    /// Checks that the values make sense.
    ///
    /// # Errors
    /// [`Error::Config`] with the value that does not.
    pub fn validate(&self) -> Result<()> {
        let bad = |what: String| Err(Error::Config(format!("preprocess: {what}")));
        if !(1..=MAX_SIZE).contains(&self.size) {
            return bad(format!("size is {}, expected 1 to {MAX_SIZE}", self.size));
        }
        if !self.mean.iter().all(|m| m.is_finite()) {
            return bad(format!("mean is {:?}, expected finite numbers", self.mean));
        }
        if !self.std.iter().all(|s| s.is_finite() && *s > 0.0) {
            return bad(format!("std is {:?}, expected positive numbers", self.std));
        }
        if self.max_pixels == 0 {
            return bad("max_pixels is 0, so no picture could be read".to_owned());
        }
        Ok(())
    }

    /// Decodes a picture of one of the [`FORMATS`] to RGB, transparent pixels over [`Self::background`].
    ///
    /// # Errors
    /// As [`decode()`].
    pub fn decode(&self, encoded: &[u8]) -> Result<Image> {
        Ok(match decode_pixels(encoded, self.apply_exif_orientation, self.max_pixels)? {
            Pixels::Opaque(image) => image,
            Pixels::Alpha(image) => image.over(self.background)?,
        })
    }

    /// Reads and decodes a file.
    ///
    /// # Errors
    /// As [`files::read`] for at most [`files::IMAGE_LIMIT`] bytes, and as [`Self::decode`].
    pub fn open(&self, path: &Path) -> Result<Image> {
        self.decode(&files::read(path, files::IMAGE_LIMIT)?)
    }

    /// Writes `(pixel / 255 - mean) / std` to `out`, float32 `[3, S, S]`.
    ///
    /// # Errors
    /// [`Error::Size`] if `image` is not [`Self::size`] squared or `out` has another length.
    pub fn normalize(&self, image: &Image, out: &mut [f32]) -> Result<()> {
        let size = self.size;
        if (image.width(), image.height()) != (size, size) {
            return Err(Error::Size(format!(
                "the image is {}x{}, the model takes {size}x{size}: resize it with Preprocess::fit",
                image.width(),
                image.height()
            )));
        }
        self.normalize_rgb(image.rgb(), out)
    }

    /// [`Self::normalize`] from packed RGB, `[S, S, 3]`.
    ///
    /// # Errors
    /// [`Error::Size`] if `rgb` or `out` has another length.
    pub fn normalize_rgb(&self, rgb: &[u8], out: &mut [f32]) -> Result<()> {
        let (size, plane) = (self.size, self.size * self.size);
        if rgb.len() != 3 * plane {
            return Err(Error::Size(format!("{} bytes were given, {size}x{size}x3 are needed", rgb.len())));
        }
        if out.len() != 3 * plane {
            return Err(Error::Size(format!(
                "the buffer holds {} floats, 3x{size}x{size} needs {}",
                out.len(),
                3 * plane
            )));
        }
        for (channel, out) in out.chunks_exact_mut(plane).enumerate() {
            let table = frames::table(self.mean[channel], self.std[channel]);
            for (out, pixel) in out.iter_mut().zip(rgb.chunks_exact(3)) {
                *out = table[usize::from(pixel[channel])];
            }
        }
        Ok(())
    }

    /// [`Self::fit`], then [`Self::normalize`].
    ///
    /// # Errors
    /// [`Error::Size`] if `out` is not `3 * size * size` long, and as [`Self::fit`].
    pub fn apply(&self, image: &Image, out: &mut [f32]) -> Result<()> {
        self.normalize(&self.fit(image)?, out)
    }
}
