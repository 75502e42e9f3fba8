//! Going on with a run from its newest checkpoint.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clip_checkpoint::{Checkpoint, Weights};
use clip_data::fingerprint::{difference, fingerprint};
use clip_model::Tokenizer;
use clip_model::shapes::summarize;
use tch::{Tensor, no_grad};

use super::changes::Changes;
use super::{Best, Run, VERSION, folder, teacher};
use crate::error::{Error, Result};
use crate::job::Job;
use crate::parameters::Parameters;
use crate::settings::Settings;
use crate::start::Start;

/// The version before, which had the weights and the optimiser in one file, `state/training.safetensors`.
const VERSION_2: &str = "2";

/// What was saved.
struct State {
    path: PathBuf,
    training: Weights,
    /// The weights, unless the training state has them.
    checkpoint: Option<Checkpoint>,
}

impl State {
    fn open(folder: &Path) -> Result<State> {
        let path = folder.join(folder::TRAINING);
        let training = Weights::open(&path)?;
        let mut state = State { path, training, checkpoint: None };
        match state.note("version")? {
            VERSION => state.checkpoint = Some(Checkpoint::open(folder)?),
            VERSION_2 => {}
            other => {
                return Err(state.broken(&format!(
                    "the state has version {other}, this build reads versions {VERSION_2} and {VERSION}"
                )));
            }
        }
        Ok(state)
    }

    fn broken(&self, what: &str) -> Error {
        Error::folder(&self.path, format!("{what}; start the run anew"))
    }

    fn missing(&self, name: &str) -> Error {
        self.broken(&format!("{name} is missing from the state"))
    }

    fn note(&self, key: &str) -> Result<&str> {
        self.training.note(key).ok_or_else(|| self.missing(key))
    }

    fn number<T: FromStr>(&self, key: &str) -> Result<T> {
        self.note(key)?.parse().map_err(|_| self.broken(&format!("{key} in the state is not a number")))
    }

    /// Reads a tensor of the state into `tensor`.
    fn fill(&self, name: &str, tensor: &Tensor) -> Result<()> {
        let values = self.tensor(name)?;
        if values.len() != tensor.numel() {
            let (found, expected) = (values.len(), tensor.numel());
            return Err(self.broken(&format!("{name} has {found} values, expected {expected}")));
        }
        let values = Tensor::f_from_slice(&values)?;
        Ok(no_grad(|| tensor.shallow_clone().f_copy_(&values))?)
    }

    fn tensor(&self, name: &str) -> Result<Vec<f32>> {
        match (self.training.get(name), &self.checkpoint) {
            (Some(tensor), _) => Ok(tensor.to_f32()?),
            (None, Some(checkpoint)) => Ok(checkpoint.tensor(name)?.to_f32()?),
            (None, None) => Err(self.missing(name)),
        }
    }
}

/// The names of the shards, before and now; with what is different where the names are the same.
fn shards(state: &State, job: &Job) -> Result<(String, String)> {
    let (was, mut now) = (state.note("shards")?.replace('\n', ", "), job.shard_names().join(", "));
    // A run that was saved by an earlier build has none.
    if let Some(before) = state.training.note("fingerprint").filter(|_| was == now)
        && let Some(difference) = difference(before, &fingerprint(&job.data.shards())?)
    {
        now = format!("{now} ({difference})");
    }
    Ok((was, now))
}

/// The run whose state is in `saved`; `lock` is the output folder's.
pub(super) fn resume(job: &Job, saved: &Path, lock: File) -> Result<Run> {
    let state = State::open(saved)?;
    let teacher = teacher::note(job.teacher.as_deref())?;
    let changes = Changes {
        settings: Settings::parse(state.note("settings")?)?.difference(&job.settings)?,
        shards: shards(&state, job)?,
        teacher: state.training.note("teacher").map(|was| teacher::compared(was, &teacher)),
        // Version 2 did not say.
        device: state.training.note("device").map(|was| (was.to_owned(), job.device_name())),
        threads: state
            .training
            .note("threads")
            .map(|was| (was.to_owned(), tch::get_num_threads().to_string())),
    };
    let changed = changes.allowed(&job.out, &job.resume_with)?;
    let (config, preprocess) = match &state.checkpoint {
        Some(checkpoint) => (checkpoint.config.clone(), checkpoint.preprocess.clone()),
        None => (job.settings.config()?, job.settings.preprocess()?),
    };
    let parameters = Parameters::new(&summarize(&config).tensors, job.device, |name, _| state.tensor(name))?;
    let tokenizer = match &state.checkpoint {
        Some(_) => Tokenizer::open(&saved.join(clip_checkpoint::TOKENIZER))?,
        None => Tokenizer::open(&job.out.join(clip_checkpoint::TOKENIZER))?,
    };
    let mut run = Run::new(job, lock, Start { config, preprocess, parameters, tokenizer }, teacher)?;
    for (name, tensor) in run.optimizer.tensors(&run.network.parameters) {
        state.fill(&name, tensor)?;
    }
    if let Some(average) = &run.average {
        for (name, tensor) in average.tensors(&run.network.parameters) {
            // A run that averages only from here on begins with the weights that it has.
            if state.training.get(&name).is_some() {
                state.fill(&name, tensor)?;
            }
        }
    }
    // Version 2 knew no fp16.
    if state.training.note("loss_scale").is_some() {
        run.scaler.scale = state.number("loss_scale")?;
        run.scaler.good_steps = state.number("loss_scale_steps")?;
    }
    run.step = state.number("step")?;
    run.optimizer.updates = run.step;
    (run.position, run.skipped) = (state.number("position")?, state.number("skipped")?);
    if let Some(lengths) = state.training.note("lengths")
        && changed.iter().all(|change| change.name != "shards" && !change.name.starts_with("data."))
    {
        run.lengths = lengths.parse()?;
    }
    run.saved = state.checkpoint.is_some().then_some(run.step);
    run.changed = changed;
    run.best = Best::read(&job.out)?;
    if state.checkpoint.is_some() {
        // A run that was killed may not have come to it.
        folder::publish(saved, &job.out)?;
    }
    Ok(run)
}
