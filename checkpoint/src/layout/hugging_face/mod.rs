//! Hugging Face's CLIP and SigLIP: a folder with `config.json`, weights in safetensors or PyTorch's format (whole or in shards),
//! a tokenizer, and `preprocessor_config.json`.
//!
//! Sources of fields and names: transformers' `models/clip` and `models/siglip`.

pub(crate) mod config;
mod names;
mod preprocessor;

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::file::{TOKENIZER, add_weights, read_json, unwrap_names};
use crate::error::{Error, Result};
use crate::found::{Found, TokenizerSource};
use crate::weights::Weights;
use clip_model::config::Family;
use clip_model::shapes::summarize;
use clip_model::tokenizer::Cleaning;

pub use config::describe;
pub(crate) use names::origin;
pub use preprocessor::{FILE as PREPROCESSOR, write as write_preprocessor};

/// The name of the configuration.
pub const CONFIG: &str = "config.json";

/// The name of the weights, when they are in one safetensors file.
pub(crate) const WEIGHTS: &str = "model.safetensors";

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
    let json: Map<String, Value> = read_json(&folder.join(CONFIG))?;
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
    let config = config::parse(&folder.join(CONFIG), json, family)?;
    let tokenizer = match family {
        Family::Clip => tokenizer(folder)?,
        Family::SigLip => TokenizerSource::SigLip {
            folder: folder.to_owned(),
            cleaning: Cleaning::None,
            context_length: config.text.context_length,
            vocab_size: config.text.vocab_size,
        },
    };
    let preprocess = preprocessor::read(folder, config.image.image_size(), family)?;
    let mut weights = weights(folder)?;
    unwrap_names(&mut weights)?;
    leave_out_other_parts(&mut weights, &kind)?;
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

fn tokenizer(folder: &Path) -> Result<TokenizerSource> {
    let file = folder.join(TOKENIZER);
    if file.exists() {
        // transformers does to a text what the file says, and no more.
        return Ok(TokenizerSource::File(file, Cleaning::None));
    }
    if folder.join("vocab.json").exists() && folder.join("merges.txt").exists() {
        return Ok(TokenizerSource::VocabularyAndMerges(folder.to_owned()));
    }
    Err(Error::tokenizer(format!(
        "{} has neither tokenizer.json nor vocab.json and merges.txt: put them beside its config.json",
        folder.display()
    )))
}

/// What the names of a model's own tensors begin with.
const PARTS: [&str; 6] =
    ["text_model.", "vision_model.", "text_projection.", "visual_projection.", "logit_scale", "logit_bias"];

/// Leaves out what transformers ignores when it opens a model: position numbers, which older versions kept, and the parts of
/// a larger model (a classifier's head, say) that holds this one, maybe under its `kind` as a name.
fn leave_out_other_parts(weights: &mut Weights, kind: &str) -> Result<()> {
    let is_part = |name: &str| PARTS.iter().any(|part| name.starts_with(part));
    let inner = |name: &str| name.strip_prefix(kind)?.strip_prefix('.').map(str::to_owned);
    let held = weights.names().iter().any(|name| inner(name).is_some_and(|name| is_part(&name)));
    weights.rename(|name| {
        let name = if held { inner(name)? } else { name.to_owned() };
        (is_part(&name) && !name.ends_with(".position_ids")).then_some(name)
    })
}

/// A list of shards.
#[derive(Deserialize)]
struct Index {
    weight_map: std::collections::BTreeMap<String, String>,
}

fn weights(folder: &Path) -> Result<Weights> {
    let mut weights = Weights::default();
    if folder.join(WEIGHTS).exists() {
        add_weights(&mut weights, &folder.join(WEIGHTS))?;
        return Ok(weights);
    }
    // A list of shards in safetensors goes before whole weights in PyTorch's format.
    let index = SHARDS.iter().map(|name| folder.join(name)).find(|path| path.exists());
    let whole = folder.join(TORCH_WEIGHTS);
    if whole.exists() && !folder.join(SHARDS[0]).exists() {
        add_weights(&mut weights, &whole)?;
        return Ok(weights);
    }
    let Some(index) = index else {
        return Err(Error::io("open", folder.join(WEIGHTS), std::io::ErrorKind::NotFound.into()));
    };
    let list: Index = read_json(&index)?;
    let fail = |reason: String| Error::Weights { path: index.clone(), reason };
    for file in list.weight_map.values().collect::<BTreeSet<_>>() {
        if Path::new(file).file_name().is_none_or(|name| name != file.as_str()) {
            return Err(fail(format!("it names {file:?}, which is no file beside it")));
        }
        add_weights(&mut weights, &folder.join(file))?;
    }
    match list.weight_map.iter().find(|(name, _)| weights.get(name).is_none()) {
        Some((name, file)) => Err(fail(format!("it says that {name} lies in {file}, where it is not"))),
        None => Ok(weights),
    }
}
