//! What a folder or file was found to hold.

use std::path::PathBuf;

use clip_model::tokenizer::Cleaning;
use clip_model::{Config, Preprocess, Tokenizer};

use crate::error::Result;
use crate::siglip_tokenizer;
use crate::weights::Weights;

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
            TokenizerSource::File(path, cleaning) => Ok(Tokenizer::open(path)?.with_cleaning(*cleaning)?),
            TokenizerSource::VocabularyAndMerges(folder) => Ok(Tokenizer::open_vocabulary(folder)?),
            TokenizerSource::SigLip { folder, cleaning, context_length, vocab_size } => {
                siglip_tokenizer::open(folder, *cleaning, *context_length, *vocab_size)
            }
        }
    }
}
