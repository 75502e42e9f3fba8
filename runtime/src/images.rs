//! Images to embeddings.

use std::borrow::Borrow;
use std::path::Path;

use clip_model::manifest::{self, Element};
use clip_model::parallel::each;
use clip_model::preprocess::Image;
use clip_model::{Manifest, Preprocess, memory};
use ort::value::{PrimitiveTensorElementType, TensorElementType};

use crate::encoder::{Encoder, Signature};
use crate::error::Result;
use crate::library::Loaded;

/// Images that run together. More gain nothing on a CPU and only take memory.
const IMAGES_PER_RUN: usize = 32;

/// The image tower, and what its input holds.
#[derive(Debug)]
pub(crate) struct ImageTower {
    encoder: Encoder,
    element: Element,
    preprocess: Preprocess,
    embed_dim: usize,
    threads: usize,
}

impl ImageTower {
    /// Opens the graph that `encoder` describes.
    pub fn open(
        loaded: &Loaded,
        folder: &Path,
        manifest: &Manifest,
        encoder: &manifest::Encoder,
        threads: usize,
    ) -> Result<ImageTower> {
        let side = i64::try_from(manifest.preprocess.size).unwrap_or(i64::MAX);
        let (input_type, input_shape) = match encoder.element {
            Element::Uint8 => (TensorElementType::Uint8, [side, side, 3]),
            Element::Float32 | Element::Int32 => (TensorElementType::Float32, [3, side, side]),
        };
        let embed_dim = manifest.embed_dim;
        let signature = Signature { encoder, input_type, input_shape: &input_shape, embed_dim };
        Ok(ImageTower {
            encoder: Encoder::open(loaded, folder, &signature, threads)?,
            element: encoder.element,
            preprocess: manifest.preprocess.clone(),
            embed_dim,
            threads,
        })
    }

    /// The embeddings of `images` in their order, `[images, embed_dim]`.
    pub fn encode<I: Borrow<Image> + Sync>(&self, images: &[I]) -> Result<Vec<f32>> {
        let Preprocess { size, .. } = self.preprocess;
        match self.element {
            Element::Uint8 => self.encode_as(images, [size, size, 3], |image, out: &mut [u8]| {
                out.copy_from_slice(self.preprocess.fit(image)?.rgb());
                Ok(())
            }),
            Element::Float32 | Element::Int32 => {
                self.encode_as(images, [3, size, size], |image, out| Ok(self.preprocess.apply(image, out)?))
            }
        }
    }

    /// `prepare` writes one image as a tensor of `shape`.
    fn encode_as<I, T>(
        &self,
        images: &[I],
        shape: [usize; 3],
        prepare: impl Fn(&Image, &mut [T]) -> Result<()> + Sync,
    ) -> Result<Vec<f32>>
    where
        I: Borrow<Image> + Sync,
        T: PrimitiveTensorElementType + std::fmt::Debug + Default + Clone + Send + 'static,
    {
        let size = shape.iter().product();
        let at_once = self.encoder.batch().unwrap_or(IMAGES_PER_RUN);
        let numbers = images.len().saturating_mul(self.embed_dim);
        let mut values = memory::with_capacity("embeddings", numbers)?;
        let mut input = memory::filled("a batch of images", T::default(), images.len().min(at_once) * size)?;
        for (run, batch) in images.chunks(at_once).enumerate() {
            let input = &mut input[..batch.len() * size];
            self.in_parallel(batch, input, size, &prepare)?;
            let rows = self.encoder.run(&[&[batch.len()], &shape[..]].concat(), input)?;
            self.encoder.check_lengths(&rows, |i| run * at_once + i)?;
            values.extend_from_slice(&rows);
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
