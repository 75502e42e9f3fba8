//! Frames to what a model takes.

use super::{Image, Preprocess};
use crate::error::{Error, Result};
use crate::frame::Frame;

/// Memory that is kept from frame to frame, so that none is asked for when the next one is as large as the last.
#[derive(Debug, Default)]
pub struct Scratch {}

impl Preprocess {
    /// Writes the frame, resized and cut to [`Self::size`] squared, to `out`: `[S, S, 3]`, packed RGB.
    ///
    /// # Errors
    /// [`Error::Size`] if `out` has another length; [`Error::Memory`] where there is none.
    pub fn fit_frame(&self, frame: &Frame, _scratch: &mut Scratch, out: &mut [u8]) -> Result<()> {
        let expected = 3 * self.size * self.size;
        if out.len() != expected {
            return Err(Error::Size(format!("the buffer holds {} bytes, {expected} are needed", out.len())));
        }
        out.copy_from_slice(self.fit(&frame.to_image()?)?.rgb());
        Ok(())
    }

    /// [`Self::fit_frame`], then [`Self::normalize`]: `[3, S, S]`.
    ///
    /// # Errors
    /// As [`Self::fit_frame`].
    pub fn apply_frame(&self, frame: &Frame, scratch: &mut Scratch, out: &mut [f32]) -> Result<()> {
        let mut rgb = vec![0; 3 * self.size * self.size];
        self.fit_frame(frame, scratch, &mut rgb)?;
        self.normalize(&Image::new(self.size, self.size, rgb)?, out)
    }
}
