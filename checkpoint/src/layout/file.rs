//! The files of a checkpoint, whatever its layout.

use std::path::{Path, PathBuf};

use clip_model::files;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::torch;
use crate::weights::Weights;

use super::kind::Kind;

/// The name of the tokenizer in a folder.
pub const TOKENIZER: &str = "tokenizer.json";

impl Weights {
    /// Opens a file of weights: safetensors, or PyTorch's, told by what it holds. Names are as they are there.
    ///
    /// # Errors
    /// [`Error::Safetensors`](crate::Error::Safetensors) and [`Error::Weights`](crate::Error::Weights) for a file that is truncated,
    /// lies about its lengths, or asks for something else than tensors.
    pub fn open(path: impl AsRef<Path>) -> Result<Weights> {
        let mut weights = Weights::default();
        add_weights(&mut weights, path.as_ref())?;
        Ok(weights)
    }
}

/// Adds weights in safetensors or PyTorch's format, whatever the file's name; whether it is a TorchScript archive.
pub(super) fn add_weights(weights: &mut Weights, path: &Path) -> Result<bool> {
    let file = weights.add_file(path)?;
    match Kind::of(weights, file, path)? {
        Kind::Safetensors => weights.add_safetensors(file).map(|()| false),
        Kind::Torch => torch::add(weights, file, path),
    }
}

/// Takes PyTorch's wrappers out of all names: `_orig_mod`, wherever `torch.compile` wrapped a module, and `module` in front of
/// everything, from data-parallel training.
pub(super) fn unwrap_names(weights: &mut Weights) -> Result<()> {
    const COMPILED: &str = "_orig_mod";
    const PARALLEL: &str = "module.";
    let names = weights.names();
    if names.iter().any(|name| name.contains(COMPILED)) {
        weights.rename(|name| {
            Some(name.split('.').filter(|&part| part != COMPILED).collect::<Vec<_>>().join("."))
        })?;
    }
    let names = weights.names();
    let times = |name: &String| {
        std::iter::successors(name.strip_prefix(PARALLEL), |rest| rest.strip_prefix(PARALLEL)).count()
    };
    match names.iter().map(times).min() {
        Some(times) if times > 0 => {
            weights.rename(|name| name.get(times * PARALLEL.len()..).map(str::to_owned))
        }
        _ => Ok(()),
    }
}

/// Takes `text.` from the names of a text tower that lies under it, as in OpenCLIP's CustomTextCLIP (`"custom_text": true`), which its
/// trainer makes to lock that tower; the network is the same.
pub(super) fn unwrap_text_tower(weights: &mut Weights) -> Result<()> {
    const UNDER: &str = "text.";
    if weights.get("text.token_embedding.weight").is_none() {
        return Ok(());
    }
    weights.rename(|name| Some(name.strip_prefix(UNDER).unwrap_or(name).to_owned()))
}

/// Where the first file of `names` in `folder` is that exists.
pub(super) fn first_of(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().map(|name| folder.join(name)).find(|path| path.exists())
}

/// Reads a file of JSON.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = files::read(path, files::TEXT_LIMIT)?;
    serde_json::from_slice(&bytes).map_err(|source| Error::json(path, source))
}
