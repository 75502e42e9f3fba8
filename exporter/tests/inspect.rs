//! `clip-export inspect`, of a checkpoint and of the model folder made of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Output};

use clip_checkpoint::OpenClip;
use clip_model::config::Activation;
use clip_model::{Config, Preprocess, Tokenizer, shapes, tokenizer};
use clip_testkit::Values;
use clip_testkit::{parameter, vit};
use serde_json::Value;

fn config(vocab_size: usize) -> Config {
    vit(8, [16, 8, 16, 2, 8], [12, vocab_size, 16, 2, 1], 2.0, Activation::QuickGelu)
}

fn write(folder: &Path, tokenizer: &Tokenizer) {
    let config = config(tokenizer.vocab_size());
    let tensors: Vec<Values> = shapes::summarize(&config).tensors.into_iter().map(parameter).collect();
    let preprocess = Preprocess { size: 16, ..Preprocess::default() };
    let openclip = OpenClip { config, preprocess, own_tokenizer: !tokenizer.is_openai() };
    clip_checkpoint::write(folder, &openclip, tokenizer, &tensors, 0).unwrap();
}

fn clip_export(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_clip-export")).args(arguments).current_dir(folder).output().unwrap()
}

#[track_caller]
fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Every part stands somewhere in the text, in lines that begin with the name.
#[track_caller]
fn assert_rows(text: &str, rows: &[(&str, &str)]) {
    for (name, part) in rows {
        let row = text.lines().find(|line| line.starts_with(name));
        assert!(row.is_some_and(|row| row.contains(part)), "no {name} with {part:?} in\n{text}");
    }
}

#[test]
fn a_checkpoint_is_described() {
    let root = tempfile::tempdir().unwrap();
    let vocabulary = tokenizer::train(["a red car".to_owned()].into_iter(), 515).unwrap();
    write(&root.path().join("mine"), &vocabulary);
    let summary = shapes::summarize(&config(515));
    let text = printed(&clip_export(root.path(), &["inspect", "mine"]));
    assert_rows(
        &text,
        &[
            ("checkpoint", "mine"),
            ("architecture", "none of the paper's nine"),
            ("image encoder", "ViT, 2 layers of 16 channels, 2 heads, patches of 8, 16x16 pixels"),
            ("text encoder", "1 layers of 16 channels, 2 heads"),
            ("activation", "quick_gelu"),
            ("embedding", "8 numbers"),
            ("weights", &format!("{} F32", summary.tensors.len())),
            ("tokenizer", "its own, 515 tokens, texts of up to 12"),
            ("preprocessing", "shorter side to 16 (bicubic)"),
            ("logit scale", "7.389"),
        ],
    );
    assert!(!text.contains("visual.conv1.weight"), "{text}");

    let text = printed(&clip_export(root.path(), &["inspect", "mine", "--tensors"]));
    assert_rows(&text, &[("visual.conv1.weight ", "F32   [16, 3, 8, 8]"), ("logit_scale ", "F32   []")]);

    let json: Value = serde_json::from_str(&printed(&clip_export(
        root.path(),
        &["inspect", "mine", "--json", "--tensors"],
    )))
    .unwrap();
    assert_eq!(json["parameters"], summary.parameters());
    let towers = json["image_parameters"].as_u64().unwrap() + json["text_parameters"].as_u64().unwrap();
    assert_eq!(towers + 1, summary.parameters() as u64, "and the logit scale");
    assert_eq!(json["image_flops"], summary.image_flops);
    assert_eq!(json["text_flops"], summary.text_flops);
    assert_eq!(json["published_as"], Value::Null);
    assert_eq!(json["config"]["text"]["activation"], "quick_gelu");
    assert_eq!(json["config"]["image"]["patch_size"], 8);
    assert_eq!(
        json["tokenizer"],
        serde_json::json!({ "kind": "own", "vocab_size": 515, "context_length": 12 })
    );
    assert_eq!(json["preprocess"]["size"], 16);
    assert_eq!(json["tensors"].as_array().unwrap().len(), summary.tensors.len());
    let elements: usize = summary.tensors.iter().map(shapes::Tensor::elements).sum();
    assert_eq!(json["weights"]["bytes"], 4 * elements);
}

#[test]
fn a_model_folder_is_described() {
    let root = tempfile::tempdir().unwrap();
    write(&root.path().join("mine"), &Tokenizer::openai());
    printed(&clip_export(root.path(), &["mine", "-o", "model", "--name", "my model"]));
    let text = printed(&clip_export(root.path(), &["inspect", "model"]));
    assert_rows(
        &text,
        &[
            ("model folder", "model"),
            ("model  ", "my model"),
            ("written by", "clip-export"),
            ("image encoder", "visual.onnx, fp32, float32 input"),
            ("text encoder", "text.onnx, fp32, int32 input"),
            ("tokenizer", "OpenAI's, 49,408 tokens, texts of up to 12"),
            ("files", "visual.onnx"),
        ],
    );
    let json: Value =
        serde_json::from_str(&printed(&clip_export(root.path(), &["inspect", "model", "--json"]))).unwrap();
    assert_eq!(json["manifest"]["embed_dim"], 8);
    assert_eq!(json["tokenizer"]["kind"], "openai");
    let mut total = 0;
    for file in json["files"].as_array().unwrap() {
        let bytes = root.path().join("model").join(file["file"].as_str().unwrap()).metadata().unwrap().len();
        assert_eq!(file["bytes"], bytes);
        total += bytes;
    }
    assert_eq!((json["files"].as_array().unwrap().len(), json["bytes"].as_u64()), (4, Some(total)));

    assert!(
        refused(&clip_export(root.path(), &["inspect", "model", "--tensors"])).contains("is a model folder")
    );
    std::fs::remove_file(root.path().join("model/text.onnx")).unwrap();
    assert!(refused(&clip_export(root.path(), &["inspect", "model"])).contains("text.onnx"));
}

#[test]
fn what_is_neither_is_refused() {
    let root = tempfile::tempdir().unwrap();
    assert!(refused(&clip_export(root.path(), &["inspect", "./nothing"])).contains("./nothing"));
    std::fs::create_dir(root.path().join("empty")).unwrap();
    assert!(refused(&clip_export(root.path(), &["inspect", "empty"])).contains("empty"));
    // Without a subcommand, the folder to write is still needed.
    let usage = clip_export(root.path(), &["empty"]);
    assert_eq!(usage.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&usage.stderr).contains("--output"));
}

/// Weights that are not as they are stored are told of, whatever is done with them.
#[test]
fn interpolated_position_embeddings_are_told() {
    let root = tempfile::tempdir().unwrap();
    let vocabulary = tokenizer::train(["a red car".to_owned()].into_iter(), 515).unwrap();
    write(&root.path().join("mine"), &vocabulary);
    let path = root.path().join("mine/open_clip_config.json");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("size\": 16,", "size\": 24,")).unwrap();
    let told = |arguments: &[&str]| {
        let output = clip_export(root.path(), arguments);
        printed(&output);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("visual.positional_embedding was interpolated from 2x2 patches to 3x3"),
            "{said}"
        );
    };
    told(&["inspect", "mine"]);
    told(&["mine", "-o", "model"]);
    told(&["verify", "model", "--against", "mine"]);
}
