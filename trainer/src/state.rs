//! A run's output folder: the published checkpoint, and all that is needed to go on as if it had never stopped.
//!
//! ```text
//! DIR/open_clip_config.json, open_clip_model.safetensors, tokenizer.json   the checkpoint, from the last save
//! DIR/train.toml                                                           the settings, every field written out
//! DIR/state/training.safetensors                                           weights and optimiser in fp32, position
//! DIR/log.jsonl, DIR/events/                                               see crate::log
//! ```
//!
//! Every file is written under a temporary name and renamed, the state first: a run that is killed at any moment loses
//! what came after its last save, nothing else.

use std::collections::HashMap;
use std::fs::File;

use clip_checkpoint::{OpenClip, Weights};
use clip_model::config::Family;
use clip_model::shapes::summarize;
use clip_model::tokenizer::Cleaning;
use clip_model::{Preprocess, Tokenizer, files};
use tch::{Tensor, no_grad};

use crate::error::{Error, Result};
use crate::job::{Job, lock};
use crate::network::Network;
use crate::objective::ObjectiveName;
use crate::optimizer::AdamW;
use crate::parameters::{Parameters, Stored};
use crate::scaler::LossScaler;
use crate::settings::{Settings, suits};
use crate::start::{self, Start};
use crate::treatment::treatment;

/// Where in the output folder the training state is.
pub const STATE: &str = "state/training.safetensors";

/// The name of the resolved settings in the output folder.
pub const SETTINGS: &str = "train.toml";

/// Version of the training state's layout and of the settings in it.
const VERSION: &str = "2";

/// A run under way: everything that changes in the course of it, and what it is made with.
#[derive(Debug)]
pub struct Run {
    /// What it was asked for.
    pub job: Job,
    /// The network.
    pub network: Network,
    /// The optimiser.
    pub optimizer: AdamW,
    /// The factor on the loss in fp16.
    pub scaler: LossScaler,
    /// How pictures become the network's input.
    pub preprocess: Preprocess,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// Whether it is another than OpenAI's.
    own_tokenizer: bool,
    /// Steps done.
    pub step: u64,
    /// Samples drawn from the stream.
    pub position: u64,
    /// Samples left out because they could not be used.
    pub skipped: u64,
    /// Keeps other processes out of the folder; the system lets go of it when this one ends, however it ends.
    _lock: File,
}

/// Starts a run in an empty folder, or goes on with the one that is there.
///
/// `tokenizer` makes the tokenizer of a new run; one that starts from a checkpoint takes the checkpoint's.
///
/// # Errors
/// [`Error::RunExists`] and [`Error::NoRun`] when the folder holds a run and `job` is a new one, or the other way round;
/// [`Error::Folder`] when it holds something else or another process is at work in it; [`Error::SettingsChanged`] when the
/// run was started with other settings or shards.
pub fn start(job: &Job, tokenizer: impl FnOnce() -> Result<Tokenizer>) -> Result<Run> {
    let folder = &job.out;
    match (job.resume, folder.join(STATE).exists()) {
        (true, true) => return resume(job, lock(folder)?),
        (true, false) => return Err(Error::NoRun(folder.clone())),
        (false, true) => return Err(Error::RunExists(folder.clone())),
        (false, false) => {}
    }
    let is_new = !folder.exists();
    std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    let lock = lock(folder)?;
    let mut content = std::fs::read_dir(folder).map_err(|e| Error::io("read", folder, e))?;
    if content.next().is_some() {
        return Err(Error::folder(folder, "the folder is not empty; choose another one"));
    }
    let run = begin(job, lock, tokenizer);
    if run.is_err() && is_new {
        // Only an empty folder can be removed so; what was saved before the failure is kept.
        let _ = std::fs::remove_dir(folder);
    }
    run
}

/// A new run in an empty folder.
fn begin(job: &Job, lock: File, tokenizer: impl FnOnce() -> Result<Tokenizer>) -> Result<Run> {
    let run = Run::new(job, lock, Start::of(job, tokenizer)?)?;
    run.save()?;
    Ok(run)
}

/// The tokenizer with the cleaning of texts that OpenCLIP will choose for the checkpoint of this run, so that the network is
/// trained on the ids that it will see; and whether it is another than OpenAI's, which the checkpoint has to say.
fn as_open_clip(tokenizer: Tokenizer, family: Family) -> Result<(Tokenizer, bool)> {
    let is_own = tokenizer.to_json() != Tokenizer::openai().to_json();
    Ok((tokenizer.with_cleaning(Cleaning::of_open_clip(family, is_own))?, is_own))
}

