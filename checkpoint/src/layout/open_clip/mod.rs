//! OpenCLIP's hub layout: `open_clip_config.json` beside weights in safetensors or PyTorch's format.

mod config;
mod names;
mod network;
mod preprocess;
mod refusal;
mod siglip;

use std::path::Path;

use clip_model::config::Family;
use clip_model::shapes::summarize;
use clip_model::tokenizer::Cleaning;

use super::file::{TOKENIZER, add_weights, first_of, unwrap_names, unwrap_text_tower};
use crate::error::{Error, Result};
use crate::found::{Found, TokenizerSource};
use crate::weights::Weights;

pub use config::{FILE as CONFIG, OpenClip};
pub(crate) use names::origin;

/// The name of the weights in a checkpoint folder that we write.
pub const WEIGHTS: &str = "open_clip_model.safetensors";

/// Names of the weights that are read; the first that is there.
pub(super) const ALL_WEIGHTS: [&str; 2] = [WEIGHTS, "open_clip_pytorch_model.bin"];

pub(super) fn read(folder: &Path) -> Result<Found> {
    let OpenClip { config, preprocess, own_tokenizer } = OpenClip::read(folder)?;
    let Some(path) = first_of(folder, &ALL_WEIGHTS) else {
        let missing = std::io::ErrorKind::NotFound.into();
        return Err(Error::io("open", folder.join(WEIGHTS), missing));
    };
    let mut weights = Weights::default();
    add_weights(&mut weights, &path)?;
    unwrap_names(&mut weights)?;
    match config.family {
        Family::Clip => unwrap_text_tower(&mut weights)?,
        Family::SigLip => {
            let plan = summarize(&config).tensors.into_iter();
            let plan = plan.map(|t| (origin(config.family, &t.name), t)).map(|(o, t)| (t.name, t.shape, o));
            weights.compose(plan.collect())?;
        }
    }
    let cleaning = Cleaning::of_open_clip(config.family, own_tokenizer);
    let tokenizer = match (config.family, own_tokenizer) {
        (Family::SigLip, _) => TokenizerSource::SigLip {
            folder: folder.to_owned(),
            cleaning,
            context_length: config.text.context_length,
            vocab_size: config.text.vocab_size,
        },
        (Family::Clip, true) => TokenizerSource::File(folder.join(TOKENIZER), cleaning),
        (Family::Clip, false) => TokenizerSource::OpenAi,
    };
    Ok(Found { config, preprocess, weights, tokenizer })
}
