//! What the loader's threads do: one drawn sample to pixels and token ids.

use std::sync::Arc;

use clip_model::{Preprocess, Tokenizer, preprocess};

use super::augment::Augment;
use super::cache::Cache;
use super::random::{Purpose, generator};
use super::stream::Drawn;
use crate::error::Result;

/// What all threads share.
pub(super) struct Worker {
    pub seed: u64,
    pub preprocess: Preprocess,
    pub augment: Augment,
    pub tokenizer: Tokenizer,
    pub context_length: usize,
    pub cache: Cache,
}

/// A sample as the network takes it.
#[derive(Debug)]
pub(super) struct Prepared {
    /// `[3,S,S]`, normalised.
    pub pixels: Vec<f32>,
    /// Start, tokens, end.
    pub ids: Vec<i32>,
}

impl Worker {
    /// # Errors
    /// A picture that cannot be decoded.
    pub fn prepare(&self, drawn: &Drawn) -> Result<Prepared> {
        let mut random = generator(self.seed, Purpose::Sample, drawn.position);
        let caption = self.augment.caption(&mut random, &drawn.sample.captions);
        let ids = self.tokenizer.encode(&caption, self.context_length);

        let place = (drawn.shard, drawn.index);
        let picture = match self.cache.get(place) {
            Some(picture) => picture,
            None => {
                let Preprocess { apply_exif_orientation, max_pixels, .. } = self.preprocess;
                let picture =
                    Arc::new(preprocess::decode(&drawn.sample.image, apply_exif_orientation, max_pixels)?);
                self.cache.put(place, &picture);
                picture
            }
        };
        let mut pixels = vec![0.0; 3 * self.preprocess.size * self.preprocess.size];
        self.augment.apply(&picture, &self.preprocess, &mut random, &mut pixels)?;
        Ok(Prepared { pixels, ids })
    }
}