fn resume(job: &Job, lock: File) -> Result<Run> {
    let path = job.out.join(STATE);
    let state = Weights::open(&path)?;
    let broken = |what: String| Error::folder(&path, format!("{what}; start the run anew"));
    let missing = |name: &str| broken(format!("{name} is missing from the state"));
    let note = |key: &str| state.note(key).ok_or_else(|| missing(key));
    let number = |key: &str| -> Result<u64> {
        note(key)?.parse().map_err(|_| broken(format!("{key} in the state is not a number")))
    };
    let version = note("version")?;
    if version != VERSION {
        return Err(broken(format!("the state has version {version}, this build reads version {VERSION}")));
    }
    let mut difference = Settings::parse(note("settings")?)?.difference(&job.settings)?;
    let (was, is) = (note("shards")?.replace('\n', ", "), job.shard_names().join(", "));
    if was != is {
        difference.push(format!("the training shards were {was}, now {is}"));
    }
    if !difference.is_empty() {
        return Err(Error::SettingsChanged { path: job.out.clone(), difference: difference.join("; ") });
    }
    let tensor =
        |name: &str| -> Result<Vec<f32>> { Ok(state.get(name).ok_or_else(|| missing(name))?.to_f32()?) };
    let (config, preprocess) = start::described(state.note("network"), &job.settings)?;
    let parameters = Parameters::new(&summarize(&config).tensors, job.device, |name, _| tensor(name))?;
    let tokenizer = Tokenizer::open(&job.out.join(clip_checkpoint::TOKENIZER))?;
    let mut run = Run::new(job, lock, Start { config, preprocess, parameters, tokenizer })?;
    for (name, moment) in run.optimizer.tensors(&run.network.parameters) {
        let values = tensor(&name)?;
        if values.len() != moment.numel() {
            let (found, expected) = (values.len(), moment.numel());
            return Err(broken(format!("{name} has {found} values, expected {expected}")));
        }
        let values = Tensor::f_from_slice(&values)?;
        no_grad(|| moment.shallow_clone().f_copy_(&values))?;
    }
    run.step = number("step")?;
    run.optimizer.updates = run.step;
    (run.position, run.skipped) = (number("position")?, number("skipped")?);
    Ok(run)
}

impl Run {
    /// A run whose optimiser has done nothing yet.
    fn new(job: &Job, lock: File, start: Start) -> Result<Run> {
        let Start { config, preprocess, parameters, tokenizer } = start;
        suits(&config, job.settings.optim.objective == ObjectiveName::Sigmoid)?;
        let (tokenizer, own_tokenizer) = as_open_clip(tokenizer, config.family)?;
        let optim = &job.settings.optim;
        let parameters =
            parameters.retreated(&summarize(&config).tensors, |tensor| treatment(&config, optim, tensor))?;
        let optimizer = AdamW::with_moments(&parameters, job.settings.optim.moments);
        Ok(Run {
            job: job.clone(),
            network: Network::new(config, parameters, job.device, job.settings.optim.precision),
            optimizer,
            scaler: LossScaler::default(),
            preprocess,
            tokenizer,
            own_tokenizer,
            step: 0,
            position: 0,
            skipped: 0,
            _lock: lock,
        })
    }

    /// Writes the training state, then the checkpoint.
    pub fn save(&self) -> Result<()> {
        let Job { settings, out, .. } = &self.job;
        let openclip = OpenClip {
            config: self.network.config.clone(),
            preprocess: self.preprocess.clone(),
            own_tokenizer: self.own_tokenizer,
        };
        // What has no place in OpenCLIP's layout is refused before anything is written.
        let network = openclip.to_json()?;
        let (toml, state) = (settings.to_toml()?, out.join(STATE));
        if let Some(parent) = state.parent() {
            std::fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, e))?;
        }
        // The tokenizer belongs to the state as well, and goes before it.
        for (name, text) in [(SETTINGS, &toml), (clip_checkpoint::TOKENIZER, &self.tokenizer.to_json())] {
            files::write_atomically(&out.join(name), |out| std::io::Write::write_all(out, text.as_bytes()))?;
        }
        let parameters = &self.network.parameters;
        let mut tensors = parameters.stored();
        let published = tensors.len();
        let moments = self.optimizer.tensors(parameters);
        tensors.extend(moments.into_iter().map(|(name, tensor)| Stored::new(name, tensor)));
        let notes = HashMap::from(
            [
                ("network", network),
                ("version", VERSION.to_owned()),
                ("step", self.step.to_string()),
                ("position", self.position.to_string()),
                ("skipped", self.skipped.to_string()),
                ("settings", toml),
                ("shards", self.job.shard_names().join("\n")),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        clip_checkpoint::write_weights(&state, &tensors, notes)?;
        tensors.truncate(published);
        let format = settings.run.weights;
        clip_checkpoint::write_into(out, &openclip, &self.tokenizer, &tensors, self.step, format)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// open_clip cleans texts before a tokenizer of the checkpoint's own in another way than before OpenAI's.
    #[test]
    fn texts_are_cleaned_as_open_clip_will_for_the_checkpoint() {
        let own = clip_model::tokenizer::train(["a cat".to_owned()].into_iter(), 514).unwrap();
        let of_hub = Tokenizer::from_json(&own.to_json()).unwrap();
        assert_eq!(of_hub.cleaning(), Cleaning::None);
        for (tokenizer, expected) in [
            (own, (Cleaning::Whitespace, true)),
            (of_hub, (Cleaning::Whitespace, true)),
            (Tokenizer::openai(), (Cleaning::Lower, false)),
            (Tokenizer::openai().with_cleaning(Cleaning::None).unwrap(), (Cleaning::Lower, false)),
        ] {
            let (told, is_own) = as_open_clip(tokenizer, Family::Clip).unwrap();
            assert_eq!((told.cleaning(), is_own), expected);
        }
    }
}
