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
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use clip_checkpoint::Checkpoint;
use clip_checkpoint::OpenClip;
use clip_checkpoint::Weights;
use clip_model::config::{Config, Family};
use clip_model::shapes::summarize;
use clip_model::tokenizer::Cleaning;
use clip_model::{Tokenizer, files};
use tch::{Device, Tensor};

use crate::error::{Error, Result};
use crate::init;
use crate::network::Network;
use crate::optimizer::{AdamW, Moments};
use crate::parameters::{Parameters, Stored};
use crate::settings::{Settings, WeightFormat};

/// Where in the output folder the training state is.
pub const STATE: &str = "state/training.safetensors";

/// The name of the resolved settings in the output folder.
pub const SETTINGS: &str = "train.toml";

/// Version of the training state's layout.
const VERSION: &str = "1";

/// Everything that changes in the course of a run.
#[derive(Debug)]
pub struct Run {
    /// The output folder.
    pub folder: PathBuf,
    /// The settings.
    pub settings: Settings,
    /// The training shards, by name: another list would be another stream of samples.
    pub shards: Vec<String>,
    /// The network.
    pub network: Network,
    /// The optimiser.
    pub optimizer: AdamW,
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

/// How a run begins.
#[derive(Debug)]
pub struct Start<'a> {
    /// The output folder.
    pub folder: &'a Path,
    /// The settings.
    pub settings: &'a Settings,
    /// The training shards.
    pub shards: &'a [PathBuf],
    /// The device.
    pub device: Device,
    /// A checkpoint whose weights and vocabulary are the first ones.
    pub init: Option<&'a Path>,
    /// Go on with the run in `folder`.
    pub resume: bool,
}

/// Starts a run in an empty folder, or goes on with the one that is there.
///
/// `tokenizer` makes the tokenizer of a new run; one that starts from a checkpoint takes the checkpoint's.
///
/// # Errors
/// [`Error::Folder`] when the folder is not empty and the run is new, or holds no state and the run is not;
/// [`Error::SettingsChanged`] when the run was started with other settings or shards.
pub fn start(start: &Start<'_>, tokenizer: impl FnOnce() -> Result<Tokenizer>) -> Result<Run> {
    let folder = start.folder;
    let refuse = |reason: &str| Err(Error::Folder { path: folder.to_owned(), reason: reason.to_owned() });
    let has_state = folder.join(STATE).exists();
    if start.resume {
        return match has_state {
            true => resume(start, lock(folder)?),
            false => refuse("there is no training state to resume from; start the run without --resume"),
        };
    }
    if has_state {
        return refuse(
            "there is a run in this folder already; go on with it (--resume) or choose another folder",
        );
    }
    let is_new = !folder.exists();
    std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    let lock = lock(folder)?;
    let mut content = std::fs::read_dir(folder).map_err(|e| Error::io("read", folder, e))?;
    if content.next().is_some() {
        return refuse("the folder is not empty; choose another one");
    }
    let run = begin(start, lock, tokenizer);
    if run.is_err() && is_new {
        // Only an empty folder can be removed so; what was saved before the failure is kept.
        let _ = std::fs::remove_dir(folder);
    }
    run
}

/// A new run in an empty folder.
fn begin(start: &Start<'_>, lock: File, tokenizer: impl FnOnce() -> Result<Tokenizer>) -> Result<Run> {
    let settings = start.settings;
    let config = settings.config()?;
    let (parameters, tokenizer) = match start.init {
        None => (init::parameters(&config, settings.optim.seed, start.device)?, tokenizer()?),
        Some(path) => from_checkpoint(path, &config, start.device)?,
    };
    let (tokenizer, own_tokenizer) = as_open_clip(tokenizer, config.family)?;
    let run = Run {
        folder: start.folder.to_owned(),
        settings: settings.clone(),
        shards: shard_names(start.shards),
        optimizer: AdamW::new(&parameters),
        network: Network::new(config, parameters, start.device, settings.optim.precision),
        own_tokenizer,
        tokenizer,
        step: 0,
        position: 0,
        skipped: 0,
        _lock: lock,
    };
    run.save()?;
    Ok(run)
}

