//! Where a checkpoint comes from: a path, or the hub.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use clip_checkpoint::Checkpoint;
use clip_checkpoint::hub::{self, Id, Settings};

use crate::activation::ActivationArguments;
use crate::remedy::of_checkpoint;
use crate::screen::Screen;

/// What says which checkpoint is meant.
#[derive(Debug, Args)]
pub struct SourceArguments {
    /// The checkpoint: a folder in OpenCLIP's layout (open_clip_config.json, open_clip_model.safetensors, and
    /// tokenizer.json where the vocabulary is not OpenAI's) or in Hugging Face's (of CLIP or SigLIP: config.json, model.safetensors,
    /// tokenizer, preprocessor_config.json); one of OpenAI's .pt files; a state dict with OpenCLIP's names (.pt, .bin,
    /// .safetensors); or the name of a model on the Hugging Face hub (ORGANISATION/NAME, with @REVISION for another than
    /// main), whose files are then fetched into the cache that Python programs use too. HF_HOME, HF_ENDPOINT and
    /// HF_TOKEN are honoured
    #[arg(value_name = "CHECKPOINT")]
    pub checkpoint: PathBuf,

    /// Fetch nothing: a model of the hub must be in the cache already (HF_HUB_OFFLINE=1 does the same)
    #[arg(long)]
    offline: bool,

    #[command(flatten)]
    activation: ActivationArguments,
}

/// An opened checkpoint.
pub struct Source {
    /// The folder or file.
    pub path: PathBuf,
    /// As the user would call it: the last part of the path, or the name on the hub.
    pub name: String,
    /// What is there.
    pub checkpoint: Checkpoint,
}

impl SourceArguments {
    /// Opens what the user named. What is no path here and looks like a model of the hub is fetched, unless that is
    /// switched off.
    pub fn open(&self, screen: &mut Screen) -> anyhow::Result<Source> {
        let (path, name) = self.find(screen)?;
        let checkpoint =
            Checkpoint::open_as(&path, self.activation.stated()).map_err(|error| refused(error, &path))?;
        note_resized(&checkpoint);
        Ok(Source { path, name, checkpoint })
    }

    fn find(&self, screen: &mut Screen) -> anyhow::Result<(PathBuf, String)> {
        let path = &self.checkpoint;
        let id = path.to_str().filter(|_| !path.exists()).and_then(Id::parse);
        let Some(id) = id else {
            return Ok((path.clone(), last_part(path)?));
        };
        let settings = Settings::from_env()?;
        let settings = Settings { offline: self.offline || settings.offline, ..settings };
        let path = hub::fetch(&id, &settings, &mut |progress| screen.fetching(progress))
            .map_err(of_checkpoint)
            .with_context(|| {
                format!("{id} is no file or folder here, and cannot be had as a model of the hub")
            })?;
        screen.finish();
        Ok((path, id.to_string()))
    }
}

fn last_part(path: &Path) -> anyhow::Result<String> {
    let whole = path.canonicalize().with_context(|| format!("cannot open {}", path.display()))?;
    let name = if whole.is_dir() { whole.file_name() } else { whole.file_stem() };
    Ok(name.map_or_else(|| "CLIP".to_owned(), |name| name.to_string_lossy().into_owned()))
}

/// Says on standard error what of a checkpoint is not as it is stored.
pub fn note_resized(checkpoint: &Checkpoint) {
    for resized in &checkpoint.resized {
        clip_program::note(&format!("{resized}, the size that the checkpoint's configuration asks for"));
    }
}

/// Why a checkpoint was not opened; its path is said once.
pub fn refused(error: clip_checkpoint::Error, path: &Path) -> anyhow::Error {
    let named = error.to_string().contains(&path.display().to_string());
    let error = of_checkpoint(error);
    if named { error } else { error.context(format!("cannot open the checkpoint {}", path.display())) }
}
