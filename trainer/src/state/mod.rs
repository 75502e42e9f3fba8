//! A run's output folder: the published checkpoint, and all that is needed to go on as if it had never stopped.
//!
//! ```text
//! DIR/checkpoints/step-000001000/   a checkpoint in OpenCLIP's layout, which clip-export opens; the newest one also has
//!     training.safetensors          the optimiser in fp32 (the weights too where the checkpoint has them rounded), position, settings
//!     train.toml                    the settings, every field written out
//! DIR/open_clip_config.json, ...    the newest checkpoint's files under a second name, so that DIR is a checkpoint itself
//! DIR/best.json                     which checkpoint is the best one, where `run.keep_best` asks for it
//! DIR/log.jsonl, DIR/events/        see crate::log
//! ```
//!
//! A checkpoint's folder has another name until all of it is on the disk: a run that is killed at any moment, or that fills the
//! disk, loses what came after its last save, nothing else. What it has half written is removed by the next one.

mod best;
mod changes;
mod folder;
mod resume;
mod save;
mod teacher;

use std::collections::HashMap;
use std::fs::File;

use clip_checkpoint::{OpenClip, WeightFormat};
use clip_data::Lengths;
use clip_model::config::Family;
use clip_model::shapes::summarize;
use clip_model::tokenizer::Cleaning;
use clip_model::{Preprocess, Tokenizer, files, memory, temporary};

use crate::average::Average;
use crate::error::{Error, Result};
use crate::job::{Job, lock};
use crate::network::Network;
use crate::optimizer::AdamW;
use crate::parameters::Stored;
use crate::scaler::LossScaler;
use crate::settings::Change;
use crate::start::Start;
use crate::treatment::{check_locks, treatment};
pub use best::{BEST, Best};
pub use folder::{CHECKPOINTS, SETTINGS, TRAINING, checkpoint, checkpoints, resumable};
use save::{Saver, Written};

/// Version of the training state's layout and of the settings in it.
const VERSION: &str = "3";

/// Memory that is made sure of before a save, bytes: OpenAI's vocabulary takes 18 MB in small pieces while it is written.
const SAVE_NEEDS: usize = 32 << 20;

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
    /// The average of the weights, where the settings ask for one: what checkpoints have.
    pub average: Option<Average>,
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
    /// Samples of the shards, as far as they were counted.
    pub lengths: Lengths,
    /// What the shards are, see [`clip_data::fingerprint()`].
    fingerprint: String,
    /// What the teacher is, see [`teacher::note`].
    teacher: String,
    /// What is different from the run that was saved.
    pub changed: Vec<Change>,
    /// The best checkpoint so far.
    pub best: Option<Best>,
    /// Steps done at the last save.
    saved: Option<u64>,
    saver: Saver,
    /// Keeps other processes out of the folder; the system lets go of it when this one ends, however it ends.
    _lock: File,
}

/// Starts a run in an empty folder, or goes on with the one that is there. A folder in which a run was killed before its first
/// checkpoint is as good as empty.
///
/// # Errors
/// [`Error::RunExists`] and [`Error::NoRun`] when the folder holds a run and `job` is a new one, or the other way round;
/// [`Error::Folder`] when it holds something else or another process is at work in it; [`Error::SettingsChanged`] and
/// [`Error::Fixed`] when the run was started with other settings or shards.
pub fn start(job: &Job) -> Result<Run> {
    let out = &job.out;
    let is_new = !out.exists();
    if is_new && job.resume {
        return Err(Error::NoRun(out.clone()));
    }
    std::fs::create_dir_all(out).map_err(|e| Error::io("create", out, e))?;
    let lock = lock(out)?;
    folder::remove_left_overs(out)?;
    match (job.resume, resumable(out)?) {
        (true, Some(saved)) => return resume::resume(job, &saved, lock),
        (true, None) => return Err(Error::NoRun(out.clone())),
        (false, Some(_)) => return Err(Error::RunExists(out.clone())),
        (false, None) => {}
    }
    if !folder::is_empty(out)? {
        return Err(Error::folder(out, "the folder is not empty; choose another one"));
    }
    let run = begin(job, lock);
    if run.is_err() && is_new {
        // Only an empty folder can be removed so; what was saved before the failure is kept.
        let _ = std::fs::remove_dir(out.join(CHECKPOINTS));
        let _ = std::fs::remove_dir(out);
    }
    run
}

/// A new run in an empty folder.
fn begin(job: &Job, lock: File) -> Result<Run> {
    let teacher = teacher::note(job.teacher.as_deref())?;
    let mut run = Run::new(job, lock, Start::of(job)?, teacher)?;
    run.save()?;
    // Nothing else comes into the folder before there is a run to go on with.
    run.finish_save()?;
    Ok(run)
}

/// The tokenizer with the cleaning of texts that OpenCLIP will choose for the checkpoint of this run, so that the network is
/// trained on the ids that it will see; and whether it is another than OpenAI's, which the checkpoint has to say.
fn as_open_clip(tokenizer: Tokenizer, family: Family) -> Result<(Tokenizer, bool)> {
    let is_own = tokenizer.to_json() != Tokenizer::openai().to_json();
    Ok((tokenizer.with_cleaning(Cleaning::of_open_clip(family, is_own))?, is_own))
}

