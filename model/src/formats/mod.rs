//! The checkpoint formats that are read, recognised by content. Foreign names and layouts are translated here, and known
//! nowhere else.

mod huggingface;
mod kind;
mod open_clip;
mod openai;
mod pickle;
mod torch_file;
mod write;
mod zip;

use std::path::{Path, PathBuf};

use crate::config::{Activation, Config, Family};
use crate::error::{Error, Result};
use crate::openclip;
use crate::preprocess::Preprocess;
use crate::tokenizer::{Cleaning, Tokenizer};
use crate::weights::Weights;

use kind::Kind;
pub use write::Layout;

/// What a checkpoint was found to be.
#[derive(Debug)]
pub(crate) struct Found {
    pub config: Config,
    pub preprocess: Preprocess,
    pub weights: Weights,
    pub tokenizer: TokenizerSource,
}

/// Where a checkpoint's tokenizer comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenizerSource {
    /// OpenAI's vocabulary.
    OpenAi,
    /// A `tokenizer.json`, and what is done to texts before.
    File(PathBuf, Cleaning),
    /// A folder's `vocab.json` and `merges.txt`.
    VocabularyAndMerges(PathBuf),
    /// A folder's `tokenizer.json` and `tokenizer_config.json`, as SigLIP uses them.
    SigLip {
        folder: PathBuf,
        cleaning: Cleaning,
        context_length: usize,
        /// Rows of the token embedding.
        vocab_size: usize,
    },
}

impl TokenizerSource {
    pub(crate) fn open(&self) -> Result<Tokenizer> {
        match self {
            TokenizerSource::OpenAi => Ok(Tokenizer::openai()),
            TokenizerSource::File(path, cleaning) => Tokenizer::open(path)?.with_cleaning(*cleaning),
            TokenizerSource::VocabularyAndMerges(folder) => Tokenizer::open_vocabulary(folder),
            TokenizerSource::SigLip { folder, cleaning, context_length, vocab_size } => {
                Tokenizer::open_siglip(folder, *cleaning, *context_length, *vocab_size)
            }
        }
    }
}

/// Opens a folder or file of any known format.
pub(crate) fn open(path: &Path, activation: Option<Activation>) -> Result<Found> {
    if path.is_dir() {
        let found = open_folder(path)?;
        return match activation {
            Some(stated) if stated != found.config.text.activation => Err(Error::Config(format!(
                "{stated:?} was stated, but the configuration of {} says {:?}",
                path.display(),
                found.config.text.activation
            ))),
            _ => Ok(found),
        };
    }
    let mut weights = Weights::default();
    let script = add_weights(&mut weights, path)?;
    openai::read(path, weights, script, activation)
}

fn open_folder(folder: &Path) -> Result<Found> {
    let has = |name: &str| folder.join(name).exists();
    let ours = has(openclip::FILE);
    // Hubs hold the same model in both layouts; the one whose weights are there is meant.
    if ours && (open_clip::WEIGHTS.iter().any(|name| has(name)) || !huggingface::has_weights(folder)) {
        return open_clip::read(folder);
    }
    if has(huggingface::CONFIG) {
        return huggingface::read(folder);
    }
    let reason = format!(
        "no checkpoint: it has neither {} (OpenCLIP) nor {} (Hugging Face)",
        openclip::FILE,
        huggingface::CONFIG
    );
    Err(Error::Weights { path: folder.to_owned(), reason })
}

/// Adds weights in safetensors or PyTorch's format, whatever the file's name; whether it is a TorchScript archive.
fn add_weights(weights: &mut Weights, path: &Path) -> Result<bool> {
    let file = weights.add_file(path)?;
    match Kind::of(weights, file, path)? {
        Kind::Safetensors => weights.add_safetensors(file).map(|()| false),
        Kind::Torch => torch_file::add(weights, file, path),
    }
}

/// Takes PyTorch's wrappers out of all names: `_orig_mod`, wherever `torch.compile` wrapped a module, and `module` in front of
/// everything, from data-parallel training.
fn unwrap_names(weights: &mut Weights) -> Result<()> {
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

/// For fuzzing: reads a pickle, as plain and as TorchScript.
pub(crate) fn read_pickle(bytes: &[u8]) {
    for script in [false, true] {
        drop(pickle::Pickle::read(bytes, script));
    }
}

/// For fuzzing: what a `config.json` says, when it is taken for a CLIP's and for a SigLIP's.
pub(crate) fn read_hugging_face_config(json: &[u8]) -> Vec<Config> {
    let Ok(json) = serde_json::from_slice::<serde_json::Map<_, _>>(json) else { return vec![] };
    let parse =
        |family| huggingface::config::parse(Path::new(huggingface::CONFIG), json.clone(), family).ok();
    [Family::Clip, Family::SigLip].into_iter().filter_map(parse).collect()
}

/// For fuzzing: reads a `preprocessor_config.json` of both families for an input of `size` pixels.
pub(crate) fn read_preprocessor_config(json: &[u8], size: usize) {
    if let Ok(json) = serde_json::from_slice(json) {
        for family in [Family::Clip, Family::SigLip] {
            drop(huggingface::parse_preprocessor(&json, size, family));
        }
    }
}

/// For fuzzing: the tensors of a PyTorch file.
pub(crate) fn read_torch_file(path: &Path) -> Result<Weights> {
    let mut weights = Weights::default();
    let file = weights.add_file(path)?;
    torch_file::add(&mut weights, file, path)?;
    Ok(weights)
}

/// Where the first file of `names` in `folder` is that exists.
fn first_of(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().map(|name| folder.join(name)).find(|path| path.exists())
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
