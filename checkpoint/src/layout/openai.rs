//! Weights without a configuration: OpenAI's `.pt` files, and state dicts that OpenCLIP's trainers and others save.
//! Their names are this crate's own, maybe in PyTorch's wrappers; the configuration is inferred from their shapes.

use std::path::Path;

use crate::error::{Error, Result};
use crate::weights::Weights;
use clip_model::Preprocess;
use clip_model::Tokenizer;
use clip_model::config::Activation;

use super::file::{unwrap_names, unwrap_text_tower};
use super::infer::infer;
use crate::found::{Found, TokenizerSource};

/// Sizes that OpenAI's models carry as tensors. OpenCLIP's have none.
const SIZES: [&str; 3] = ["input_resolution", "context_length", "vocab_size"];

/// Reads a state dict in `weights`, whose file is `path`.
///
/// # Errors
/// [`Error::ActivationUnknown`] unless `activation` is stated or the weights are OpenAI's; [`Error::Weights`] for
/// names that are not OpenCLIP's; [`Error::Config`] when the shapes tell no supported network.
pub(super) fn read(
    path: &Path,
    mut weights: Weights,
    script: bool,
    activation: Option<Activation>,
) -> Result<Found> {
    unwrap_names(&mut weights)?;
    unwrap_text_tower(&mut weights)?;
    refuse_other_layouts(path, &weights.names())?;
    let openai = script || SIZES.iter().all(|name| weights.get(name).is_some());
    // The causal mask is part of a scripted model, too.
    weights.rename(|name| {
        let no_weight = SIZES.contains(&name) || name == "attn_mask" || name.ends_with(".attn_mask");
        (!no_weight).then(|| name.to_owned())
    })?;
    let activation = match (activation, openai) {
        (Some(Activation::Gelu), true) => {
            return Err(Error::Config(format!(
                "{} is one of OpenAI's models, which use QuickGELU, not GELU",
                path.display()
            )));
        }
        (Some(stated), _) => stated,
        (None, true) => Activation::QuickGelu,
        (None, false) => return Err(Error::ActivationUnknown { path: path.to_owned() }),
    };
    let config = infer(|name| weights.get(name).map(|t| t.shape.to_vec()), activation)?;
    let rows = config.text.vocab_size;
    let openai_rows = Tokenizer::openai().vocab_size();
    if rows != openai_rows {
        return Err(Error::tokenizer(format!(
            "the token embedding has {rows} rows, OpenAI's vocabulary {openai_rows} entries: put the weights into a \
             folder with open_clip_config.json and tokenizer.json"
        )));
    }
    let preprocess = Preprocess { size: config.image.image_size(), ..Preprocess::default() };
    Ok(Found { config, preprocess, weights, tokenizer: TokenizerSource::OpenAi })
}

/// Names the layout of weights that are somebody else's.
fn refuse_other_layouts(path: &Path, names: &[String]) -> Result<()> {
    let starts = |prefix: &str| names.iter().any(|name| name.starts_with(prefix));
    let refuse = |reason: &str| Err(Error::Weights { path: path.to_owned(), reason: reason.to_owned() });
    if starts("text_model.") || starts("vision_model.") {
        return refuse("weights of Hugging Face's layout: name their folder, which holds config.json, too");
    }
    if starts("visual.trunk.") {
        return refuse(
            "its image tower is one of timm's: name its folder, which holds open_clip_config.json, too",
        );
    }
    if starts("text.") {
        return refuse("its text tower is none of OpenCLIP's own: such networks are not supported");
    }
    if !starts("visual.") {
        let first: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
        return refuse(&format!("no CLIP model: its tensors are called {}, ...", first.join(", ")));
    }
    Ok(())
}
