//! Pictures and frames to what a model takes.

use super::decode::decode_reduced;
use super::resample::{Fitted, Resampler};
use super::{Image, Preprocess};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::memory;

/// Sides of a JPEG that [`Preprocess::decode_fitted`] decodes at a part of its size are at least so many times the model's: then only frequencies are
/// missing that the model's size cannot show, and those near its limit are still whole.
pub const FAST_DECODE_SIDES: usize = 2;

/// Memory that is kept from frame to frame, so that none is asked for when the next one is as large as the last.
#[derive(Debug, Default)]
pub struct Scratch {
    resampler: Resampler,
    tables: Tables,
}

/// What becomes of each byte of red, green and blue.
#[derive(Debug)]
struct Tables {
    of: Option<[[f32; 3]; 2]>,
    values: [[f32; 256]; 3],
}

impl Default for Tables {
    fn default() -> Tables {
        Tables { of: None, values: [[0.0; 256]; 3] }
    }
}

impl Tables {
    /// Makes them those of `mean` and `std`.
    fn prepare(&mut self, mean: [f32; 3], std: [f32; 3]) -> &[[f32; 256]; 3] {
        if self.of != Some([mean, std]) {
            self.of = Some([mean, std]);
            self.values = std::array::from_fn(|c| table(mean[c], std[c]));
        }
        &self.values
    }
}

/// `(byte / 255 - mean) / std` of every byte.
pub(super) fn table(mean: f32, std: f32) -> [f32; 256] {
    std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std)
}

impl Preprocess {
    /// Resizes and crops to [`Self::size`] squared, equal to Pillow and torchvision.
    ///
    /// # Errors
    /// [`Error::Memory`] where there is none for it.
    pub fn fit(&self, image: &Image) -> Result<Image> {
        let mut resampler = Resampler::default();
        self.image(&resampler.picture(image.rgb(), image.width(), image.height(), self.target())?)
    }

    /// [`Self::decode`], then [`Self::fit`], of a JPEG in less time: it is decoded at a half, a quarter or an eighth of its width and height, as long as its
    /// sides keep at least [`FAST_DECODE_SIDES`] times [`Self::size`]. The pixels are then not quite those of Pillow.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_fitted(&self, encoded: &[u8]) -> Result<Image> {
        let least = FAST_DECODE_SIDES * self.size;
        match decode_reduced(encoded, self.apply_exif_orientation, self.max_pixels, least)? {
            None => self.fit(&self.decode(encoded)?),
            Some((reduced, orientation)) => {
                self.image(&Resampler::default().reduced(&reduced, orientation, self.target())?)
            }
        }
    }

    fn image(&self, fitted: &Fitted) -> Result<Image> {
        let mut rgb = memory::filled("a picture of the model's size", 0, 3 * self.size * self.size)?;
        write_rgb(fitted, &mut rgb);
        Image::new(self.size, self.size, rgb)
    }

    /// Writes the frame, resized and cut to [`Self::size`] squared, to `out`: `[S, S, 3]`, packed RGB.
    ///
    /// What [`Frame::to_image`] and [`Self::fit`] give; of a YUV format at most 2 levels off that, because its planes are resized before they become
    /// colours.
    ///
    /// # Errors
    /// [`Error::Size`] if `out` has another length; [`Error::Memory`] where there is none.
    pub fn fit_frame(&self, frame: &Frame, scratch: &mut Scratch, out: &mut [u8]) -> Result<()> {
        let expected = 3 * self.size * self.size;
        if out.len() != expected {
            return Err(Error::Size(format!("the buffer holds {} bytes, {expected} are needed", out.len())));
        }
        write_rgb(&scratch.resampler.frame(frame, self.target())?, out);
        Ok(())
    }

    /// [`Self::fit_frame`], then [`Self::normalize`]: `[3, S, S]`.
    ///
    /// # Errors
    /// As [`Self::fit_frame`].
    pub fn apply_frame(&self, frame: &Frame, scratch: &mut Scratch, out: &mut [f32]) -> Result<()> {
        let expected = 3 * self.size * self.size;
        if out.len() != expected {
            return Err(Error::Size(format!("the buffer holds {} floats, {expected} are needed", out.len())));
        }
        let fitted = scratch.resampler.frame(frame, self.target())?;
        write_normalized(&fitted, scratch.tables.prepare(self.mean, self.std), out);
        Ok(())
    }
}

impl<'a> Fitted<'a> {
    /// Rows of red, green and blue of memory's row `row`, or three times that of grey.
    fn colours(&self, row: usize) -> [&'a [u8]; 3] {
        let row = &self.pixels[row * self.channels * self.size..][..self.channels * self.size];
        std::array::from_fn(|c| &row[(c % self.channels) * self.size..][..self.size])
    }
}

/// As packed RGB.
fn write_rgb(fitted: &Fitted, out: &mut [u8]) {
    let size = fitted.size;
    let out = out.as_chunks_mut::<3>().0;
    for row in 0..size {
        let [red, green, blue] = fitted.colours(row);
        let pixels = red.iter().zip(green).zip(blue).map(|((r, g), b)| [*r, *g, *b]);
        if fitted.transposed {
            out[row..].iter_mut().step_by(size).zip(pixels).for_each(|(out, pixel)| *out = pixel);
        } else {
            out[row * size..][..size].iter_mut().zip(pixels).for_each(|(out, pixel)| *out = pixel);
        }
    }
}

/// As planes of what `tables` make of the bytes.
fn write_normalized(fitted: &Fitted, tables: &[[f32; 256]; 3], out: &mut [f32]) {
    let size = fitted.size;
    for row in 0..size {
        let colours = fitted.colours(row).into_iter().zip(tables);
        for ((bytes, table), out) in colours.zip(out.chunks_exact_mut(size * size)) {
            let values = bytes.iter().map(|&byte| table[usize::from(byte)]);
            if fitted.transposed {
                out[row..].iter_mut().step_by(size).zip(values).for_each(|(out, value)| *out = value);
            } else {
                out[row * size..][..size].iter_mut().zip(values).for_each(|(out, value)| *out = value);
            }
        }
    }
}
