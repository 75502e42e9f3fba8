//! Hugging Face's CLIP and SigLIP: a folder with `config.json`, weights in safetensors or PyTorch's format (whole or in shards),
//! a tokenizer, and `preprocessor_config.json`.
//!
//! Sources of fields and names: transformers' `models/clip` and `models/siglip`.

pub(super) mod config;
mod names;
mod preprocessor;

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Found, TokenizerSource, torch_file};
use crate::config::Family;
use crate::error::{Error, Result};
use crate::files;
use crate::shapes::summarize;
use crate::tokenizer::{Cleaning, Tokenizer};
use crate::weights::Weights;

pub(super) use names::origin;
pub(super) use preprocessor::{FILE as PREPROCESSOR, write as write_preprocessor};

/// The name of the configuration.
pub(super) const CONFIG: &str = "config.json";

/// The name of the weights, when they are in one safetensors file.
pub(super) const WEIGHTS: &str = "model.safetensors";

/// Whole weights in PyTorch's format.
const TORCH_WEIGHTS: &str = "pytorch_model.bin";

/// Lists of shards: which tensor lies in which file.
const SHARDS: [&str; 2] = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];

/// Whether a folder holds weights in this layout.
pub(super) fn has_weights(folder: &Path) -> bool {
    [WEIGHTS, TORCH_WEIGHTS].iter().chain(&SHARDS).any(|name| folder.join(name).exists())
}

/// Reads a folder.
///
/// # Errors
/// [`Error::Config`] for another kind of model, or one that this crate does not build, by name.
pub(super) fn read(folder: &Path) -> Result<Found> {
    let json = read_json(&folder.join(CONFIG))?;
    let kind = json.get("model_type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let family = match kind.as_str() {
        "clip" => Family::Clip,
        "siglip" => Family::SigLip,
        kind => {
            return Err(Error::Config(format!(
                "{} is of model_type {kind:?}, which is not supported: \"clip\" and \"siglip\" are{}",
                folder.join(CONFIG).display(),
                reason(kind)
            )));
        }
    };
    let config::Parsed { config, end } = config::parse(&folder.join(CONFIG), json, family)?;
    let tokenizer = match family {
        Family::Clip => tokenizer(folder)?,
        Family::SigLip => TokenizerSource::SigLip {
            folder: folder.to_owned(),
            cleaning: Cleaning::None,
            context_length: config.text.context_length,
            vocab_size: config.text.vocab_size,
        },
    };
    if let Some(end) = end {
        check_end(end, config.text.vocab_size, &tokenizer)?;
    }
    let preprocess = preprocessor::read(folder, config.image.image_size(), family)?;
    let mut weights = weights(folder)?;
    // Position numbers that older versions kept.
    weights.rename(|name| (!name.ends_with(".position_ids")).then(|| name.to_owned()))?;
    let plan = summarize(&config).tensors.into_iter();
    weights
        .compose(plan.map(|t| (origin(family, &t.name), t)).map(|(o, t)| (t.name, t.shape, o)).collect())?;
    Ok(Found { config, preprocess, weights, tokenizer })
}

/// Why a related kind of model is not built.
fn reason(kind: &str) -> &'static str {
    match kind {
        "siglip2" => {
            " (it takes images of any shape as lists of patches; SigLIP 2's models of a fixed resolution are \"siglip\")"
        }
        "clip_text_model" | "clip_vision_model" | "siglip_text_model" | "siglip_vision_model" => {
            " (it has one tower alone)"
        }
        _ => "",
    }
}

fn read_json(path: &Path) -> Result<Map<String, Value>> {
    serde_json::from_slice(&files::read(path, files::TEXT_LIMIT)?)
        .map_err(|source| Error::Json { path: path.to_owned(), source })
}

fn tokenizer(folder: &Path) -> Result<TokenizerSource> {
    let file = folder.join(crate::checkpoint::TOKENIZER);
    if file.exists() {
        // transformers does to a text what the file says, and no more.
        return Ok(TokenizerSource::File(file, Cleaning::None));
    }
    if folder.join("vocab.json").exists() && folder.join("merges.txt").exists() {
        return Ok(TokenizerSource::VocabularyAndMerges(folder.to_owned()));
    }
    Err(Error::Tokenizer(format!(
        "{} has neither tokenizer.json nor vocab.json and merges.txt: put them beside its config.json",
        folder.display()
    )))
}

/// The text tower pools at the highest id: that must be the end of text, where transformers pools.
fn check_end(end: config::End, vocab_size: usize, tokenizer: &TokenizerSource) -> Result<()> {
    match end {
        config::End::Highest => Ok(()),
        config::End::Id(id) if id + 1 == vocab_size => Ok(()),
        config::End::Id(id) => {
            let tokenizer: Tokenizer = tokenizer.open()?;
            if tokenizer.end_id() as usize == id && tokenizer.vocab_size() == id + 1 {
                return Ok(());
            }
            Err(Error::Config(format!(
                "text_config.eos_token_id {id} is not the highest id of the vocabulary, where the text tower is pooled"
            )))
        }
    }
}

/// A list of shards.
#[derive(Deserialize)]
struct Index {
    weight_map: std::collections::BTreeMap<String, String>,
}

fn weights(folder: &Path) -> Result<Weights> {
    let mut weights = Weights::default();
    if folder.join(WEIGHTS).exists() {
        weights.add_safetensors(&folder.join(WEIGHTS))?;
        return Ok(weights);
    }
    // A list of shards in safetensors goes before whole weights in PyTorch's format.
    let index = SHARDS.iter().map(|name| folder.join(name)).find(|path| path.exists());
    let whole = folder.join(TORCH_WEIGHTS);
    if whole.exists() && !folder.join(SHARDS[0]).exists() {
        torch_file::add(&mut weights, &whole)?;
        return Ok(weights);
    }
    let Some(index) = index else {
        return Err(Error::io("open", folder.join(WEIGHTS), std::io::ErrorKind::NotFound.into()));
    };
    let list: Index = serde_json::from_slice(&files::read(&index, files::TEXT_LIMIT)?)
        .map_err(|source| Error::Json { path: index.clone(), source })?;
    let fail = |reason: String| Error::Weights { path: index.clone(), reason };
    for file in list.weight_map.values().collect::<BTreeSet<_>>() {
        if Path::new(file).file_name().is_none_or(|name| name != file.as_str()) {
            return Err(fail(format!("it names {file:?}, which is no file beside it")));
        }
        let path = folder.join(file);
        if file.ends_with(".safetensors") {
            weights.add_safetensors(&path)?;
        } else {
            torch_file::add(&mut weights, &path)?;
        }
    }
    match list.weight_map.iter().find(|(name, _)| weights.get(name).is_none()) {
        Some((name, file)) => Err(fail(format!("it says that {name} lies in {file}, where it is not"))),
        None => Ok(weights),
    }
}

#[cfg(test)]
mod tests;