impl Run {
    /// A run whose optimiser has done nothing yet.
    fn new(job: &Job, lock: File, start: Start, teacher: String) -> Result<Run> {
        let Start { config, preprocess, parameters, tokenizer } = start;
        let optim = &job.settings.optim;
        optim.suits(&config)?;
        check_locks(&config, optim)?;
        let (tokenizer, own_tokenizer) = as_open_clip(tokenizer, config.family)?;
        let parameters =
            parameters.retreated(&summarize(&config).tensors, |tensor| treatment(&config, optim, tensor))?;
        let optimizer = AdamW::with_moments(&parameters, optim.moments);
        let average = match optim.ema > 0.0 {
            true => Some(Average::of(&parameters, optim.ema)?),
            false => None,
        };
        Ok(Run {
            job: job.clone(),
            network: Network::new(config, parameters, job.device, optim.precision),
            optimizer,
            scaler: LossScaler::default(),
            average,
            preprocess,
            tokenizer,
            own_tokenizer,
            step: 0,
            position: 0,
            skipped: 0,
            lengths: Lengths::default(),
            fingerprint: clip_data::fingerprint(&job.data.shards())?,
            teacher,
            changed: Vec::new(),
            best: None,
            saved: None,
            saver: Saver::default(),
            _lock: lock,
        })
    }

    /// Writes a checkpoint with the training state, unless this step has one, and returns as soon as the system has taken it: the
    /// next step may begin. A thread waits for the disk and gives it its name.
    ///
    /// # Errors
    /// When the disk is full or memory is; also when the checkpoint before this one could not be finished. The one before is
    /// whole.
    pub fn save(&mut self) -> Result<()> {
        self.finish_save()?;
        if self.saved == Some(self.step) {
            return Ok(());
        }
        memory::available("a checkpoint", SAVE_NEEDS)?;
        let Job { settings, out, .. } = &self.job;
        let parent = out.join(CHECKPOINTS);
        std::fs::create_dir_all(&parent).map_err(|e| Error::io("create", &parent, e))?;
        let folder = temporary::Folder::create_in(&parent).map_err(|e| Error::io("create", &parent, e))?;
        let toml = settings.to_toml()?;
        files::write_unsynced(&folder.path().join(SETTINGS), |out| {
            std::io::Write::write_all(out, toml.as_bytes())
        })?;
        let parameters = &self.network.parameters;
        let weights = parameters.stored();
        let openclip = OpenClip {
            config: self.network.config.clone(),
            preprocess: self.preprocess.clone(),
            own_tokenizer: self.own_tokenizer,
        };
        let format = settings.run.weights;
        let averaged = self.average.as_ref().map(|average| average.network(parameters)).transpose()?;
        let published = match &averaged {
            Some(tensors) => tensors.iter().map(|(name, tensor)| Stored::new(name.clone(), tensor)).collect(),
            None => parameters.stored(),
        };
        clip_checkpoint::write_into(
            folder.path(),
            &openclip,
            &self.tokenizer,
            &published,
            self.step,
            format,
        )?;
        let mut training = self.optimizer.tensors(parameters);
        if let Some(average) = &self.average {
            training.extend(average.tensors(parameters));
        }
        let mut training: Vec<Stored<'_>> =
            training.into_iter().map(|(name, t)| Stored::new(name, t)).collect();
        if format != WeightFormat::Fp32 || averaged.is_some() {
            training.extend(weights);
        }
        clip_checkpoint::write_weights_unsynced(folder.path().join(TRAINING), &training, self.notes(toml))?;
        let (keep, best) = (settings.run.keep_last, self.best.as_ref().map(|best| best.step));
        self.saver.finish(Written { folder, step: self.step, out: out.clone(), keep, best })?;
        self.saved = Some(self.step);
        Ok(())
    }

    /// Waits until the last save is on the disk.
    ///
    /// # Errors
    /// That of the save.
    pub fn finish_save(&mut self) -> Result<()> {
        self.saver.wait()
    }

    /// Saves this step as the best one, if the figure `figure`, of which more is better, was never so high; whether it is.
    ///
    /// # Errors
    /// As [`Run::save`].
    pub fn keep_if_best(&mut self, figure: &str, value: f64) -> Result<bool> {
        let is_better = match &self.best {
            Some(best) if best.figure == figure => value > best.value,
            _ => true,
        };
        if is_better {
            self.save()?;
            self.finish_save()?;
            let best = Best::new(self.step, figure.to_owned(), value);
            best.write(&self.job.out)?;
            folder::prune(&self.job.out, self.job.settings.run.keep_last, Some(best.step))?;
            self.best = Some(best);
        }
        Ok(is_better)
    }

    /// What the training state says besides tensors.
    fn notes(&self, settings: String) -> HashMap<String, String> {
        let notes = [
            ("version", VERSION.to_owned()),
            ("step", self.step.to_string()),
            ("position", self.position.to_string()),
            ("skipped", self.skipped.to_string()),
            ("settings", settings),
            ("shards", self.job.shard_names().join("\n")),
            ("fingerprint", self.fingerprint.clone()),
            ("lengths", self.lengths.to_string()),
            ("teacher", self.teacher.clone()),
            ("device", self.job.device_name()),
            ("threads", tch::get_num_threads().to_string()),
            ("loss_scale", self.scaler.scale.to_string()),
            ("loss_scale_steps", self.scaler.good_steps.to_string()),
        ];
        notes.map(|(key, value)| (key.to_owned(), value)).into()
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
