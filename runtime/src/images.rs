//! Images to embeddings.

use std::borrow::Borrow;

use clip_model::manifest::Layout;
use clip_model::parallel::each;
use clip_model::preprocess::Image;
use clip_model::{Manifest, Preprocess, memory};

use crate::encoder::Encoder;
use crate::engine::Tensor;
use crate::error::Result;
use crate::source::Opened;

/// Images that run together, where the file does not say how many. More gain nothing and only take memory.
const IMAGES_PER_RUN: usize = 32;

/// The image tower, and how its input is made.
#[derive(Debug)]
pub(crate) struct ImageTower {
    encoder: Encoder,
    layout: Layout,
    preprocess: Preprocess,
    embed_dim: usize,
    threads: usize,
}

impl ImageTower {
    /// Checks what was opened.
    pub fn new(opened: Opened, manifest: &Manifest, threads: usize) -> Result<ImageTower> {
        let (preprocess, embed_dim) = (manifest.preprocess.clone(), manifest.embed_dim);
        let layout = opened.encoder.input.layout;
        let shape = shape(layout, preprocess.size).map(Some);
        let encoder = Encoder::new(opened, &shape, embed_dim)?;
        Ok(ImageTower { encoder, layout, preprocess, embed_dim, threads })
    }

    /// What runs.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The embeddings of `images` in their order, `[images, embed_dim]`.
    pub fn encode<I: Borrow<Image> + Sync>(&self, images: &[I]) -> Result<Vec<f32>> {
        match self.layout {
            Layout::Nhwc => self.encode_as(
                images,
                |shape, bytes| Tensor::UInt8(shape, bytes.into()),
                |image, out| {
                    out.copy_from_slice(self.preprocess.fit(image)?.rgb());
                    Ok(())
                },
            ),
            Layout::Nchw | Layout::Planes | Layout::Tokens => self.encode_as(
                images,
                |shape, numbers| Tensor::Float32(shape, numbers.into()),
                |image, out| Ok(self.preprocess.apply(image, out)?),
            ),
        }
    }

    /// `prepare` writes what the tower takes of one image, `tensor` makes a tensor of several.
    fn encode_as<I, T>(
        &self,
        images: &[I],
        tensor: impl Fn(Vec<usize>, &[T]) -> Tensor<'_>,
        prepare: impl Fn(&Image, &mut [T]) -> Result<()> + Sync,
    ) -> Result<Vec<f32>>
    where
        I: Borrow<Image> + Sync,
        T: Default + Clone + Send,
    {
        let shape = shape(self.layout, self.preprocess.size);
        let size: usize = shape.iter().product();
        let at_once = self.encoder.most().unwrap_or(IMAGES_PER_RUN);
        let numbers = images.len().saturating_mul(self.embed_dim);
        let mut values = memory::with_capacity("embeddings", numbers)?;
        let most = self.encoder.rows(images.len().min(at_once));
        let mut input = memory::filled("a batch of images", T::default(), most * size)?;
        for (run, batch) in images.chunks(at_once).enumerate() {
            let rows = self.encoder.rows(batch.len());
            let (given, unused) = input[..rows * size].split_at_mut(batch.len() * size);
            self.in_parallel(batch, given, size, &prepare)?;
            unused.fill(T::default());
            let tensor = tensor([&[rows], &shape[..]].concat(), &input[..rows * size]);
            values.extend(self.encoder.run(&tensor, batch.len(), |i| run * at_once + i)?);
        }
        Ok(values)
    }

    /// Images to the tower's input, each image `size` elements of it.
    fn in_parallel<I: Borrow<Image> + Sync, T: Send>(
        &self,
        images: &[I],
        input: &mut [T],
        size: usize,
        prepare: &(impl Fn(&Image, &mut [T]) -> Result<()> + Sync),
    ) -> Result<()> {
        let share = images.len().div_ceil(self.threads).max(1);
        let shares = images.chunks(share).zip(input.chunks_mut(share * size));
        let done = each(shares, images.len().div_ceil(share).saturating_sub(1), |(images, input)| {
            images.iter().zip(input.chunks_exact_mut(size)).try_for_each(|(i, out)| prepare(i.borrow(), out))
        });
        done.into_iter().collect()
    }
}

/// The shape of one image in the tower's input.
fn shape(layout: Layout, side: usize) -> [usize; 3] {
    match layout {
        Layout::Nhwc => [side, side, 3],
        Layout::Nchw | Layout::Planes | Layout::Tokens => [3, side, side],
    }
}
