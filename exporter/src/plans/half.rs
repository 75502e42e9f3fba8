//! What half precision would take: 8-bit integers are not always faster on a GPU, on Vision Transformers often not.

use std::path::Path;

use clip_checkpoint::Checkpoint;
use clip_model::Manifest;

use super::build::{Plans, add};
use super::verify::TIMED;
use crate::compare::Samples;
use crate::contents::draft;
use crate::error::Result;
use crate::graph::Form;
use crate::onnx::Graph;
use crate::run::{Inputs, Runner};
use crate::step::Step;
use crate::tower::Tower;

/// Median of the time for one image of the image encoder as an engine in half precision, milliseconds. The engine is built in a new
/// folder inside `parent`, and removed again.
///
/// # Errors
/// Those of [`add`], and of a run.
pub fn image_ms(
    checkpoint: &Checkpoint,
    parent: &Path,
    form: Form,
    (plans, samples): (&Plans, &Samples),
    runner: &Runner,
    steps: &mut dyn FnMut(Step),
) -> Result<f64> {
    let folder = draft(checkpoint, parent, &[Tower::Image], form, Graph::into_half)?;
    let mut manifest = Manifest::read(folder.path())?;
    let plans = Plans { towers: Some(vec![Tower::Image]), ..plans.clone() };
    add(folder.path(), &mut manifest, &plans, runner, steps)?;
    manifest.write(folder.path())?;
    let inputs = Inputs { images: samples.images.clone(), timed: TIMED, ..Inputs::default() };
    Ok(runner.run(folder.path(), &inputs)?.image_ms)
}
