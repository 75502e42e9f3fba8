//! Which files of a model are needed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clip_model::files;
use serde::Deserialize;

use super::id::{Id, plain};
use crate::error::{Error, Result};

/// Configuration and weights that belong together, best first: safetensors before pickles, OpenCLIP's configuration,
/// which says more, before transformers'.
const LAYOUTS: [(&str, &str); 4] = [
    ("open_clip_config.json", "open_clip_model.safetensors"),
    ("config.json", "model.safetensors"),
    ("open_clip_config.json", "open_clip_pytorch_model.bin"),
    ("config.json", "pytorch_model.bin"),
];

/// Small files that are fetched where they exist.
const BESIDE: [&str; 6] = [
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
];

/// The files to fetch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// Configuration, tokenizer, preprocessing.
    pub small: Vec<&'static str>,
    pub weights: Weights,
}

/// The weights in one file, or several that an index names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Weights {
    Whole(String),
    Sharded(String),
}

impl Selection {
    /// Chooses among the files of a model.
    ///
    /// # Errors
    /// [`Error::HubFiles`] where none of the layouts is there.
    pub fn of(id: &Id, files: &BTreeSet<String>) -> Result<Selection> {
        for (config, weights) in LAYOUTS.iter().filter(|(config, _)| files.contains(*config)) {
            let index = format!("{weights}.index.json");
            let weights = if files.contains(*weights) {
                Weights::Whole((*weights).to_owned())
            } else if files.contains(&index) {
                Weights::Sharded(index)
            } else {
                continue;
            };
            let beside = BESIDE.into_iter().filter(|&name| files.contains(name));
            return Ok(Selection { small: std::iter::once(*config).chain(beside).collect(), weights });
        }
        let pairs = LAYOUTS.map(|(config, weights)| format!("{config} with {weights}")).join(", or ");
        let names: Vec<&str> = files.iter().map(String::as_str).collect();
        let found = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        Err(Error::HubFiles { id: id.to_string(), what: format!("it needs {pairs}; there is {found}") })
    }
}

/// The files that the index at `path` names.
///
/// # Errors
/// [`Error::Model`] for a file that is no such index, or names files outside the folder.
pub(super) fn shards(path: &Path) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Index {
        /// From tensor to file.
        weight_map: BTreeMap<String, String>,
    }
    let json = files::read(path, files::TEXT_LIMIT)?;
    let index: Index = serde_json::from_slice(&json)
        .map_err(|source| clip_model::Error::Json { path: path.to_owned(), source })?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    match names.iter().find(|name| !plain(name)) {
        None => Ok(names.into_iter().collect()),
        Some(name) => {
            let what = format!("{} names {name:?}, which is not a plain file name", path.display());
            Err(clip_model::Error::Config(what).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(files: &[&str]) -> Result<Selection> {
        let id = Id::parse("me/mine").unwrap();
        Selection::of(&id, &files.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn one_layout_is_chosen_and_safetensors_win() {
        let all = [
            "README.md",
            "config.json",
            "flax_model.msgpack",
            "merges.txt",
            "model.safetensors",
            "open_clip_config.json",
            "open_clip_pytorch_model.bin",
            "pytorch_model.bin",
            "tokenizer.json",
        ];
        let found = select(&all).unwrap();
        assert_eq!(found.small, ["config.json", "tokenizer.json", "merges.txt"]);
        assert_eq!(found.weights, Weights::Whole("model.safetensors".into()));
        let found = select(&[&all[..], &["open_clip_model.safetensors"]].concat()).unwrap();
        assert_eq!(found.small[0], "open_clip_config.json");
        assert_eq!(found.weights, Weights::Whole("open_clip_model.safetensors".into()));
        let found = select(&["open_clip_config.json", "open_clip_pytorch_model.bin.index.json"]).unwrap();
        assert_eq!(found.weights, Weights::Sharded("open_clip_pytorch_model.bin.index.json".into()));
    }

    #[test]
    fn what_is_no_clip_says_what_there_is() {
        let message = select(&["README.md", "model.safetensors"]).unwrap_err().to_string();
        assert!(message.contains("me/mine") && message.contains("README.md, model.safetensors"), "{message}");
        assert!(message.contains("open_clip_config.json with open_clip_model.safetensors"), "{message}");
    }

    #[test]
    fn an_index_names_each_file_once_and_no_other_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |json: &str| std::fs::write(file.path(), json).unwrap();
        write(r#"{"metadata": {}, "weight_map": {"a": "m-2.bin", "b": "m-1.bin", "c": "m-2.bin"}}"#);
        assert_eq!(shards(file.path()).unwrap(), ["m-1.bin", "m-2.bin"]);
        write(r#"{"weight_map": {"a": "../../secret"}}"#);
        assert!(shards(file.path()).unwrap_err().to_string().contains("../../secret"));
        write("[]");
        assert!(matches!(shards(file.path()), Err(Error::Model(clip_model::Error::Json { .. }))));
    }
}
