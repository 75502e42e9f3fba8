//! Images to embeddings.

use std::borrow::Borrow;
use std::sync::{Mutex, PoisonError};

use clip_model::manifest::Layout;
use clip_model::preprocess::{Image, Scratch};
use clip_model::{Manifest, Preprocess};

use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::input::{Buffer, Buffers, ModelInput, grow};
use crate::pool::Pool;
use crate::scores::Score;
use crate::source::Opened;
use crate::workers::Workers;

/// Images that run together, where the file does not say how many. More gain nothing and only take memory.
const IMAGES_PER_RUN: usize = 32;

/// The image tower, and how its input is made.
#[derive(Debug)]
pub(crate) struct ImageTower {
    encoder: Encoder,
    /// The shape of one image in its input.
    shape: [usize; 3],
    preprocess: Preprocess,
    embed_dim: usize,
    buffers: Buffers,
    workers: Workers,
    /// Memory of frames that are resized, and of what is found in them.
    pub scratches: Pool<Scratch>,
    pub results: Pool<Results>,
}

/// What is found in frames.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub embeddings: Vec<f32>,
    pub scores: Vec<Score>,
}

impl ImageTower {
    /// Checks what was opened.
    pub fn new(opened: Opened, manifest: &Manifest, threads: usize) -> Result<ImageTower> {
        let (preprocess, embed_dim) = (manifest.preprocess.clone(), manifest.embed_dim);
        let (layout, side) = (opened.encoder.input.layout, preprocess.size);
        let shape = match layout {
            Layout::Nhwc => [side, side, 3],
            Layout::Nchw | Layout::Planes | Layout::Tokens => [3, side, side],
        };
        let encoder = Encoder::new(opened, &shape.map(Some), embed_dim)?;
        let (buffers, workers) = (Buffers::new(layout == Layout::Nhwc), Workers::new(threads - 1));
        let (scratches, results) = (Pool::new(), Pool::new());
        Ok(ImageTower { encoder, shape, preprocess, embed_dim, buffers, workers, scratches, results })
    }

    /// What runs.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Writes the embeddings of `images` in their order to `values`, `[images, embed_dim]`.
    pub fn encode<I: Borrow<Image> + Sync>(&self, images: &[I], values: &mut [f32]) -> Result<()> {
        let prepare = |i: usize, out: ModelInput<'_>| {
            let image: &Image = images[i].borrow();
            let side = self.preprocess.size;
            let fitted;
            let image = match (image.width(), image.height()) == (side, side) {
                true => image,
                false => {
                    fitted = self.preprocess.fit(image)?;
                    &fitted
                }
            };
            match out {
                ModelInput::Bytes(out) => out.copy_from_slice(image.rgb()),
                ModelInput::Floats(out) => self.preprocess.normalize(image, out)?,
            }
            Ok(())
        };
        self.encode_with(images.len(), &prepare, values)
    }

    /// The same for `count` images, of which `prepare`, in several threads, writes what the tower takes of each by its number.
    ///
    /// Nothing is allocated here, once as many images were encoded by as many callers at the same time.
    pub fn encode_with(
        &self,
        count: usize,
        prepare: &(impl Fn(usize, ModelInput<'_>) -> Result<()> + Sync),
        values: &mut [f32],
    ) -> Result<()> {
        self.check_room(count, values)?;
        self.encoder.check_process()?;
        let at_once = self.encoder.most().unwrap_or(IMAGES_PER_RUN);
        self.buffers.with(|buffer| {
            let batches = values.chunks_mut(at_once.saturating_mul(self.embed_dim)).enumerate();
            batches
                .map(|(run, values)| (run * at_once, values))
                .try_for_each(|(first, values)| self.run(buffer, first, prepare, values))
        })
    }

    /// Refuses `values` that are not as long as so many embeddings.
    pub fn check_room(&self, count: usize, values: &[f32]) -> Result<()> {
        match values.len() == count.saturating_mul(self.embed_dim) {
            true => Ok(()),
            false => Err(Error::Room { images: count, dim: self.embed_dim, found: values.len() }),
        }
    }

    /// One run: the embeddings of as many images as `values` has room for, from number `first` on.
    fn run(
        &self,
        buffer: &mut Buffer,
        first: usize,
        prepare: &(impl Fn(usize, ModelInput<'_>) -> Result<()> + Sync),
        values: &mut [f32],
    ) -> Result<()> {
        let count = values.len() / self.embed_dim;
        let (rows, size) = (self.encoder.rows(count), self.shape.iter().product::<usize>());
        buffer.input.grow(rows * size)?;
        self.prepare(buffer, count, size, &|i, out| prepare(first + i, out))?;
        buffer.input.clear(count * size, rows * size);
        let [a, b, c] = self.shape;
        let input = (&[rows, a, b, c][..], buffer.input.elements(rows * size));
        if rows == count {
            return self.encoder.run(input, count, values, |row| first + row);
        }
        let elements = rows * self.embed_dim;
        grow("embeddings", &mut buffer.output, elements)?;
        self.encoder.run(input, count, &mut buffer.output[..elements], |row| first + row)?;
        values.copy_from_slice(&buffer.output[..values.len()]);
        Ok(())
    }

    /// Prepares the images of a run, which threads take one by one. Of those that fail, the first one counts.
    fn prepare(
        &self,
        buffer: &mut Buffer,
        count: usize,
        size: usize,
        prepare: &(impl Fn(usize, ModelInput<'_>) -> Result<()> + Sync),
    ) -> Result<()> {
        let images = Mutex::new(buffer.input.images(count, size).enumerate());
        let failed: Mutex<Option<(usize, Error)>> = Mutex::new(None);
        let next = || images.lock().unwrap_or_else(PoisonError::into_inner).next();
        self.workers.share(count.saturating_sub(1), &|| {
            while let Some((i, out)) = next() {
                let Err(error) = prepare(i, out) else { continue };
                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                if failed.as_ref().is_none_or(|(known, _)| i < *known) {
                    *failed = Some((i, error));
                }
                break;
            }
        });
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.map_or(Ok(()), |(_, error)| Err(error))
    }
}
