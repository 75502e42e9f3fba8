//! Embeddings.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use crate::argument;
use crate::guard::{Error, guard};
use crate::image::clip_image;
use crate::model::clip_model;
use crate::status::clip_status;

/// Computes the embeddings of `n` images in one go: `n` rows of clip_model_embed_dim floats, each of length 1, to
/// `embeddings`, which has room for `capacity` floats. The dot product of two rows is their similarity.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_embed_images(
    model: *const clip_model,
    images: *const *const clip_image,
    n: usize,
    embeddings: *mut f32,
    capacity: usize,
) -> clip_status {
    guard(|call| unsafe {
        let model = argument::reference(model, "model")?;
        let images = argument::references(images, n, "images")?;
        let room = room(model, n, embeddings, capacity)?;
        if n > 0 {
            let embeddings = model.0.encode_images(&images)?;
            call.has_memory()?;
            room.write_copy_of_slice(embeddings.as_slice());
        }
        Ok(())
    })
}

/// The same of `n` texts. Texts that are too long are cut, see clip_model_context_length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_embed_texts(
    model: *const clip_model,
    texts: *const *const c_char,
    n: usize,
    embeddings: *mut f32,
    capacity: usize,
) -> clip_status {
    guard(|call| unsafe {
        let model = argument::reference(model, "model")?;
        let texts = argument::texts(texts, n, "texts")?;
        let room = room(model, n, embeddings, capacity)?;
        if n > 0 {
            let embeddings = model.0.encode_texts(&texts)?;
            call.has_memory()?;
            room.write_copy_of_slice(embeddings.as_slice());
        }
        Ok(())
    })
}

/// Where `n` embeddings go, checked before anything is computed.
unsafe fn room<'a>(
    model: &clip_model,
    n: usize,
    embeddings: *mut f32,
    capacity: usize,
) -> Result<&'a mut [MaybeUninit<f32>], Error> {
    let dim = model.0.embed_dim();
    let expected =
        n.checked_mul(dim).ok_or_else(|| Error::Argument(format!("{n} embeddings of {dim} floats")))?;
    if capacity < expected {
        return Err(Error::Capacity { name: "embeddings", expected, found: capacity });
    }
    unsafe { argument::room(embeddings, expected, "embeddings") }
}
