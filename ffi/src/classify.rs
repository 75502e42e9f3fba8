//! Zero-shot classification.

use std::mem::MaybeUninit;

use clip_runtime::Score;

use crate::argument;
use crate::error::Error;
use crate::guard::{Call, guard};
use crate::image::clip_image;
use crate::labels::clip_labels;
use crate::model::clip_model;
use crate::status::clip_status;

/// How well one label fits an image.
#[repr(C)]
pub struct clip_match {
    /// The label's index, see clip_labels_name.
    pub index: usize,
    /// A softmax over all labels, so that their probabilities add up to 1. For a SigLIP model, a sigmoid: each label
    /// has its own probability, and all are low when none fits.
    pub probability: f32,
    /// Cosine of the angle between the embeddings of image and label, from -1 to 1.
    pub similarity: f32,
}

/// Finds the labels that fit the image best. Writes min(capacity, number of labels) of them to `matches`, best first,
/// and their number to `*count`. `matches` has room for `capacity` of them, at least 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_classify(
    model: *const clip_model,
    image: *const clip_image,
    labels: *const clip_labels,
    matches: *mut clip_match,
    capacity: usize,
    count: *mut usize,
) -> clip_status {
    let image = || Ok(vec![unsafe { argument::reference(image, "image") }?]);
    unsafe { classify(model, image, labels, capacity, matches, capacity, count) }
}

/// Does the same for `n` images in one go. Writes min(top, number of labels) matches for each image, best first, those
/// of image i from matches[i * top] on, and how many each image got to `*count`. `matches` has room for `capacity` of
/// them, at least n * top; places that are left over in a row keep what was in them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_classify_images(
    model: *const clip_model,
    images: *const *const clip_image,
    n: usize,
    labels: *const clip_labels,
    top: usize,
    matches: *mut clip_match,
    capacity: usize,
    count: *mut usize,
) -> clip_status {
    let images = || unsafe { argument::references(images, n, "images") };
    unsafe { classify(model, images, labels, top, matches, capacity, count) }
}

/// The matches of all images, in rows of `top`.
unsafe fn classify<'a>(
    model: *const clip_model,
    images: impl FnOnce() -> Result<Vec<&'a clip_image>, Error>,
    labels: *const clip_labels,
    top: usize,
    matches: *mut clip_match,
    capacity: usize,
    count: *mut usize,
) -> clip_status {
    unsafe {
        guard(filling(count, |call, count| {
            let model = argument::reference(model, "model")?;
            let images = images()?;
            let labels = argument::reference(labels, "labels")?;
            let room = Room::new(matches, capacity, images.len(), top)?;
            let found = match images.is_empty() {
                true => Vec::new(),
                false => model.clip.classify_batch(&images, &labels.set, top)?,
            };
            call.has_memory()?;
            room.write(&found);
            count.write(top.min(labels.set.len()));
            Ok(())
        }))
    }
}

/// `body` with the place for the number of matches, which is 0 if it fails.
pub(crate) unsafe fn filling(
    count: *mut usize,
    body: impl FnOnce(&Call, &mut MaybeUninit<usize>) -> Result<(), Error>,
) -> impl FnOnce(&Call) -> Result<(), Error> {
    if let Some(count) = unsafe { count.as_mut() } {
        *count = 0;
    }
    move |call| body(call, unsafe { argument::output(count, "count") }?)
}

/// Where matches go, in rows of `top`.
pub(crate) struct Room<'a> {
    matches: &'a mut [MaybeUninit<clip_match>],
    top: usize,
}

impl Room<'_> {
    pub(crate) unsafe fn new<'a>(
        matches: *mut clip_match,
        capacity: usize,
        n: usize,
        top: usize,
    ) -> Result<Room<'a>, Error> {
        let matches = unsafe { argument::rows(matches, capacity, n, top.max(1), "matches") }?;
        match top {
            0 => Err(Error::Argument("top is 0, expected at least 1".to_owned())),
            top => Ok(Room { matches, top }),
        }
    }

    /// Writes the matches of image `row`.
    pub(crate) fn write_row(&mut self, row: usize, found: &[Score]) {
        for (to, from) in self.matches[row * self.top..][..self.top].iter_mut().zip(found) {
            let Score { index, probability, similarity } = *from;
            to.write(clip_match { index, probability, similarity });
        }
    }

    pub(crate) fn write(self, found: &[Vec<clip_runtime::Match<'_>>]) {
        for (room, found) in self.matches.chunks_exact_mut(self.top).zip(found) {
            for (to, from) in room.iter_mut().zip(found) {
                let clip_runtime::Match { index, probability, similarity, .. } = *from;
                to.write(clip_match { index, probability, similarity });
            }
        }
    }
}