/// Weights and vocabulary of a checkpoint, which belong together.
fn from_checkpoint(path: &Path, config: &Config, device: Device) -> Result<(Parameters, Tokenizer)> {
    let checkpoint = Checkpoint::open(path)?;
    if checkpoint.config != *config {
        return Err(Error::Settings(format!(
            "the checkpoint {} has other sizes than [model]: {:?}, not {config:?}",
            path.display(),
            checkpoint.config
        )));
    }
    let tensors = summarize(config).tensors;
    let parameters = Parameters::new(&tensors, device, |name, _| Ok(checkpoint.tensor(name)?.to_f32()?))?;
    Ok((parameters, checkpoint.tokenizer()?))
}

/// The tokenizer with the cleaning of texts that OpenCLIP will choose for the checkpoint of this run, so that the network is
/// trained on the ids that it will see; and whether it is another than OpenAI's, which the checkpoint has to say.
fn as_open_clip(tokenizer: Tokenizer, family: Family) -> Result<(Tokenizer, bool)> {
    let is_own = tokenizer.to_json() != Tokenizer::openai().to_json();
    Ok((tokenizer.with_cleaning(Cleaning::of_open_clip(family, is_own))?, is_own))
}

/// File names alone: a run may go on with its data in another place.
fn shard_names(shards: &[PathBuf]) -> Vec<String> {
    shards.iter().map(|p| p.file_name().unwrap_or(p.as_os_str()).to_string_lossy().into_owned()).collect()
}

/// Locks the output folder: two runs in it would overwrite each other.
fn lock(folder: &Path) -> Result<File> {
    let lock = File::open(folder).map_err(|e| Error::io("open", folder, e))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            let reason = "another clip-train is at work in this folder; choose another one".to_owned();
            Err(Error::Folder { path: folder.to_owned(), reason })
        }
        Err(TryLockError::Error(e)) => Err(Error::io("lock", folder, e)),
    }
}

fn resume(start: &Start<'_>, lock: File) -> Result<Run> {
    let path = start.folder.join(STATE);
    let state = Weights::open(&path)?;
    let broken =
        |what: &str| Error::Folder { path: path.clone(), reason: format!("{what}; start the run anew") };
    let note = |key: &str| state.note(key).ok_or_else(|| broken(&format!("{key} is missing from the state")));
    let number = |key: &str| -> Result<u64> {
        note(key)?.parse().map_err(|_| broken(&format!("{key} in the state is not a number")))
    };
    let version = note("version")?;
    if version != VERSION {
        return Err(broken(&format!("the state has version {version}, this build reads version {VERSION}")));
    }
    let before = Settings::parse(note("settings")?)?;
    let mut differences = vec![before.difference(start.settings)?];
    let (was, is) = (note("shards")?.to_owned(), shard_names(start.shards).join("\n"));
    if was != is {
        differences.push(format!(
            "the training shards were {}, now {}",
            was.replace('\n', ", "),
            is.replace('\n', ", ")
        ));
    }
    differences.retain(|d| !d.is_empty());
    if !differences.is_empty() {
        let difference = differences.join("; ");
        return Err(Error::SettingsChanged { path: start.folder.to_owned(), difference });
    }
    let tensor = |name: &str| -> Result<Vec<f32>> {
        Ok(state.get(name).ok_or_else(|| broken(&format!("{name} is missing from the state")))?.to_f32()?)
    };
    let config = start.settings.config()?;
    let parameters = Parameters::new(&summarize(&config).tensors, start.device, |name, _| tensor(name))?;
    let tokenizer = Tokenizer::open(&start.folder.join(clip_checkpoint::TOKENIZER))?;
    let (tokenizer, own_tokenizer) = as_open_clip(tokenizer, config.family)?;
    let mut optimizer = AdamW::new(&parameters);
    optimizer.updates = number("step")?;
    for (name, moment) in moments_mut(&mut optimizer) {
        let values = Tensor::f_from_slice(&tensor(&name)?)?.f_to_device(start.device)?;
        if values.size() != moment.size() {
            return Err(broken(&format!(
                "{name} has {} values, expected {}",
                values.numel(),
                moment.numel()
            )));
        }
        *moment = values;
    }
    Ok(Run {
        folder: start.folder.to_owned(),
        settings: start.settings.clone(),
        shards: shard_names(start.shards),
        network: Network::new(config, parameters, start.device, start.settings.optim.precision),
        own_tokenizer,
        tokenizer,
        step: optimizer.updates,
        optimizer,
        position: number("position")?,
        skipped: number("skipped")?,
        _lock: lock,
    })
}

