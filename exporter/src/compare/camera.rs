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
/// Where colours have fewer samples than brightness, pixels are a level off here and there, of a flat picture all of them: emoji-tiny then gives 0.9994 and
/// more. The wrong range of Y, U and V gives 0.995 there, the wrong matrix 0.988, U and V exchanged 0.93. 8-bit integers round what is a little
/// different to other numbers.
fn least(precision: Precision) -> f32 {
    match precision {
        Precision::Fp32 | Precision::Fp16 => 0.998,
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
