//! The last steps of an export with engines.

use std::path::Path;

use clip_checkpoint::Checkpoint;
use clip_model::Manifest;

use super::build::{Plans, add};
use super::half;
use super::verify::{Verified, verify};
use crate::compare::{Samples, Thresholds};
use crate::error::{Error, Result};
use crate::options::{Numbers, Options};
use crate::step::Step;

/// Has engines built of the graphs in the folder at `path`, which have passed everything, and compares the two where a GPU runs
/// them: on the samples, with what an export has to reach. 8-bit integers are timed beside half precision.
///
/// # Errors
/// Those of [`add`] and [`verify`]; [`Error::Gate`] for engines that are too far from their graphs.
pub fn complete(
    checkpoint: &Checkpoint,
    path: &Path,
    manifest: &mut Manifest,
    (options, plans): (&Options, &Plans),
    (samples, thresholds): (&Samples, Thresholds),
    steps: &mut dyn FnMut(Step),
) -> Result<()> {
    let run_here = add(path, manifest, plans, &options.runner, steps)?;
    manifest.write(path)?;
    if !run_here {
        steps(Step::Unverified);
        return Ok(());
    }
    steps(Step::Verify);
    let Verified { report, image_ms } = verify(path, manifest, samples, Some(thresholds), &options.runner)?;
    if !report.failures.is_empty() {
        return Err(Error::Gate { precision: report.precision, failures: report.failures });
    }
    steps(Step::Verified { image_ms });
    if matches!(options.numbers, Numbers::Int8(_)) && manifest.image.is_some() {
        let (form, runner) = (options.form, &options.runner);
        let fp16_ms = half::image_ms(checkpoint, path, form, (plans, samples), runner, &mut |_| {})?;
        steps(Step::BesideHalf { int8_ms: image_ms, fp16_ms });
    }
    Ok(())
}