fn moments_mut(optimizer: &mut AdamW) -> [(String, &mut Tensor); 4] {
    let AdamW { decayed, plain, .. } = optimizer;
    let Moments { first: a, second: b } = decayed;
    let Moments { first: c, second: d } = plain;
    let name = |group: &str, moment: &str| format!("optimizer.{group}.{moment}");
    [
        (name("decayed", "first"), a),
        (name("decayed", "second"), b),
        (name("plain", "first"), c),
        (name("plain", "second"), d),
    ]
}

impl Run {
    /// Writes the training state, then the checkpoint.
    pub fn save(&self) -> Result<()> {
        let mut tensors = self.network.parameters.stored();
        let published = tensors.len();
        let AdamW { decayed, plain, .. } = &self.optimizer;
        for (group, moments) in [("decayed", decayed), ("plain", plain)] {
            for (moment, tensor) in [("first", &moments.first), ("second", &moments.second)] {
                tensors.push(Stored::new(format!("optimizer.{group}.{moment}"), tensor));
            }
        }
        let notes = HashMap::from([
            ("version".to_owned(), VERSION.to_owned()),
            ("step".to_owned(), self.step.to_string()),
            ("position".to_owned(), self.position.to_string()),
            ("skipped".to_owned(), self.skipped.to_string()),
            ("settings".to_owned(), self.settings.to_toml()?),
            ("shards".to_owned(), self.shards.join("\n")),
        ]);
        let state = self.folder.join(STATE);
        if let Some(parent) = state.parent() {
            std::fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, e))?;
        }
        let toml = self.settings.to_toml()?;
        let write = |out: &mut dyn std::io::Write| out.write_all(toml.as_bytes());
        files::write_atomically(&self.folder.join(SETTINGS), |out| write(out))?;
        // The tokenizer belongs to the state as well, and goes before it.
        let json = self.tokenizer.to_json();
        let tokenizer = self.folder.join(clip_checkpoint::TOKENIZER);
        files::write_atomically(&tokenizer, |out| std::io::Write::write_all(out, json.as_bytes()))?;
        clip_checkpoint::write_weights(&state, &tensors, notes)?;
        tensors.truncate(published);
        let openclip = OpenClip {
            config: self.network.config.clone(),
            preprocess: self.settings.preprocess()?,
            own_tokenizer: self.own_tokenizer,
        };
        let format = match self.settings.run.weights {
            WeightFormat::Fp32 => clip_checkpoint::WeightFormat::Fp32,
            WeightFormat::Fp16 => clip_checkpoint::WeightFormat::Fp16,
        };
        clip_checkpoint::write_into(&self.folder, &openclip, &self.tokenizer, &tensors, self.step, format)?;
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

    #[test]
    fn a_folder_takes_one_run_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        assert!(lock(folder.path()).unwrap_err().to_string().contains("another clip-train"));
        drop(first);
        lock(folder.path()).unwrap();
    }
}
