//! The gate: an exported model is compared with the checkpoint in single precision before its folder gets a name.

use std::path::Path;

use clip_checkpoint::Checkpoint;
use clip_model::Manifest;
use clip_model::manifest::Precision;

use super::overflow;
use super::report::Report;
use super::samples::Samples;
use super::thresholds::Thresholds;
use crate::contents::draft;
use crate::error::Result;
use crate::graph::Form;
use crate::run::{Inputs, Runner};
use crate::tower::Tower;

/// Labels that images are compared with besides the sample texts.
const LABELS: [&str; 24] = [
    "cat", "dog", "bird", "fish", "horse", "tree", "flower", "house", "car", "bicycle", "airplane", "boat",
    "person", "hand", "book", "chair", "cup", "apple", "pizza", "clock", "phone", "ball", "mountain", "sun",
];

/// Runs that a time is the median of.
const RUNS: usize = 9;

/// Number format of a model's encoders.
pub fn precision(manifest: &Manifest) -> Precision {
    let encoder = manifest.image.as_ref().or(manifest.text.as_ref());
    encoder.map_or(Precision::Fp32, |encoder| encoder.precision)
}

/// Compares the model folder `folder` with what `checkpoint` gives in single precision, on `samples`. For as long as that
/// takes, the model in single precision lies in a new folder inside `parent`.
///
/// The two run one after the other: where `runner` is a program, no process holds both of them, and the one that runs
/// single precision takes what the engine takes for the whole model.
///
/// # Errors
/// [`Error::Overflow`](crate::Error::Overflow) for a model in half precision that computes numbers beyond it;
/// [`Error::Trial`](crate::Error::Trial) and [`Error::TrialApart`](crate::Error::TrialApart) when either does not run;
/// those of [`export`](crate::export()) in single precision.
pub fn against(
    checkpoint: &Checkpoint,
    folder: impl AsRef<Path>,
    samples: &Samples,
    thresholds: Thresholds,
    parent: impl AsRef<Path>,
    runner: &Runner,
) -> Result<Report> {
    let (folder, parent) = (folder.as_ref(), parent.as_ref());
    let manifest = Manifest::read(folder)?;
    let precision = precision(&manifest);
    if precision == Precision::Fp16 {
        overflow::check(checkpoint, &manifest, samples, parent, runner)?;
    }
    let single = draft(checkpoint, parent, &Tower::BOTH, Form::default(), |graph| graph)?;
    let texts = LABELS.into_iter().map(str::to_owned).chain(samples.texts.iter().cloned()).collect();
    let inputs = Inputs { images: samples.images.clone(), texts, timed: RUNS, ..Inputs::default() };
    let exact = runner.run(single.path(), &inputs)?;
    let found = runner.run(folder, &inputs)?;
    Ok(Report::new(&found, &exact, precision, thresholds))
}
