//! The graphs of a model folder become plans.

use std::path::{Path, PathBuf};

use clip_model::Manifest;
use clip_model::manifest::{MAX_BATCH, Plan, Sizes};
use clip_runtime::plan::PlanOptions;

use super::builder::{Builder, here};
use super::{apart, trtexec};
use crate::component::Component;
use crate::error::{Conflict, Error, Result};
use crate::run::Runner;
use crate::step::Step;

/// Memory of a GPU up to which the text encoder stays a graph unless it is asked for, bytes: boards of 8 GB, on which the GPU's memory is
/// everybody's. Texts are encoded once, and then wait for nobody.
const SMALL: u64 = 8_600_000_000;

/// Which encoders become plans, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plans {
    /// How they are built.
    pub options: PlanOptions,
    /// What becomes one; all that there is when it is `None`, but on boards with 8 GB or less not the text encoder.
    pub components: Option<Vec<Component>>,
    /// The program `trtexec`, to build by it, where TensorRT cannot be opened in a process of this program.
    pub trtexec: Option<PathBuf>,
}

impl Plans {
    /// Refuses sizes that make no sense.
    ///
    /// # Errors
    /// [`Error::Range`] and [`Error::Conflict`].
    pub fn validate(&self) -> Result<()> {
        let PlanOptions { batch, length, level, rtx, .. } = &self.options;
        let range = |what: String, allowed: &str| Err(Error::Range { what, allowed: allowed.to_owned() });
        let text = |Sizes { min, opt, max }: &Sizes| format!("{min}:{opt}:{max}");
        if !batch.are_valid(1..=MAX_BATCH) {
            let allowed = format!("the least, the usual and the greatest, from 1 to {MAX_BATCH}");
            return range(format!("a batch of {}", text(batch)), &allowed);
        }
        if !length.are_valid(1..=1 << 20) {
            return range(
                format!("a text length of {}", text(length)),
                "the least, the usual and the greatest",
            );
        }
        if let Some(level) = level.filter(|&level| level > 5) {
            return range(format!("an optimization level of {level}"), "0 to 5");
        }
        match self.trtexec.is_some() && *rtx {
            true => Err(Error::Conflict(Conflict::TrtexecRtx)),
            false => Ok(()),
        }
    }
}

/// What will build the plans: asked before anything is exported.
///
/// # Errors
/// [`Error::Plan`] and [`Error::PlanApart`] when there is no library, or no GPU; [`Error::Trtexec`].
pub fn check(plans: &Plans, runner: &Runner) -> Result<Builder> {
    match (&plans.trtexec, runner) {
        (Some(program), _) => {
            Ok(Builder { described: trtexec::version(program)?, memory: None, runs_here: false })
        }
        (None, Runner::Here) => Builder::here(&plans.options),
        (None, Runner::Apart(program)) => apart::check(program, &plans.options),
    }
}

/// Builds the plans of the model in `folder`, one after the other, and has the manifest name them; it is to be written
/// afterwards. Gives back whether they run here.
///
/// # Errors
/// [`Error::Plan`] and [`Error::PlanApart`] for what TensorRT refuses.
pub fn add(
    folder: &Path,
    manifest: &mut Manifest,
    plans: &Plans,
    runner: &Runner,
    steps: &mut dyn FnMut(Step),
) -> Result<bool> {
    let Builder { described, memory, runs_here } = check(plans, runner)?;
    steps(Step::Builder { described });
    let alone = manifest.image.is_none();
    for component in Component::ALL {
        let Some(encoder) = component.of(manifest).cloned() else { continue };
        let wanted = match &plans.components {
            Some(components) => components.contains(&component),
            None => component != Component::Text || alone || memory.is_none_or(|memory| memory > SMALL),
        };
        if !wanted {
            if let (None, Some(memory)) = (&plans.components, memory) {
                steps(Step::LeftAsGraph { file: component.graph(), memory });
            }
            continue;
        }
        let (file, options) = (component.plan(), &plans.options);
        steps(Step::Build { file, phase: String::new(), done: 0, steps: 0 });
        let built = match (&plans.trtexec, runner) {
            (Some(program), _) => trtexec::build(program, folder, manifest, &encoder, file, options)?,
            (None, Runner::Here) => here(folder, manifest, &encoder, file, options, steps)?,
            (None, Runner::Apart(program)) => apart::build(program, folder, component, options, steps)?,
        };
        if let Some(Plan { build, .. }) = built.plan() {
            let bytes = folder.join(file).metadata().map_or(0, |metadata| metadata.len());
            steps(Step::Built { file, bytes, build: build.clone() });
        }
        if let Some(encoder) = component.of_mut(manifest) {
            *encoder = built;
        }
    }
    Ok(runs_here)
}
