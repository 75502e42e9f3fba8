//! OpenCLIP's hub layout: `open_clip_config.json` beside weights in safetensors or PyTorch's format.

use std::path::Path;

use super::{Found, TokenizerSource, first_of, open_weights};
use crate::checkpoint::{TOKENIZER, WEIGHTS as SAFETENSORS};
use crate::error::{Error, Result};
use crate::openclip::OpenClip;

/// Names of the weights; the first that is there is read.
pub(super) const WEIGHTS: [&str; 2] = [SAFETENSORS, "open_clip_pytorch_model.bin"];

pub(super) fn read(folder: &Path) -> Result<Found> {
    let OpenClip { config, preprocess, own_tokenizer } = OpenClip::read(folder)?;
    let Some(path) = first_of(folder, &WEIGHTS) else {
        let missing = std::io::ErrorKind::NotFound.into();
        return Err(Error::io("open", folder.join(WEIGHTS[0]), missing));
    };
    let mut weights = open_weights(&path)?;
    if weights.names().iter().all(|name| name.starts_with("module.")) {
        weights.rename(|name| name.strip_prefix("module.").map(str::to_owned))?;
    }
    let tokenizer =
        if own_tokenizer { TokenizerSource::File(folder.join(TOKENIZER)) } else { TokenizerSource::OpenAi };
    Ok(Found { config, preprocess, weights, tokenizer })
}
