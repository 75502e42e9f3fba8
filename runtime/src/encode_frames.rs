//! Frames of cameras to embeddings and labels, each straight from its planes.

use clip_model::frame::Frame;
use clip_model::memory;

use crate::clip::Clip;
use crate::embeddings::Embeddings;
use crate::error::Result;
use crate::images::Results;
use crate::input::{ModelInput, grow};
use crate::labels::LabelSet;
use crate::scores::{Match, Score};

impl Clip {
    /// The embeddings of frames, in their order.
    ///
    /// # Errors
    /// As [`Clip::encode_images`].
    pub fn encode_frames(&self, frames: &[Frame<'_>]) -> Result<Embeddings> {
        let numbers = frames.len().saturating_mul(self.embed_dim());
        let mut values = memory::filled("embeddings", 0.0, numbers)?;
        self.encode_frames_into(frames, &mut values)?;
        Ok(Embeddings::new(values, self.embed_dim()))
    }

    /// [`Clip::encode_frames`] into memory of the caller's, `[frames, embed_dim]`. Once as many frames of that size were encoded by as many callers at
    /// the same time, nothing is allocated here.
    ///
    /// # Errors
    /// [`crate::Error::Room`]; else as [`Clip::encode_images`].
    pub fn encode_frames_into(&self, frames: &[Frame<'_>], embeddings: &mut [f32]) -> Result<()> {
        self.encode_each_frame(frames.len(), &|i| frames[i], embeddings)
    }

    /// The same for frames that are told one by one, by their number, and from several threads.
    ///
    /// # Errors
    /// As [`Clip::encode_frames_into`].
    pub fn encode_each_frame<'a>(
        &self,
        count: usize,
        frame: &(impl Fn(usize) -> Frame<'a> + Sync),
        embeddings: &mut [f32],
    ) -> Result<()> {
        let tower = self.images()?;
        let preprocess = &self.manifest().preprocess;
        let prepare = |i: usize, out: ModelInput<'_>| {
            tower.scratches.with(|scratch| match out {
                ModelInput::Bytes(out) => preprocess.fit_frame(&frame(i), scratch, out),
                ModelInput::Floats(out) => preprocess.apply_frame(&frame(i), scratch, out),
            })?;
            Ok(())
        };
        tower.encode_with(count, &prepare, embeddings)
    }

    /// The same for pictures that have the model's size already: packed RGB, `[side, side, 3]`.
    pub(crate) fn encode_fitted<'a>(
        &self,
        count: usize,
        picture: &(impl Fn(usize) -> &'a [u8] + Sync),
        embeddings: &mut [f32],
    ) -> Result<()> {
        let preprocess = &self.manifest().preprocess;
        let prepare = |i: usize, out: ModelInput<'_>| {
            match out {
                ModelInput::Bytes(out) => out.copy_from_slice(picture(i)),
                ModelInput::Floats(out) => preprocess.normalize_rgb(picture(i), out)?,
            }
            Ok(())
        };
        self.images()?.encode_with(count, &prepare, embeddings)
    }

    /// The `top` labels nearest to each frame, best first.
    ///
    /// # Errors
    /// As [`Clip::classify`].
    pub fn classify_frames<'a>(
        &self,
        frames: &[Frame<'_>],
        labels: &'a LabelSet,
        top: usize,
    ) -> Result<Vec<Vec<Match<'a>>>> {
        labels.check_model(self.id())?;
        labels.matches(&self.encode_frames(frames)?, self.logits(), top)
    }

    /// Tells `each` frame's number and the `top` labels nearest to it, best first. Once it was done as often at the same time, with as many frames
    /// and labels of that size, nothing is allocated here.
    ///
    /// # Errors
    /// As [`Clip::classify`].
    pub fn classify_each_frame(
        &self,
        frames: &[Frame<'_>],
        labels: &LabelSet,
        top: usize,
        mut each: impl FnMut(usize, &[Score]),
    ) -> Result<()> {
        labels.check_model(self.id())?;
        let (tower, dim) = (self.images()?, self.embed_dim());
        tower.results.with(|Results { embeddings, scores }| {
            let numbers = frames.len().saturating_mul(dim);
            grow("embeddings", embeddings, numbers)?;
            self.encode_frames_into(frames, &mut embeddings[..numbers])?;
            for (frame, embedding) in embeddings[..numbers].chunks_exact(dim).enumerate() {
                self.nearest_into(embedding, labels, top, scores)?;
                each(frame, scores);
            }
            Ok(())
        })
    }
}
