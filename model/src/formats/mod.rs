//! The checkpoint formats that are read, recognised by content. Foreign names and layouts are translated here, and known
//! nowhere else.

mod huggingface;
mod open_clip;
mod openai;
mod pickle;
mod torch_file;
mod write;
mod zip;

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::config::{Activation, Config};
use crate::error::{Error, Result};
use crate::files;
use crate::openclip;
use crate::preprocess::Preprocess;
use crate::tokenizer::{Cleaning, Tokenizer};
use crate::weights::Weights;

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
    if torch_file::is_torch(&beginning(path)?) {
        let file = torch_file::read(path)?;
        return openai::read(path, file.weights, file.script, activation);
    }
    openai::read(path, Weights::open(path)?, false, activation)
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

/// Opens weights in safetensors or PyTorch's format.
fn open_weights(path: &Path) -> Result<Weights> {
    if torch_file::is_torch(&beginning(path)?) {
        Ok(torch_file::read(path)?.weights)
    } else {
        Weights::open(path)
    }
}

/// For fuzzing: reads a pickle, as plain and as TorchScript.
pub(crate) fn read_pickle(bytes: &[u8]) {
    for script in [false, true] {
        drop(pickle::Pickle::read(bytes, script));
    }
}

/// For fuzzing: the tensors of a PyTorch file.
pub(crate) fn read_torch_file(path: &Path) -> Result<Weights> {
    Ok(torch_file::read(path)?.weights)
}

/// The first bytes of a file, by which formats are told apart.
fn beginning(path: &Path) -> Result<Vec<u8>> {
    let file = files::open(path)?;
    let mut bytes = Vec::new();
    file.take(4).read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
    Ok(bytes)
}

/// Where the first file of `names` in `folder` is that exists.
fn first_of(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().map(|name| folder.join(name)).find(|path| path.exists())
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
