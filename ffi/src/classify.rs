//! Zero-shot classification.

use crate::argument;
use crate::guard::{Error, guard};
use crate::image::clip_image;
use crate::labels::clip_labels;
use crate::model::clip_model;
use crate::status::clip_status;

/// How well one label fits an image.
#[repr(C)]
pub struct clip_match {
    /// The label's place in the set, see clip_labels_name.
    pub index: usize,
    /// Softmax over the whole set: the probabilities of all labels add up to 1. Of a SigLIP model, a sigmoid: each label has
    /// its own, and all are low where none fits.
    pub probability: f32,
    /// Cosine of the angle between the embeddings of image and label, -1 to 1.
    pub similarity: f32,
}

/// The labels that fit the image best, best first. Writes `*count` = min(capacity, labels in the set) of them to
/// `matches`, which has room for `capacity` of them (at least 1).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_classify(
    model: *const clip_model,
    image: *const clip_image,
    labels: *const clip_labels,
    matches: *mut clip_match,
    capacity: usize,
    count: *mut usize,
) -> clip_status {
    if let Some(count) = unsafe { count.as_mut() } {
        *count = 0;
    }
    guard(|call| unsafe {
        let count = argument::output(count, "count")?;
        let model = argument::reference(model, "model")?;
        let image = argument::reference(image, "image")?;
        let labels = argument::reference(labels, "labels")?;
        let room = argument::room(matches, capacity, "matches")?;
        if room.is_empty() {
            return Err(Error::Capacity { name: "matches", expected: 1, found: 0 });
        }
        let found = model.0.classify(&image.0, &labels.set, capacity)?;
        call.has_memory()?;
        for (to, from) in room.iter_mut().zip(&found) {
            let clip_runtime::Match { index, probability, similarity, .. } = *from;
            to.write(clip_match { index, probability, similarity });
        }
        count.write(found.len().min(capacity));
        Ok(())
    })
}
