//! Small runs on made-up shards.

#![allow(clippy::unwrap_used, dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use clip_checkpoint::Weights;
use clip_trainer::Job;
use clip_trainer::settings::Settings;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

pub const RESNET: &str = "resnet = { image_size = 32, layers = [1, 1, 1, 1], width = 8 }";
pub const VIT: &str = "vit = { image_size = 32, patch_size = 16, width = 32, layers = 2, head_width = 16 }";

pub fn settings(tower: &str, optim: &str) -> String {
    format!(
        "[model]\nembed_dim = 32\n{tower}\n\
         text = {{ context_length = 12, vocab_size = 520, width = 32, heads = 2, layers = 2 }}\n\
         [data]\ntokenizer = \"train\"\nshuffle_buffer = 8\n\
         [optim]\nbatch = 8\nseed = 1\n{optim}\n[run]\nlog_every = 1\ncheckpoint_every = 2\n"
    )
}

/// The bytes of a picture of these pixels, RGB.
pub fn png(pixels: &[u8], width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(pixels, width, height, ExtendedColorType::Rgb8).unwrap();
    bytes
}

/// A tar of these files.
pub fn tar(folder: &Path, name: &str, files: impl IntoIterator<Item = (String, Vec<u8>)>) -> PathBuf {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    let path = folder.join(name);
    std::fs::write(&path, tar.into_inner().unwrap()).unwrap();
    path
}

/// Pictures in one colour each, with captions that name it.
pub fn colours(numbers: impl IntoIterator<Item = u8>) -> Vec<(String, Vec<u8>)> {
    let sample = |n: u8| {
        let pixels: Vec<u8> = [(n & 3) * 80, (n >> 2) * 80, 255 - n * 15].repeat(20 * 30);
        let captions = format!("colour number {n}\na picture of the colour {n}\n");
        [(format!("{n:02}.png"), png(&pixels, 20, 30)), (format!("{n:02}.txt"), captions.into_bytes())]
    };
    numbers.into_iter().flat_map(sample).collect()
}

/// A shard of 16 pictures in as many colours.
pub fn shard(folder: &Path, name: &str) -> PathBuf {
    tar(folder, name, colours(0..16))
}

pub fn job(toml: &str, shards: &[PathBuf], out: &Path) -> Job {
    // Several tests run side by side already.
    tch::set_num_threads(1);
    Job {
        settings: Settings::parse(toml).unwrap(),
        data: clip_data::DataSet::of(shards),
        val: vec![],
        out: out.to_owned(),
        device: tch::Device::Cpu,
        resume: false,
        resume_with: Vec::new(),
        init: None,
        teacher: None,
        decode_threads: 2,
        warn: |_| {},
        stop: || false,
    }
}

pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clip-train"));
    command.args(["--threads", "1"]).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn output(arguments: &[&str]) -> (Output, String) {
    let output = program(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, errors)
}

pub fn log(folder: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(folder.join("log.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The folder of the newest checkpoint.
pub fn newest(out: &Path) -> PathBuf {
    clip_trainer::state::resumable(out).unwrap().unwrap()
}

/// Name, shape and bytes of every tensor.
pub fn tensors(file: &Path) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let weights = Weights::open(file).unwrap();
    let mut names = weights.names();
    names.sort();
    let tensor = |name: String| {
        let found = weights.get(&name).unwrap();
        (name.clone(), found.shape.to_vec(), found.to_bytes().unwrap())
    };
    names.into_iter().map(tensor).collect()
}
