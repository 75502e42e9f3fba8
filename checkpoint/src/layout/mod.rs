//! The layouts that are read, recognised by content. Foreign names are translated here, and known nowhere else.

mod file;
pub(crate) mod hugging_face;
mod infer;
mod kind;
pub(crate) mod open_clip;
mod openai;
mod side;

use std::path::Path;

use clip_model::config::Activation;

use crate::error::{Error, Result};
use crate::found::Found;
use crate::weights::Weights;
use file::add_weights;

pub use file::TOKENIZER;

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
    let ours = has(open_clip::CONFIG);
    // Hubs hold the same model in both layouts; the one whose weights are there is meant.
    if ours && (open_clip::ALL_WEIGHTS.iter().any(|name| has(name)) || !hugging_face::has_weights(folder)) {
        return open_clip::read(folder);
    }
    if has(hugging_face::CONFIG) {
        return hugging_face::read(folder);
    }
    let reason = format!(
        "no checkpoint: it has neither {} (OpenCLIP) nor {} (Hugging Face)",
        open_clip::CONFIG,
        hugging_face::CONFIG
    );
    Err(Error::Weights { path: folder.to_owned(), reason })
}
