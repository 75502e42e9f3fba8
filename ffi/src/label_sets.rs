//! More about label sets: other sources, and other probabilities.

use std::ffi::c_char;

use clip_runtime::Logits;

use crate::argument;
use crate::classify::{Room, clip_match, filling};
use crate::error::Error;
use crate::guard::{create_shared, guard, retain};
use crate::image::clip_image;
use crate::labels::clip_labels;
use crate::model::clip_model;
use crate::status::clip_status;

/// Adds an owner: the labels are freed by as many calls of clip_labels_free as there are owners. So one thread can
/// replace and free the labels that are in use while another, with an ownership of its own, still classifies with them.
/// Returns `labels`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_labels_retain(labels: *const clip_labels) -> *mut clip_labels {
    unsafe { retain(labels) };
    labels.cast_mut()
}

/// Copies the embeddings of the labels, clip_labels_count rows of clip_model_embed_dim floats, each of length 1, to
/// `embeddings`, which has room for `capacity` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_labels_embeddings(
    labels: *const clip_labels,
    embeddings: *mut f32,
    capacity: usize,
) -> clip_status {
    guard(|_| {
        let rows = unsafe { argument::reference(labels, "labels") }?.set.embeddings();
        let room = unsafe { argument::rows(embeddings, capacity, rows.len(), rows.dim(), "embeddings") }?;
        room.write_copy_of_slice(rows.as_slice());
        Ok(())
    })
}

/// Makes labels of embeddings that are there already, from the same model in another program, for example: `n` rows of
/// clip_model_embed_dim floats. `size` is the number of floats. Rows need not have length 1: they are scaled to it.
/// CLIP_ERROR_ARGUMENT for a row that is zero or not finite.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_labels_from_embeddings(
    model: *const clip_model,
    labels: *const *const c_char,
    n: usize,
    embeddings: *const f32,
    size: usize,
    out: *mut *mut clip_labels,
) -> clip_status {
    unsafe {
        create_shared(out, || {
            let model = argument::reference(model, "model")?;
            let labels = argument::texts(labels, n, "labels")?;
            let embeddings = argument::slice(embeddings, size, "embeddings")?;
            clip_labels::new(model.clip.label_set_from_embeddings(&labels, embeddings)?)
        })
    }
}

/// Makes labels of pictures ("like this one"): `labels[i]` is what `images[i]` shows. The embeddings of images with the same
/// label are averaged; labels are in the order in which they first occur. Images are more similar to each other than to
/// texts whatever they show, so compare such labels with each other, or by a threshold on the similarity.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_labels_from_images(
    model: *const clip_model,
    labels: *const *const c_char,
    images: *const *const clip_image,
    n: usize,
    out: *mut *mut clip_labels,
) -> clip_status {
    unsafe {
        create_shared(out, || {
            let model = argument::reference(model, "model")?;
            let labels = argument::texts(labels, n, "labels")?;
            let images = argument::references(images, n, "images")?;
            clip_labels::new(model.clip.label_set_from_images(&labels, &images)?)
        })
    }
}

/// The factor on similarities in the model's probabilities; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_logit_scale(model: *const clip_model) -> f32 {
    unsafe { model.as_ref() }.map_or(0.0, |model| model.clip.logits().scale)
}

/// The summand behind it: a label's probability is the sigmoid of scale * similarity + bias. NaN when the model has none,
/// as all but SigLIP: then probabilities are the softmax of scale * similarity over all labels. NaN for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_logit_bias(model: *const clip_model) -> f32 {
    unsafe { model.as_ref() }.and_then(|model| model.clip.logits().bias).unwrap_or(f32::NAN)
}

/// Gives the same labels probabilities that are made with these numbers in place of the model's. With a calibrated
/// `scale`, a label that has 80 % is right in 80 of 100 cases: `clip-run calibrate` finds it. With a `bias` that is not
/// NaN, each label has a probability of its own; a model without one needs both from `clip-run calibrate --independent`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_labels_with_logits(
    labels: *const clip_labels,
    scale: f32,
    bias: f32,
    out: *mut *mut clip_labels,
) -> clip_status {
    unsafe {
        create_shared(out, || {
            let labels = argument::reference(labels, "labels")?;
            let bias = Some(bias).filter(|bias| !bias.is_nan());
            clip_labels::new(labels.set.with_logits(Some(Logits { scale, bias }))?)
        })
    }
}

/// The scale that the labels have in place of the model's; 0 when they have none, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_labels_logit_scale(labels: *const clip_labels) -> f32 {
    unsafe { labels.as_ref() }.and_then(|labels| labels.set.logits()).map_or(0.0, |logits| logits.scale)
}

/// The bias that belongs to it; NaN when there is none, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_labels_logit_bias(labels: *const clip_labels) -> f32 {
    let logits = unsafe { labels.as_ref() }.and_then(|labels| labels.set.logits());
    logits.and_then(|logits| logits.bias).unwrap_or(f32::NAN)
}

/// Puts a background behind the labels: what images may show that nobody asked for, such as "a street". Its labels
/// come last, and take their share of the probability; clip_decide takes them for none of the labels.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_labels_with_background(
    labels: *const clip_labels,
    background: *const clip_labels,
    out: *mut *mut clip_labels,
) -> clip_status {
    unsafe {
        create_shared(out, || {
            let labels = argument::reference(labels, "labels")?;
            let background = argument::reference(background, "background")?;
            clip_labels::new(labels.set.with_background(&background.set)?)
        })
    }
}

/// How many of the labels, the last ones, are background; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_labels_background(labels: *const clip_labels) -> usize {
    unsafe { labels.as_ref() }.map_or(0, |labels| labels.set.background())
}

/// What clip_classify_images does, for `n` embeddings of images that were computed before. `size` is the number of
/// floats, n * clip_model_embed_dim. Rows need not have length 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_classify_embeddings(
    model: *const clip_model,
    embeddings: *const f32,
    size: usize,
    n: usize,
    labels: *const clip_labels,
    top: usize,
    matches: *mut clip_match,
    capacity: usize,
    count: *mut usize,
) -> clip_status {
    unsafe {
        guard(filling(count, |call, count| {
            let model = argument::reference(model, "model")?;
            let embeddings = argument::slice(embeddings, size, "embeddings")?;
            let dim = model.clip.embed_dim();
            if n.checked_mul(dim) != Some(size) {
                let reason = format!("size is {size}, expected that of {n} embeddings of {dim} floats");
                return Err(Error::Argument(reason));
            }
            let labels = argument::reference(labels, "labels")?;
            let room = Room::new(matches, capacity, n, top)?;
            let found = model.clip.classify_embeddings(embeddings, &labels.set, top)?;
            call.has_memory()?;
            room.write(&found);
            count.write(top.min(labels.set.len()));
            Ok(())
        }))
    }
}
