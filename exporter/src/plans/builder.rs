//! What builds plans, in this process.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use clip_model::Manifest;
use clip_model::manifest::Encoder;
use clip_runtime::plan::{PlanBuilder, PlanOptions, Progress};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::step::Step;

/// What builds plans on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Builder {
    /// The library, its version and the GPU, in words.
    pub described: String,
    /// Bytes of the GPU's memory, where it builds on one.
    pub memory: Option<u64>,
    /// Whether what it builds runs here.
    pub runs_here: bool,
}

impl Builder {
    /// What builds with these options, in this process.
    ///
    /// # Errors
    /// [`Error::Plan`] when there is no library, or no GPU.
    pub(super) fn here(options: &PlanOptions) -> Result<Builder> {
        let builder = PlanBuilder::new(options.clone()).map_err(Error::Plan)?;
        let (described, memory) = (builder.describe(), builder.device_memory());
        Ok(Builder { described, memory, runs_here: builder.runs_here() })
    }
}

/// Builds a plan in this process.
///
/// # Errors
/// [`Error::Plan`].
pub(super) fn here(
    folder: &Path,
    manifest: &Manifest,
    encoder: &Encoder,
    file: &'static str,
    options: &PlanOptions,
    steps: &mut dyn FnMut(Step),
) -> Result<Encoder> {
    let builder = PlanBuilder::new(options.clone()).map_err(Error::Plan)?;
    let (tell, told) = mpsc::channel();
    // TensorRT tells its progress from threads of its own; whoever is told here stays in this one.
    thread::scope(|scope| {
        let building = scope.spawn(move || {
            let mut watch = |progress: Progress<'_>| {
                let Progress { phase, depth, done, steps } = progress;
                // The phase that has all others in it is the bar; the names of those below say what is being done.
                let (done, steps) = if depth == 0 { (done, steps) } else { (0, 0) };
                match tell.send(Step::Build { file, phase: phase.to_owned(), done, steps }) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            };
            builder.build(folder, manifest, encoder, &folder.join(file), &mut watch)
        });
        told.iter().for_each(steps);
        match building.join() {
            Ok(built) => built.map_err(Error::Plan),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
