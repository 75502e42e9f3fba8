//! Whether plans give what their graphs do, found on the device that runs them.

use std::path::Path;

use clip_model::Manifest;
use clip_model::manifest::{Encoder, Engine};
use serde::Serialize;

use crate::compare::{Report, Samples, Thresholds, precision};
use crate::component::Component;
use crate::error::Result;
use crate::run::{Classified, Inputs, Runner};

/// Images that the time of a run is taken of.
pub(super) const TIMED: usize = 50;

/// What a comparison of plans with their graphs has found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verified {
    /// How close they are.
    pub report: Report,
    /// Median of the time for one image on the device, milliseconds; 0 without an image encoder.
    pub image_ms: f64,
}

/// Compares what the plans in `folder` give for `samples` with what their graphs do, which an export has compared with the
/// checkpoint. Where all is well, the manifest says so afterwards. `tensorrt` is the library or its folder, where the system does not find it.
///
/// # Errors
/// [`Error::Trial`](crate::Error::Trial) and [`Error::TrialApart`](crate::Error::TrialApart) when they do not run here;
/// [`Error::Classifier`](crate::Error::Classifier) for one that gives no probabilities; [`Error::Model`](crate::Error::Model) when the
/// manifest cannot be written.
pub fn verify(
    folder: &Path,
    manifest: &mut Manifest,
    (samples, thresholds): (&Samples, Thresholds),
    tensorrt: Option<&Path>,
    runner: &Runner,
) -> Result<Verified> {
    let (images, texts) = (samples.images.clone(), samples.texts.clone());
    let tensorrt = tensorrt.map(Path::to_owned);
    let inputs = Inputs { images, texts, timed: TIMED, classifier: true, tensorrt, ..Inputs::default() };
    let found = runner.run(folder, &inputs)?;
    found.classified.iter().try_for_each(Classified::check)?;
    let exact = runner.run(folder, &Inputs { graphs: true, timed: 0, ..inputs })?;
    // The graph runs on the processor: its time says nothing about the engine's.
    let report = Report { speed: None, ..Report::new(&found, &exact, precision(manifest), thresholds) };
    if report.failures.is_empty() {
        for component in Component::ALL {
            if let Some(Encoder { engine: Engine::TensorRt(plan), .. }) = component.of_mut(manifest) {
                plan.verified = true;
            }
        }
        manifest.write(folder)?;
    }
    Ok(Verified { report, image_ms: found.image_ms })
}
