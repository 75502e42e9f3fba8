//! Whether a camera's graph gives what the image encoder does.

use std::path::Path;

use clip_model::Manifest;
use clip_model::manifest::Precision;

use super::closeness::Closeness;
use super::samples::Samples;
use crate::error::{Error, Missed, Result};
use crate::run::{Inputs, Runner};

/// The lowest cosine that a frame may have between the two.
///
/// Pixels of frames whose colours have fewer samples than brightness are a level off here and there, which
/// [`Preprocess::fit_frame`](clip_model::Preprocess::fit_frame) may also be, to the other side. 8-bit integers, and half precision, round what is a little
/// different to other numbers.
fn least(precision: Precision) -> f32 {
    match precision {
        Precision::Fp32 => 0.9995,
        Precision::Fp16 => 0.999,
        Precision::Int8 => 0.98,
    }
}

/// Compares the embeddings that the camera of the model in `folder` gives for frames, which show the pictures of `samples`, with the image
/// encoder's. None where there is no camera. `tensorrt` is the library that runs plans, where the system does not find it.
///
/// # Errors
/// [`Error::Gate`] when they are too far apart; [`Error::Trial`] and [`Error::TrialApart`] when they do not run.
pub fn camera(
    folder: &Path,
    samples: &Samples,
    tensorrt: Option<&Path>,
    runner: &Runner,
) -> Result<Option<Closeness>> {
    let Some(camera) = Manifest::read(folder)?.camera else { return Ok(None) };
    let (images, tensorrt) = (samples.images.clone(), tensorrt.map(Path::to_owned));
    let inputs = Inputs { images, camera: true, tensorrt, ..Inputs::default() };
    let Some(framed) = runner.run(folder, &inputs)?.framed else { return Ok(None) };
    let found = Closeness::of(&framed.found, &framed.expected);
    let precision = camera.encoder.precision;
    // What is not a number reaches nothing.
    match found.min_cosine >= least(precision) {
        true => Ok(Some(found)),
        false => {
            let what = format!("the lowest cosine of {} frames to the image encoder's", found.count);
            let missed = Missed { what, found: found.min_cosine, least: least(precision) };
            Err(Error::Gate { precision, failures: vec![missed] })
        }
    }
}
