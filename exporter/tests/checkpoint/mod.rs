//! A tiny checkpoint for the tests of model folders.

// Each test program is compiled with this file, and none of them needs all of it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use clip_checkpoint::OpenClip;
use clip_checkpoint::{WeightFormat, write_into};
use clip_model::config::{Activation, TextTower};
use clip_model::shapes::summarize;
use clip_model::{Config, Preprocess, Tokenizer, tokenizer};
use clip_testkit::Values;
use clip_testkit::{parameter, vit};

/// A vocabulary of bytes and a few merges.
pub fn vocabulary() -> Tokenizer {
    let captions = ["a red car", "a blue car", "two red cars on a blue road"].map(str::to_owned);
    tokenizer::train(captions.into_iter(), 520).unwrap()
}

pub fn config() -> Config {
    vit(8, [16, 8, 16, 2, 8], [12, 520, 16, 2, 2], 2.0, Activation::Gelu)
}

/// Writes a checkpoint whose values are pseudo-random, after `change`.
pub fn tiny(folder: &Path, format: WeightFormat, change: impl Fn(&mut Values)) -> PathBuf {
    write(folder, config(), format, change)
}

/// The same of a network with a text tower of the given width.
pub fn wide(folder: &Path, width: usize) -> PathBuf {
    let mut config = config();
    config.text = TextTower { width, mlp_ratio: 4.0, ..config.text };
    write(folder, config, WeightFormat::Fp32, |_| ())
}

/// The same of a network that was trained with a logit bias.
pub fn biased(folder: &Path) -> PathBuf {
    write(folder, Config { logit_bias: true, ..config() }, WeightFormat::Fp32, |_| ())
}

fn write(folder: &Path, config: Config, format: WeightFormat, change: impl Fn(&mut Values)) -> PathBuf {
    let mut tensors: Vec<Values> = summarize(&config).tensors.into_iter().map(parameter).collect();
    tensors.iter_mut().for_each(change);
    let preprocess = Preprocess { size: 16, ..Preprocess::default() };
    let openclip = OpenClip { config, preprocess, own_tokenizer: true };
    let folder = folder.join("checkpoint");
    std::fs::create_dir(&folder).unwrap();
    write_into(&folder, &openclip, &vocabulary(), &tensors, 0, format).unwrap();
    folder
}

/// The names of what is in a folder, sorted.
pub fn entries(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}
