//! For fuzzing and property tests: each function reads foreign bytes, whatever they are, and must not panic.

use std::io::Write;
use std::path::Path;

use crate::config::Config;
use crate::formats::{read_hugging_face_config, read_pickle, read_preprocessor_config, read_torch_file};
use crate::manifest::{FILE, Manifest};
use crate::openclip::{self, OpenClip};
use crate::shapes::{summarize, text_flops};
use crate::weights::Weights;

/// Reads the pickle of a PyTorch file, as plain and as TorchScript.
pub fn pickle(bytes: &[u8]) {
    read_pickle(bytes);
}

/// Reads a PyTorch file and all its tensors.
pub fn torch_file(bytes: &[u8]) {
    with_file(bytes, |path| drop(read_torch_file(path).map(|weights| read_all(&weights))));
}

/// Reads a safetensors file and all its tensors.
pub fn safetensors(bytes: &[u8]) {
    with_file(bytes, |path| drop(Weights::open(path).map(|weights| read_all(&weights))));
}

/// Reads a model folder's manifest.
pub fn manifest(bytes: &[u8]) {
    if let Ok(folder) = tempfile::tempdir()
        && std::fs::write(folder.path().join(FILE), bytes).is_ok()
    {
        drop(Manifest::read(folder.path()));
    }
}

/// Reads OpenCLIP's configuration, and lists the tensors of its network.
pub fn open_clip_config(bytes: &[u8]) {
    if let Ok(folder) = tempfile::tempdir()
        && std::fs::write(folder.path().join(openclip::FILE), bytes).is_ok()
        && let Ok(found) = OpenClip::read(folder.path())
    {
        list(&found.config);
    }
}

/// Reads the configuration of a CLIP or SigLIP of Hugging Face's, and lists the tensors of its network.
pub fn hugging_face_config(bytes: &[u8]) {
    read_hugging_face_config(bytes).iter().for_each(list);
}

/// Reads the preprocessing of a CLIP and of a SigLIP of Hugging Face's, for images of 224 pixels.
pub fn preprocessor_config(bytes: &[u8]) {
    read_preprocessor_config(bytes, 224);
}

/// Decodes a picture of at most 4 megapixels, turned as it says.
pub fn image(bytes: &[u8]) {
    drop(crate::preprocess::decode(bytes, true, 1 << 22));
}

/// What is computed of sizes before any weights are seen.
fn list(config: &Config) {
    let summary = summarize(config);
    let _ = (summary.parameters(), text_flops(config, config.text.context_length));
}

fn with_file(bytes: &[u8], read: impl FnOnce(&Path)) {
    if let Ok(mut file) = tempfile::NamedTempFile::new()
        && file.write_all(bytes).is_ok()
    {
        read(file.path());
    }
}

fn read_all(weights: &Weights) {
    for tensor in weights.names().iter().filter_map(|name| weights.get(name)) {
        drop((tensor.to_f32(), tensor.to_bytes()));
    }
}
