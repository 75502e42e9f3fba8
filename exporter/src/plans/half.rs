//! What half precision would take: 8-bit integers are not always faster on a GPU, on Vision Transformers often not.

use std::path::Path;

use clip_checkpoint::Checkpoint;
use clip_model::Manifest;

use super::build::{Plans, add};
use super::verify::TIMED;
use crate::compare::Samples;
use crate::component::Component;
use crate::contents::draft;
use crate::error::Result;
use crate::onnx::Graph;
use crate::options::Options;
use crate::run::Inputs;
use crate::step::Step;
use crate::tower::Tower;

/// Tells how fast an image encoder in 8-bit integers, which takes `int8_ms` milliseconds an image, is beside the same in half precision. That
/// engine is built in a new folder inside `parent`, and removed again.
///
/// # Errors
/// Those of [`add`], and of a run.
pub fn compare_with_half(
    checkpoint: &Checkpoint,
    parent: &Path,
    (options, plans): (&Options, &Plans),
    samples: &Samples,
    int8_ms: f64,
    steps: &mut dyn FnMut(Step),
) -> Result<()> {
    let Options { form, runner, .. } = options;
    let folder = draft(checkpoint, parent, &[Tower::Image], *form, Graph::into_half)?;
    let mut manifest = Manifest::read(folder.path())?;
    let plans = Plans { components: Some(vec![Component::Image]), ..plans.clone() };
    add(folder.path(), &mut manifest, &plans, runner, &mut |_| {})?;
    manifest.write(folder.path())?;
    let (images, tensorrt) = (samples.images.clone(), plans.options.library.clone());
    let inputs = Inputs { images, timed: TIMED, tensorrt, ..Inputs::default() };
    let fp16_ms = runner.run(folder.path(), &inputs)?.image_ms;
    steps(Step::BesideHalf { int8_ms, fp16_ms });
    Ok(())
}
