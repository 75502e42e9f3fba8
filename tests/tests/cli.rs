//! From checkpoint to label with the programs alone: `clip-export`, then `clip-run`.
//!
//! The programs are those in `target/release`: `cargo test --workspace` builds them before it runs this.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clip_checkpoint::OpenClip;
use clip_checkpoint::write_weights;
use clip_model::config::{Activation, Config};
use clip_model::{Preprocess, Tokenizer, shapes};
use clip_testkit::Values;
use clip_testkit::vit;
use serde_json::Value;
use tempfile::TempDir;

const WEIGHTS: &str = "open_clip_model.safetensors";

fn program(name: &str) -> PathBuf {
    // This test is target/release/deps/cli-0123456789abcdef.
    let path = std::env::current_exe().unwrap().parent().unwrap().with_file_name(name);
    assert!(path.exists(), "{} is missing: run `cargo build --release` first", path.display());
    path
}

fn run(name: &str, arguments: &[&dyn AsRef<OsStr>]) -> Output {
    Command::new(program(name)).args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn succeeded(output: &Output) -> &str {
    assert!(output.status.success(), "{}", stderr(output));
    std::str::from_utf8(&output.stdout).unwrap()
}

#[track_caller]
fn refused(output: &Output, parts: &[&str]) {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    for part in parts {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
}

/// Weights of a tiny network, from a fixed sequence.
fn weights(config: &Config) -> Vec<Values> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let tensor = |t: shapes::Tensor| Values {
        data: (0..t.elements()).map(|_| if t.name == "logit_scale" { 3.0 } else { 0.3 * next() }).collect(),
        name: t.name,
        shape: t.shape,
    };
    shapes::summarize(config).tensors.into_iter().map(tensor).collect()
}

/// A folder with a checkpoint in `checkpoint/`.
struct Work {
    folder: TempDir,
    tensors: Vec<Values>,
}

impl Work {
    fn new() -> Work {
        let tokenizer = Tokenizer::openai();
        let text = [12, tokenizer.vocab_size(), 8, 2, 2];
        let config = vit(16, [32, 16, 32, 2, 16], text, 4.0, Activation::QuickGelu);
        let preprocess = Preprocess { size: 32, ..Default::default() };
        let tensors = weights(&config);
        let work = Work { folder: tempfile::tempdir().unwrap(), tensors };
        let openclip = OpenClip { config, preprocess, own_tokenizer: true };
        clip_checkpoint::write(work.checkpoint(), &openclip, &tokenizer, &work.tensors, 0).unwrap();
        work
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn checkpoint(&self) -> PathBuf {
        self.path("checkpoint")
    }

    /// The checkpoint as a model folder.
    fn export(&self) -> PathBuf {
        let model = self.path("model");
        succeeded(&run("clip-export", &[&self.checkpoint(), &"-o", &model]));
        model
    }

    /// A picture with a colour gradient in portable form: an uncompressed 24-bit bitmap.
    fn picture(&self, name: &str, width: u32, height: u32) -> PathBuf {
        let path = self.path(name);
        let mut pixels = Vec::new();
        for y in 0..height {
            for x in 0..width {
                pixels.extend([(255 * x / width) as u8, (255 * y / height) as u8, 99]);
            }
            pixels.extend(vec![0; width as usize % 4]);
        }
        let header = [54 + pixels.len() as u32, 0, 54, 40, width, height, 1 | 24 << 16, 0, 0, 0, 0, 0, 0];
        let header = header.iter().flat_map(|n| n.to_le_bytes());
        std::fs::write(&path, b"BM".iter().copied().chain(header).chain(pixels).collect::<Vec<_>>()).unwrap();
        path
    }
}

/// The float32 numbers of an NPY file.
fn read_npy(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[start..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

#[test]
fn a_checkpoint_becomes_labels_and_embeddings() {
    let work = Work::new();
    let model = work.export();
    let info: Value =
        serde_json::from_str(succeeded(&run("clip-run", &[&"info", &model, &"--json"]))).unwrap();
    assert_eq!(info["manifest"]["embed_dim"], 16);
    assert_eq!(info["manifest"]["preprocess"]["size"], 32);
    assert_eq!(info["manifest"]["tokenizer"]["context_length"], 12);

    let (wide, dot) = (work.picture("wide.bmp", 90, 40), work.picture("dot.bmp", 1, 1));
    let tall = work.picture("tall.bmp", 1, 4000);
    let output = run(
        "clip-run",
        &[&"classify", &model, &wide, &dot, &tall, &"--labels", &"cat,dog,a much longer label", &"--json"],
    );
    let lines: Vec<Value> = succeeded(&output).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 3);

    let (images, texts) = (work.path("images.npy"), work.path("texts.npy"));
    succeeded(&run("clip-run", &[&"embed", &model, &"--images", &wide, &dot, &tall, &"-o", &images]));
    let labels = ["cat", "dog", "a much longer label"];
    let long = "word ".repeat(10_000);
    succeeded(&run(
        "clip-run",
        &[&"embed", &model, &"--texts", &labels[0], &labels[1], &labels[2], &long, &"-o", &texts],
    ));
    let (images, texts) = (read_npy(&images), read_npy(&texts));
    assert_eq!((images.len(), texts.len()), (3 * 16, 4 * 16));

    // What classify says is what the embeddings say.
    let scale = info["manifest"]["logit_scale"].as_f64().unwrap();
    for (line, image) in lines.iter().zip(images.chunks_exact(16)) {
        let cosine = |text: &[f32]| -> f64 {
            image.iter().zip(text).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let cosines: Vec<f64> = texts.chunks_exact(16).take(3).map(cosine).collect();
        let total: f64 = cosines.iter().map(|c| (scale * c).exp()).sum();
        for found in line["labels"].as_array().unwrap() {
            let index = found["index"].as_u64().unwrap() as usize;
            assert_eq!(found["label"], labels[index]);
            assert!((found["similarity"].as_f64().unwrap() - cosines[index]).abs() < 1e-5);
            let expected = (scale * cosines[index]).exp() / total;
            assert!((found["probability"].as_f64().unwrap() - expected).abs() < 1e-4);
        }
    }
}

#[test]
fn a_device_needs_no_text_encoder() {
    let work = Work::new();
    let (both, device) = (work.export(), work.path("device"));
    let (labels, templates) = (work.path("labels.txt"), work.path("templates.txt"));
    std::fs::write(&labels, "cat\ndog\nsurfboard\n").unwrap();
    std::fs::write(&templates, "a {}\nthe {}.\n").unwrap();
    succeeded(&run(
        "clip-export",
        &[
            &work.checkpoint(),
            &"-o",
            &device,
            &"--only",
            &"visual",
            &"--uint8-input",
            &"--labels",
            &labels,
            &"--templates",
            &templates,
        ],
    ));
    let mut files: Vec<_> = std::fs::read_dir(&device).unwrap().map(|e| e.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["clip.json", "labels.safetensors", "visual.onnx"]);
    let picture = work.picture("wide.bmp", 90, 40);
    let found = run("clip-run", &[&"classify", &device, &picture, &"--json"]);
    let expected = run(
        "clip-run",
        &[
            &"classify",
            &both,
            &picture,
            &"--json",
            &"--labels-file",
            &labels,
            &"--templates-file",
            &templates,
        ],
    );
    let [found, expected] = [&found, &expected].map(|o| serde_json::from_str::<Value>(succeeded(o)).unwrap());
    for (found, expected) in
        found["labels"].as_array().unwrap().iter().zip(expected["labels"].as_array().unwrap())
    {
        assert_eq!(found["label"], expected["label"]);
        let [a, b] = [found, expected].map(|v| v["similarity"].as_f64().unwrap());
        assert!((a - b).abs() < 1e-5, "{a} for {b}");
    }
    refused(
        &run("clip-run", &[&"embed", &device, &"--texts", &"cat", &"-o", &work.path("x.npy")]),
        &["no text encoder"],
    );
}

#[test]
fn a_damaged_checkpoint_gives_no_model_folder() {
    let work = Work::new();
    let weights = work.checkpoint().join(WEIGHTS);
    let good = std::fs::read(&weights).unwrap();
    let write = |tensors: &[Values]| write_weights(&weights, tensors, HashMap::new()).unwrap();
    let one = |name: &str| Values { name: name.into(), shape: vec![1], data: vec![0.0] };
    let damages: [(&dyn Fn(), &[&str]); 5] = [
        (&|| write(&work.tensors[1..]), &["missing", &work.tensors[0].name]),
        (&|| write(&[&work.tensors[..], &[one("extra.weight")]].concat()), &["surplus", "extra.weight"]),
        (
            &|| write(&[&[one(&work.tensors[0].name)], &work.tensors[1..]].concat()),
            &["wrong shape", &work.tensors[0].name],
        ),
        (&|| std::fs::write(&weights, &good[..good.len() - 1]).unwrap(), &[WEIGHTS]),
        // The header's length says more than there is.
        (&|| std::fs::write(&weights, [&u64::MAX.to_le_bytes(), &good[8..]].concat()).unwrap(), &[WEIGHTS]),
    ];
    for (damage, parts) in damages {
        damage();
        refused(&run("clip-export", &[&work.checkpoint(), &"-o", &work.path("model")]), parts);
        let left: Vec<_> =
            std::fs::read_dir(work.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["checkpoint"]);
    }
}

#[test]
fn a_damaged_model_folder_gives_no_label() {
    let work = Work::new();
    let model = work.export();
    let picture = work.picture("a.bmp", 8, 8);
    let classify = || run("clip-run", &[&"classify", &model, &picture, &"--labels", &"a,b"]);
    succeeded(&classify());

    let manifest = std::fs::read(model.join("clip.json")).unwrap();
    type Change = fn(&mut Value);
    let changes: [(Change, &[&str]); 4] = [
        (|m| m["schema"] = 7.into(), &["clip.json", "schema version 7"]),
        (|m| m["preprocess"]["size"] = 48.into(), &["visual.onnx", "48", "32"]),
        (|m| m["embed_dim"] = 17.into(), &["17", "16"]),
        (|m| m["tokenizer"]["context_length"] = 13.into(), &["text.onnx", "13 tokens"]),
    ];
    for (change, parts) in changes {
        let mut changed: Value = serde_json::from_slice(&manifest).unwrap();
        change(&mut changed);
        std::fs::write(model.join("clip.json"), changed.to_string()).unwrap();
        refused(&classify(), parts);
    }
    std::fs::write(model.join("clip.json"), manifest).unwrap();

    let graph = model.join("visual.onnx");
    let mut bytes = std::fs::read(&graph).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&graph, bytes).unwrap();
    refused(&classify(), &["visual.onnx", "sha256"]);
}
