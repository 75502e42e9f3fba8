//! What a loader's threads do: one drawn sample to a picture and token ids.

use std::sync::Arc;

use clip_model::preprocess::{self, Image};

use crate::cache::Cache;
use crate::captions;
use crate::error::Result;
use crate::mixture::Drawn;
use crate::options::LoaderOptions;
use crate::random::{Purpose, generator};

/// What all threads share.
pub(crate) struct Worker {
    pub options: LoaderOptions,
    pub cache: Cache,
}

/// A sample as the network takes it.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// S times S.
    pub picture: Image,
    /// Start, tokens, end; of a SigLIP padded to the full length.
    pub ids: Vec<i32>,
}

impl Worker {
    /// # Errors
    /// A picture that cannot be decoded.
    pub fn prepare(&self, drawn: &Drawn) -> Result<Prepared> {
        let LoaderOptions { seed, preprocess, augment, tokenizer, context_length, .. } = &self.options;
        let mut random = generator(*seed, Purpose::Sample, drawn.position);
        let caption = captions::choose(augment, &mut random, &drawn.sample.captions);
        // Where texts have no start, as SigLIP's, their padding counts.
        let ids = match tokenizer.start_id() {
            Some(_) => tokenizer.encode(&caption, *context_length),
            None => tokenizer.encode_padded(&caption, *context_length),
        };

        let picture = match self.cache.get(drawn.place) {
            Some(picture) => picture,
            None => {
                let (turned, limit) = (preprocess.apply_exif_orientation, preprocess.max_pixels);
                let picture = Arc::new(preprocess::decode(&drawn.sample.image, turned, limit)?);
                self.cache.put(drawn.place, &picture);
                picture
            }
        };
        let picture = augment.apply(&picture, preprocess, &mut random)?;
        Ok(Prepared { picture, ids })
    }
}
