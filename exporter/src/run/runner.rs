//! Where encoders are run: in this process, or in one of their own.

use std::path::{Path, PathBuf};

use clip_model::preprocess::Image;

use super::apart;
use super::inputs::Inputs;
use super::outcome::Outcome;
use crate::error::{Error, Result};

/// What runs the encoders of a model folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Runner {
    /// This process, which then holds the whole model.
    #[default]
    Here,
    /// A process of this program, see [`apart`].
    Apart(PathBuf),
}

impl Runner {
    /// Runs the encoders of `folder`.
    ///
    /// # Errors
    /// [`Error::Trial`] and [`Error::TrialApart`].
    pub fn run(&self, folder: &Path, inputs: &Inputs) -> Result<Outcome> {
        match self {
            Runner::Here => Outcome::of(folder, inputs).map_err(Error::Trial),
            Runner::Apart(program) => apart::run(program, folder, inputs).map_err(Error::TrialApart),
        }
    }

    /// Runs each encoder of `folder` once, and its classifier, to see that they work: plans by the library `tensorrt`, or by the one that
    /// the system finds.
    ///
    /// # Errors
    /// [`Error::Trial`] and [`Error::TrialApart`]; [`Error::Classifier`] for one that gives something else than its encoder and
    /// its labels.
    pub fn try_out(&self, folder: impl AsRef<Path>, tensorrt: Option<&Path>) -> Result<()> {
        let texts = ["a photo of a cat", ""].map(str::to_owned).to_vec();
        let (images, tensorrt) = (vec![gradient()?], tensorrt.map(Path::to_owned));
        let inputs = Inputs { images, texts, classifier: true, tensorrt, ..Inputs::default() };
        let outcome = self.run(folder.as_ref(), &inputs)?;
        outcome.classified.map_or(Ok(()), |classified| classified.check())
    }
}

/// A picture with something to see in every channel.
fn gradient() -> Result<Image> {
    const SIDE: usize = 64;
    let pixel = |i: usize| [i % SIDE * 4, i / SIDE * 4, ((i % SIDE) ^ (i / SIDE)) * 4].map(|v| v as u8);
    Ok(Image::new(SIDE, SIDE, (0..SIDE * SIDE).flat_map(pixel).collect())?)
}
