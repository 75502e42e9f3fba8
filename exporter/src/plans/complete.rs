//! Engines are built, and compared with their graphs where a GPU runs them.

use std::path::Path;

use clip_model::Manifest;

use super::build::{Plans, add};
use super::verify::{Verified, verify};
use crate::compare::{Samples, Thresholds, camera};
use crate::error::{Error, Result};
use crate::run::Runner;
use crate::step::Step;

/// Has engines built of the graphs in the folder at `path`, whose manifest names them afterwards, and compares the two on samples with
/// what they have to reach. Gives back the time for one image, milliseconds, where a GPU runs them.
///
/// # Errors
/// Those of [`add`] and [`verify`]; [`Error::Gate`] for engines that are too far from their graphs.
pub fn complete(
    path: &Path,
    manifest: &mut Manifest,
    plans: &Plans,
    (samples, thresholds): (&Samples, Thresholds),
    runner: &Runner,
    steps: &mut dyn FnMut(Step),
) -> Result<Option<f64>> {
    let run_here = add(path, manifest, plans, runner, steps)?;
    manifest.write(path)?;
    if !run_here {
        steps(Step::Unverified);
        return Ok(None);
    }
    steps(Step::VerifyPlans);
    camera(path, samples, plans.options.library.as_deref(), runner)?;
    let Verified { report, image_ms } =
        verify(path, manifest, (samples, thresholds), plans.options.library.as_deref(), runner)?;
    if !report.failures.is_empty() {
        return Err(Error::Gate { precision: report.precision, failures: report.failures });
    }
    steps(Step::Verified { image_ms });
    Ok(manifest.image.as_ref().map(|_| image_ms))
}
