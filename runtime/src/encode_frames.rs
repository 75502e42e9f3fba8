//! Frames of cameras to embeddings and labels, each straight from its planes.

use clip_model::frame::Frame;
use clip_model::memory;

use crate::clip::Clip;
use crate::embeddings::Embeddings;
use crate::error::Result;
use crate::frame_memory::{CameraFrame, CudaFrame};
use crate::images::{ImageTower, Results};
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
        let tower = self.images()?;
        let prepare = |i: usize, out: ModelInput<'_>| self.resize(tower, &frames[i], out);
        tower.encode_with(frames.len(), &prepare, embeddings)
    }

    /// [`Clip::encode_frames_into`] for frames in whatever memory they lie. Those that [`Clip::camera`] takes are read by the GPU where they are; all
    /// others come to the processor, which resizes them.
    ///
    /// # Errors
    /// As [`Clip::encode_frames_into`] and [`Mapper::with_host`].
    ///
    /// [`Mapper::with_host`]: crate::frame_memory::Mapper::with_host
    pub fn encode_camera_frames_into(
        &self,
        frames: &[CameraFrame<'_>],
        embeddings: &mut [f32],
    ) -> Result<()> {
        let tower = self.images()?;
        if let Some(camera) = self.camera()
            && !frames.is_empty()
            && frames.iter().all(|frame| camera.takes(frame).is_some())
        {
            let taken: Vec<CudaFrame> = frames.iter().filter_map(|frame| camera.takes(frame)).collect();
            return tower.check_room(frames.len(), embeddings).and_then(|()| {
                embeddings.copy_from_slice(&camera.encode(&taken)?);
                Ok(())
            });
        }
        let prepare = |i: usize, out: ModelInput<'_>| {
            let CameraFrame { memory, layout, view } = &frames[i];
            self.mapper().with_host(memory, *layout, *view, |frame| self.resize(tower, frame, out))
        };
        tower.encode_with(frames.len(), &prepare, embeddings)
    }

    /// A frame to what the tower takes of it.
    fn resize(&self, tower: &ImageTower, frame: &Frame<'_>, out: ModelInput<'_>) -> Result<()> {
        let preprocess = &self.manifest().preprocess;
        tower.scratches.with(|scratch| match out {
            ModelInput::Bytes(out) => preprocess.fit_frame(frame, scratch, out),
            ModelInput::Floats(out) => preprocess.apply_frame(frame, scratch, out),
        })?;
        Ok(())
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
        each: impl FnMut(usize, &[Score]),
    ) -> Result<()> {
        self.classify_each(frames.len(), labels, top, each, |values| self.encode_frames_into(frames, values))
    }

    /// [`Clip::classify_each_frame`] for frames in whatever memory they lie.
    ///
    /// # Errors
    /// As [`Clip::classify`] and [`Clip::encode_camera_frames_into`].
    pub fn classify_each_camera_frame(
        &self,
        frames: &[CameraFrame<'_>],
        labels: &LabelSet,
        top: usize,
        each: impl FnMut(usize, &[Score]),
    ) -> Result<()> {
        let encode = |values: &mut [f32]| self.encode_camera_frames_into(frames, values);
        self.classify_each(frames.len(), labels, top, each, encode)
    }

    fn classify_each(
        &self,
        frames: usize,
        labels: &LabelSet,
        top: usize,
        mut each: impl FnMut(usize, &[Score]),
        encode: impl FnOnce(&mut [f32]) -> Result<()>,
    ) -> Result<()> {
        labels.check_model(self.id())?;
        let (tower, dim) = (self.images()?, self.embed_dim());
        tower.results.with(|Results { embeddings, scores }| {
            let numbers = frames.saturating_mul(dim);
            grow("embeddings", embeddings, numbers)?;
            encode(&mut embeddings[..numbers])?;
            for (frame, embedding) in embeddings[..numbers].chunks_exact(dim).enumerate() {
                self.nearest_into(embedding, labels, top, scores)?;
                each(frame, scores);
            }
            Ok(())
        })
    }
}
