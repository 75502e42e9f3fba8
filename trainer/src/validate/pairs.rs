//! The pairs of some shards: their pictures' embeddings, and which class and captions belong to each.

use std::ops::Range;
use std::path::Path;

use clip_data::{Distinct, Sample, Skipped, samples};
use clip_model::parallel;
use tch::Tensor;

use super::Validator;
use crate::error::{Error, Result};
use crate::network::Network;

/// Pictures that are decoded and encoded at a time.
const BATCH: usize = 128;

/// All pairs, in the order in which they were read.
pub(super) struct Pairs {
    /// Embeddings of length one, some pictures `[B, embed_dim]` in each.
    pub images: Vec<Tensor>,
    /// The number of each picture's class.
    pub own_class: Vec<usize>,
    /// The numbers of each picture's captions, at least one.
    pub own_captions: Vec<Vec<usize>>,
    /// Class names.
    pub classes: Distinct,
    /// Captions.
    pub captions: Distinct,
}

/// Those that figures are about.
pub(super) struct Part {
    /// A shard's file name.
    pub name: String,
    /// Their numbers.
    pub pairs: Range<usize>,
    /// What was left out.
    pub skipped: Skipped,
}

impl Pairs {
    /// None so far; the classes are `labels`, or else will be those of the pairs.
    pub fn new(labels: Option<&[String]>) -> Pairs {
        let mut classes = Distinct::default();
        for label in labels.into_iter().flatten() {
            classes.number(label);
        }
        let (images, own_class, own_captions) = (Vec::new(), Vec::new(), Vec::new());
        Pairs { images, own_class, own_captions, classes, captions: Distinct::default() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.own_class.len()
    }
}

impl Validator {
    /// Adds the pairs of a shard.
    pub(super) fn read(&self, network: &Network, shard: &Path, pairs: &mut Pairs) -> Result<Part> {
        let start = pairs.len();
        // What is left out is told with the figures.
        let mut stream = samples(&[shard], |_| {});
        let mut skipped = Skipped::default();
        let mut batch = Vec::with_capacity(BATCH);
        for sample in stream.by_ref() {
            let sample = sample?;
            if self.labels.is_some()
                && sample.captions.first().and_then(|name| pairs.classes.get(name)).is_none()
            {
                skipped.add("its first caption is none of the class names", sample.key);
                continue;
            }
            batch.push(sample);
            if batch.len() == BATCH {
                self.add(network, &batch, pairs, &mut skipped)?;
                batch.clear();
            }
        }
        self.add(network, &batch, pairs, &mut skipped)?;
        skipped.merge(&stream.skipped());
        if pairs.len() == start {
            return Err(Error::NoPicture { path: shard.to_owned(), skipped });
        }
        let name = shard.file_name().unwrap_or(shard.as_os_str()).to_string_lossy().into_owned();
        Ok(Part { name, pairs: start..pairs.len(), skipped })
    }

    /// Decodes and encodes some pictures.
    fn add(
        &self,
        network: &Network,
        batch: &[Sample],
        pairs: &mut Pairs,
        skipped: &mut Skipped,
    ) -> Result<()> {
        self.go_on()?;
        let length = 3 * self.preprocess.size * self.preprocess.size;
        let mut pixels = vec![0.0; batch.len() * length];
        let work = batch.iter().zip(pixels.chunks_mut(length));
        let decoded = parallel::each(work, self.threads.saturating_sub(1), |(sample, pixels)| {
            let image = self.preprocess.decode(&sample.image);
            image.map(|image| self.preprocess.apply(&image, pixels))
        });
        let mut kept = 0;
        for (place, (sample, decoded)) in batch.iter().zip(decoded).enumerate() {
            match decoded {
                Ok(applied) => applied?,
                Err(reason) => {
                    skipped.add("its picture cannot be decoded", format!("{} ({reason})", sample.key));
                    continue;
                }
            }
            let Some(first) = sample.captions.first() else { continue };
            pixels.copy_within(place * length..(place + 1) * length, kept * length);
            kept += 1;
            pairs.own_class.push(pairs.classes.number(first));
            pairs.own_captions.push(sample.captions.iter().map(|text| pairs.captions.number(text)).collect());
        }
        if kept > 0 {
            let side = self.preprocess.size as i64;
            let images =
                Tensor::f_from_slice(&pixels[..kept * length])?.f_view([kept as i64, 3, side, side])?;
            pairs.images.push(network.encode_image(&images.f_to_device(network.device)?));
        }
        Ok(())
    }
}
