//! Engines for a model folder that is there already: exported on one machine, built for the device on another one.

use std::path::Path;

use clip_model::Manifest;
use clip_model::manifest::{REPORT, verified};

use super::build::{Plans, check};
use super::complete::complete;
use crate::compare::{Samples, Thresholds, precision};
use crate::component::Component;
use crate::contents::destination;
use crate::error::{Error, Result};
use crate::run::Runner;
use crate::step::Step;

/// Builds engines of the graphs in the model folder `folder`, which then has them beside its graphs, and compares the two where a GPU
/// runs them. The folder stays as it is until all is well. Engines that it has already are built anew.
///
/// # Errors
/// [`Error::Model`] when it is no model folder or a file is another one; [`Error::Plan`], [`Error::PlanApart`] and [`Error::Trtexec`] for
/// what TensorRT refuses; [`Error::Gate`] for engines that are too far from their graphs.
pub fn add_to(
    folder: &Path,
    plans: &Plans,
    samples: &Samples,
    runner: &Runner,
    steps: &mut dyn FnMut(Step),
) -> Result<Manifest> {
    plans.validate()?;
    let mut manifest = Manifest::read(folder)?;
    for component in Component::ALL {
        let Some(encoder) = component.of_mut(&mut manifest) else { continue };
        *encoder = encoder.without_plan();
        for (file, sha256) in encoder.files() {
            verified(folder, file, sha256)?;
        }
    }
    check(plans, runner)?;
    destination::write(folder, true, |fresh| {
        for file in manifest.files().into_iter().filter(|file| folder.join(file).exists()) {
            copy(&folder.join(file), &fresh.join(file))?;
        }
        manifest.write(fresh)?;
        let judged = (samples, Thresholds::of(precision(&manifest)));
        complete(fresh, &mut manifest, plans, judged, runner, steps).map(drop)
    })?;
    Ok(manifest)
}

/// Without taking the space twice where that can be. The report and the manifest are written anew by others, and so copied.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let linked = !to.ends_with(REPORT) && std::fs::hard_link(from, to).is_ok();
    if !linked {
        std::fs::copy(from, to).map_err(|source| Error::Write { path: to.to_owned(), source })?;
    }
    Ok(())
}
