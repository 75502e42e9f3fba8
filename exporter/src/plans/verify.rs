//! Whether plans give what their graphs do, found on the device that runs them.

use std::path::Path;

use clip_model::Manifest;
use clip_model::manifest::{Encoder, Engine};

use crate::compare::{Report, Samples, Thresholds, precision};
use crate::error::Result;
use crate::run::{Inputs, Runner};

/// Images that the time of a run is taken of.
const TIMED: usize = 50;

/// Compares what the plans in `folder` give for `samples` with what their graphs do, which an export has compared with the
/// checkpoint. Where all is well, the manifest says so afterwards.
///
/// # Errors
/// [`Error::Trial`](crate::Error::Trial) and [`Error::TrialApart`](crate::Error::TrialApart) when they do not run here;
/// [`Error::Model`](crate::Error::Model) when the manifest cannot be written.
pub fn verify(
    folder: &Path,
    manifest: &mut Manifest,
    samples: &Samples,
    thresholds: Option<Thresholds>,
    runner: &Runner,
) -> Result<Report> {
    let inputs = Inputs {
        images: samples.images.clone(),
        texts: samples.texts.clone(),
        timed: TIMED,
        ..Inputs::default()
    };
    let found = runner.run(folder, &inputs)?;
    let exact = runner.run(folder, &Inputs { graphs: true, ..inputs })?;
    let precision = precision(manifest);
    let report =
        Report::new(&found, &exact, precision, thresholds.unwrap_or_else(|| Thresholds::of(precision)));
    if report.failures.is_empty() {
        for Encoder { engine, .. } in [&mut manifest.image, &mut manifest.text].into_iter().flatten() {
            if let Engine::TensorRt(plan) = engine {
                plan.verified = true;
            }
        }
        manifest.write(folder)?;
    }
    Ok(report)
}
