//! What a run begins with: a network of random weights, or that of a checkpoint.

mod differences;
mod place;
mod vocabulary;

use std::path::Path;

use clip_checkpoint::Checkpoint;
use clip_model::config::{Config, ImageTower};
use clip_model::{Preprocess, Tokenizer};

use crate::error::{Error, Result};
use crate::init;
use crate::job::Job;
use crate::parameters::Parameters;
use crate::settings::ModelSettings;
pub(crate) use differences::differences;
pub use place::find;

/// A network, its weights, and what turns pictures and texts into its input.
#[derive(Debug)]
pub struct Start {
    /// The network.
    pub config: Config,
    /// How pictures become its input.
    pub preprocess: Preprocess,
    /// Its weights.
    pub parameters: Parameters,
    /// How texts become its input.
    pub tokenizer: Tokenizer,
}

impl Start {
    /// What `job` asks for.
    ///
    /// # Errors
    /// [`Error::OtherNetwork`] when the settings describe another network than the checkpoint's; those of opening it;
    /// [`Error::Settings`] when neither settings nor a checkpoint say which network.
    pub fn of(job: &Job) -> Result<Start> {
        let settings = &job.settings;
        let Some(path) = &job.init else {
            let config = settings.config()?;
            if !settings.optim.lock.is_empty() {
                (job.warn)(
                    "optim.lock keeps a tower at the random weights that it begins with: start from a checkpoint",
                );
            }
            return Ok(Start {
                preprocess: settings.preprocess()?,
                parameters: init::parameters(&config, settings.optim.seed, job.device)?,
                tokenizer: vocabulary::of(job)?,
                config,
            });
        };
        let checkpoint = opened(path, &settings.model)?;
        for resized in &checkpoint.resized {
            (job.warn)(&resized.to_string());
        }
        Ok(Start {
            preprocess: settings.model.preprocess.over(checkpoint.preprocess.clone())?,
            parameters: Parameters::of(&checkpoint, job.device)?,
            tokenizer: checkpoint.tokenizer()?,
            config: checkpoint.config,
        })
    }
}

/// A checkpoint with the sizes of input that the settings ask for.
fn opened(path: &Path, model: &ModelSettings) -> Result<Checkpoint> {
    let checkpoint = match (Checkpoint::open(path), model.activation) {
        (Err(clip_checkpoint::Error::ActivationUnknown { .. }), Some(_)) => {
            Checkpoint::open_as(path, model.activation)?
        }
        (Err(error @ clip_checkpoint::Error::ActivationUnknown { .. }), None) => {
            return Err(Error::Settings(format!("{error} (model.activation)")));
        }
        (opened, _) => opened?,
    };
    let wanted = wanted(&checkpoint.config, model)?;
    let differences = differences(&checkpoint.config, &wanted, ["the checkpoint", "[model]"]);
    if !differences.is_empty() {
        return Err(Error::OtherNetwork { path: path.to_owned(), differences: differences.join("; ") });
    }
    let sizes = |config: &Config| (config.image.image_size(), config.text.context_length);
    let (image_size, context_length) = sizes(&wanted);
    match sizes(&checkpoint.config) == (image_size, context_length) {
        true => Ok(checkpoint),
        false => Ok(checkpoint.with_sizes(image_size, context_length)?),
    }
}

/// The network that the settings ask for; what they leave out, or have no words for, is the checkpoint's.
fn wanted(checkpoint: &Config, model: &ModelSettings) -> Result<Config> {
    let mut wanted = match model.config()? {
        Some(config) => Config { logit_bias: checkpoint.logit_bias, ..config },
        None => {
            let mut config = checkpoint.clone();
            config.image.set_image_size(model.image_size.unwrap_or(config.image.image_size()));
            config.text.context_length = model.context_length.unwrap_or(config.text.context_length);
            if let Some(activation) = model.activation {
                config.text.activation = activation;
                if let ImageTower::ViT(vit) = &mut config.image {
                    vit.activation = activation;
                }
            }
            config
        }
    };
    if let Some(bias) = model.logit_bias {
        wanted.logit_bias = bias;
    }
    if let (ImageTower::ViT(own), ImageTower::ViT(wanted)) = (&checkpoint.image, &mut wanted.image) {
        wanted.norm_epsilon = own.norm_epsilon;
    }
    (wanted.text.norm_epsilon, wanted.text.end) = (checkpoint.text.norm_epsilon, checkpoint.text.end);
    Ok(wanted)
}
