//! What is measured, and one call of it.

use anyhow::Result;
use clip_model::parallel;
use clip_runtime::{Clip, Frame, PixelFormat};

use super::inputs::{Picture, Planes};

/// One row of the report.
pub struct Case<'a> {
    pub input: Input<'a>,
    /// Images or texts in a call.
    pub batch: usize,
    /// Threads that call at the same time.
    pub callers: usize,
}

/// What a call begins with.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// A picture of the model's size.
    Fitted(&'a Picture),
    /// An encoded picture.
    Encoded(&'a Picture),
    Frame(PixelFormat, &'a Planes),
    /// As many texts as there may be in a batch.
    Texts(&'a [String]),
}

impl Case<'_> {
    /// The kind of the measurement, in the words of `--only`.
    pub fn kind(&self) -> &'static str {
        match self.input {
            Input::Fitted(_) => "encode",
            Input::Encoded(_) => "picture",
            Input::Frame(..) => "frames",
            Input::Texts(_) => "texts",
        }
    }

    /// What a call begins with, in words.
    pub fn name(&self) -> String {
        match self.input {
            Input::Fitted(picture) => {
                format!("{}x{} rgb", picture.fitted.width(), picture.fitted.height())
            }
            Input::Encoded(picture) => picture.name.clone(),
            Input::Frame(format, planes) => {
                let layout = planes.layout();
                format!("{}x{} {format}", layout.width, layout.height)
            }
            Input::Texts(_) => "labels".to_owned(),
        }
    }

    /// What is done again and again, with memory of its own for what comes out.
    pub fn calls<'c>(&'c self, clip: &'c Clip) -> Result<Box<dyn FnMut() -> Result<()> + 'c>> {
        let batch = self.batch;
        let mut embeddings = vec![0.0; batch * clip.embed_dim()];
        Ok(match self.input {
            Input::Fitted(picture) => {
                let images = vec![&picture.fitted; batch];
                Box::new(move || Ok(clip.encode_images_into(&images, &mut embeddings)?))
            }
            Input::Encoded(picture) => Box::new(move || {
                let read = |_| -> Result<_> {
                    let decoded = clip.decode_image(&picture.encoded)?;
                    Ok(clip.manifest().preprocess.fit(&decoded)?)
                };
                let helpers = clip.threads().min(batch) - 1;
                let images =
                    parallel::each(0..batch, helpers, read).into_iter().collect::<Result<Vec<_>>>()?;
                Ok(clip.encode_images_into(&images, &mut embeddings)?)
            }),
            Input::Frame(_, planes) => {
                let frames: Vec<Frame<'_>> = vec![planes.frame()?; batch];
                Box::new(move || Ok(clip.encode_frames_into(&frames, &mut embeddings)?))
            }
            Input::Texts(texts) => Box::new(move || {
                clip.encode_texts(&texts[..batch])?;
                Ok(())
            }),
        })
    }
}
