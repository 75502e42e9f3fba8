//! The programs, and what each of them is laid out as.

use clip_checkpoint::Checkpoint;
use clip_model::config::Family;
use serde::{Deserialize, Serialize};

use super::laid::Laid;
use super::source::Source;
use super::{fastembed, immich, optimum, transformers_js};
use crate::error::{Conflict, Error, Result};
use crate::options::Options;

/// A program that has folders of its own for models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// transformers.js, in browsers and Node.js.
    TransformersJs,
    /// The machine learning service of Immich.
    Immich,
    /// fastembed, in Python and Rust.
    Fastembed,
    /// optimum-onnx, in Python.
    Optimum,
}

impl Program {
    /// As it calls itself.
    pub fn name(self) -> &'static str {
        match self {
            Program::TransformersJs => "transformers.js",
            Program::Immich => "Immich",
            Program::Fastembed => "fastembed",
            Program::Optimum => "optimum",
        }
    }

    /// Refuses, before anything is exported, options that have no place in such a folder, and models that the program cannot
    /// run.
    ///
    /// # Errors
    /// [`Error::Conflict`] and [`Error::Unsuited`].
    pub fn check(self, checkpoint: &Checkpoint, options: &Options) -> Result<()> {
        let conflicts = [
            (options.form.bytes, "packed bytes as the input of images"),
            (options.form.batch.is_some(), "a fixed batch"),
            (options.labels.is_some(), "stored labels"),
            (options.classifier.is_some(), "a classifier"),
            (options.camera.is_some(), "a camera's graph"),
            (options.combined, "a combined graph under our names"),
            (options.plans.is_some(), "engines of TensorRT"),
        ];
        if let Some((_, what)) = conflicts.into_iter().find(|(there, _)| *there) {
            return Err(Error::Conflict(Conflict::NotLaidOut(what)));
        }
        let refused = |reason| Err(Error::Unsuited { program: self.name(), reason });
        let config = &checkpoint.config;
        match self {
            Program::Fastembed if config.family == Family::SigLip => refused(fastembed::SIGLIP),
            // What is done with the similarities is told by the kind of model that `config.json` names.
            Program::TransformersJs | Program::Optimum
                if config.family == Family::Clip && config.logit_bias =>
            {
                refused(
                    "it makes probabilities of a CLIP's similarities by a softmax, and this model's logit_bias needs a sigmoid",
                )
            }
            Program::Immich if checkpoint.tokenizer()?.pads_in_front() => refused(immich::PADDING),
            _ => Ok(()),
        }
    }

    /// What lies in the folder.
    pub(super) fn lay_out(self, source: &Source<'_>) -> Laid {
        match self {
            Program::TransformersJs => transformers_js::lay_out(source),
            Program::Immich => immich::lay_out(source),
            Program::Fastembed => fastembed::lay_out(source),
            Program::Optimum => optimum::lay_out(source),
        }
    }
}
