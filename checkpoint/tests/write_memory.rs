//! How much memory writing a checkpoint takes: a test of its own process, whose peak it reads.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io;
use std::path::Path;

use clip_checkpoint::OpenClip;
use clip_checkpoint::{Checkpoint, Layout, Source, WeightFormat, write_into};
use clip_model::shapes::{self, summarize};
use clip_model::{Config, Preprocess, Tokenizer};

/// A tensor whose values are made when they are asked for.
struct Made(shapes::Tensor);

impl Source for Made {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    fn read(&self, sink: &mut dyn FnMut(&[f32]) -> io::Result<()>) -> io::Result<()> {
        let piece = vec![0.5; 1 << 16];
        let mut left = self.0.elements();
        while left > 0 {
            let n = left.min(piece.len());
            sink(&piece[..n])?;
            left -= n;
        }
        Ok(())
    }
}

/// The most memory that this process has held since the last call, bytes (`man 5 proc`).
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

/// Bytes by which writing the checkpoint of a network, and writing it again in both layouts, raises the peak.
fn peaks(folder: &Path, config: &Config) -> [u64; 4] {
    let preprocess = Preprocess { size: config.image.image_size(), ..Preprocess::default() };
    let openclip = OpenClip { config: config.clone(), preprocess, own_tokenizer: false };
    let tensors: Vec<Made> = summarize(config).tensors.into_iter().map(Made).collect();
    let tokenizer = Tokenizer::openai();
    let ours = folder.join("ours");
    std::fs::create_dir(&ours).unwrap();
    // What the tokenizer takes once is not the writing's.
    drop((tokenizer.encode("a", 77), tokenizer.to_json()));
    let measured = |write: &dyn Fn()| {
        peak();
        let before = peak();
        write();
        peak() - before
    };
    let write = |format| write_into(&ours, &openclip, &tokenizer, &tensors, 0, format).unwrap();
    let fp16 = measured(&|| write(WeightFormat::Fp16));
    let fp32 = measured(&|| write(WeightFormat::Fp32));
    let opened = Checkpoint::open(&ours).unwrap();
    let open_clip = measured(&|| opened.write_as(folder.join("a"), Layout::OpenClip).unwrap());
    let hugging_face = measured(&|| opened.write_as(folder.join("b"), Layout::HuggingFace).unwrap());
    [fp16, fp32, open_clip, hugging_face]
}

#[test]
fn checkpoints_are_written_in_pieces() {
    let root = tempfile::tempdir().unwrap();
    // 400 MB, a quarter of which is the token embedding.
    let mut config = Config::named("ViT-B/32").unwrap();
    config.text.layers = 1;
    for (peak, what) in peaks(root.path(), &config).into_iter().zip(["fp16", "fp32", "open-clip", "hf"]) {
        assert!(peak < 64 << 20, "{what}: {} MB", peak >> 20);
    }
}

/// Writes 7 GB.
#[test]
#[ignore = "takes a minute or more"]
fn vit_l_14_takes_no_more() {
    let root = tempfile::tempdir().unwrap();
    let peaks = peaks(root.path(), &Config::named("ViT-L/14").unwrap());
    println!("MB in half and single precision, as open-clip, as hf: {:?}", peaks.map(|peak| peak >> 20));
    assert!(peaks.into_iter().all(|peak| peak < 300 << 20));
}
