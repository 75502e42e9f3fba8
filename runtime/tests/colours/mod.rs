//! The model folder that `make.py` wrote. It is only read; tests that change it take a copy.

// Each test program is compiled with this file, and none of them needs all of it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use clip_model::files;
use clip_model::labels::StoredLabels;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The folder in the source tree, for tests of this crate and of those beside it.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("runtime").join("tests/colours")
}

/// A copy whose files are changed by `change`, given the folder and its manifest; the manifest is written back.
pub fn changed(change: impl FnOnce(&Path, &mut Value)) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in ["visual.onnx", "text.onnx", "tokenizer.json"] {
        std::fs::copy(folder().join(file), copy.path().join(file)).unwrap();
    }
    let mut manifest = serde_json::from_slice(&std::fs::read(folder().join("clip.json")).unwrap()).unwrap();
    change(copy.path(), &mut manifest);
    std::fs::write(copy.path().join("clip.json"), manifest.to_string()).unwrap();
    copy
}

/// Replaces a file of a model folder, and its hash in the part `of` the manifest.
pub fn replace(folder: &Path, manifest: &mut Value, of: &str, content: &[u8]) {
    let path = folder.join(manifest[of]["file"].as_str().unwrap());
    std::fs::write(&path, content).unwrap();
    manifest[of]["sha256"] = files::sha256(&path).unwrap().into();
}

/// A copy that has only the image encoder and stored labels with these embeddings.
pub fn with_labels(labels: &[&str], embeddings: &[[f32; 4]]) -> TempDir {
    changed(|folder, manifest| {
        for (part, file) in [("text", "text.onnx"), ("tokenizer", "tokenizer.json")] {
            std::fs::remove_file(folder.join(file)).unwrap();
            manifest[part] = Value::Null;
        }
        let path = folder.join("labels.safetensors");
        let stored = StoredLabels {
            labels: labels.iter().map(|&label| label.into()).collect(),
            templates: Vec::new(),
            embeddings: embeddings.concat(),
            ..StoredLabels::default()
        };
        stored.write(&path, 4).unwrap();
        let (file, sha256, count) = ("labels.safetensors", files::sha256(&path).unwrap(), labels.len());
        manifest["labels"] = json!({ "file": file, "sha256": sha256, "count": count });
    })
}

/// Adds one to the byte in the middle of a file.
pub fn change_a_byte(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] = bytes[middle].wrapping_add(1);
    std::fs::write(path, bytes).unwrap();
}
