//! Embeddings.

use std::ffi::c_char;

use clip_runtime::{Clip, Embeddings};

use crate::argument;
use crate::error::Error;
use crate::guard::guard;
use crate::image::clip_image;
use crate::model::clip_model;
use crate::status::clip_status;

/// Computes the embeddings of `n` images in one go. Writes `n` rows of clip_model_embed_dim floats to `embeddings`,
/// which has room for `capacity` floats. Each row has length 1, so the dot product of two rows is their similarity.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_embed_images(
    model: *const clip_model,
    images: *const *const clip_image,
    n: usize,
    embeddings: *mut f32,
    capacity: usize,
) -> clip_status {
    unsafe {
        embed(model, n, embeddings, capacity, || {
            let images = argument::references(images, n, "images")?;
            Ok(move |model: &Clip| model.encode_images(&images))
        })
    }
}

/// Does the same for `n` texts. Texts of more than clip_model_context_length tokens are cut.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_embed_texts(
    model: *const clip_model,
    texts: *const *const c_char,
    n: usize,
    embeddings: *mut f32,
    capacity: usize,
) -> clip_status {
    unsafe {
        embed(model, n, embeddings, capacity, || {
            let texts = argument::texts(texts, n, "texts")?;
            Ok(move |model: &Clip| model.encode_texts(&texts))
        })
    }
}

/// Checks all arguments, before anything is computed, and fills `embeddings` with what `encode` gives.
unsafe fn embed<E: FnOnce(&Clip) -> clip_runtime::Result<Embeddings>>(
    model: *const clip_model,
    n: usize,
    embeddings: *mut f32,
    capacity: usize,
    encode: impl FnOnce() -> Result<E, Error>,
) -> clip_status {
    guard(|call| {
        let clip = &unsafe { argument::reference(model, "model") }?.clip;
        let encode = encode()?;
        let room = unsafe { argument::rows(embeddings, capacity, n, clip.embed_dim(), "embeddings") }?;
        if n > 0 {
            let embeddings = encode(clip)?;
            call.has_memory()?;
            room.write_copy_of_slice(embeddings.as_slice());
        }
        Ok(())
    })
}
