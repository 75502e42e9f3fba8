//! The library and `clip-export`: checkpoints in, model folders out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checkpoint;

use std::path::Path;
use std::process::{Command, Output};

use checkpoint::{config, entries, tiny, vocabulary};
use clip_checkpoint::Checkpoint;
use clip_checkpoint::WeightFormat;
use clip_exporter::{Error, Options, Step, export};
use clip_model::manifest::Element;
use clip_model::preprocess::Image;
use clip_model::shapes::{Tensor, summarize};
use clip_model::tokenizer::Cleaning;
use clip_model::{Manifest, clip, manifest};
use clip_runtime::Clip;
use clip_testkit::Values;
use clip_testkit::cases::{Array, Reference};

const TOLERANCE: f32 = 1e-5;

fn options(replace: bool) -> Options {
    Options { model: "tiny".to_owned(), replace, ..Options::default() }
}

fn clip_export(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_clip-export")).args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < TOLERANCE, "{what}: {found} for {expected}");
    }
}

/// Exports what `checkpoint` wrote, and compares embeddings of pictures and texts with plain loops over its tensors.
fn exported_model_computes_what_the_checkpoint_says(format: WeightFormat) {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(tiny(root.path(), format, |_| ())).unwrap();
    let folder = root.path().join("model");
    let manifest = export(&checkpoint, &folder, &options(false), &mut |_| {}).unwrap();
    assert_eq!(manifest, Manifest::read(&folder).unwrap());

    let tensors = summarize(&config()).tensors.into_iter().map(|Tensor { name, shape, .. }| {
        let data = checkpoint.tensor(&name).unwrap().to_f32().unwrap();
        Values { name, shape, data }
    });
    let tensors: Vec<Values> = tensors.collect();
    let reference = Reference::new(&tensors);
    let clip = Clip::open(&folder).unwrap();

    let picture =
        |n: usize| Image::new(20, 31, (0..20 * 31 * 3).map(|i| (i * n % 251) as u8).collect()).unwrap();
    let pictures = [picture(1), picture(7), picture(13)];
    let found = clip.encode_images(&pictures).unwrap();
    for (i, picture) in pictures.iter().enumerate() {
        let mut pixels = vec![0.0; 3 * 16 * 16];
        manifest.preprocess.apply(picture, &mut pixels).unwrap();
        let expected = clip::encode_image(&reference, &config(), &Array::new(&[3, 16, 16], pixels));
        assert_close(found.row(i), &expected.data, &format!("picture {i}"));
    }

    let texts = ["", "a red car", "two blue cars, and so many more words that they do not fit"];
    let found = clip.encode_texts(&texts).unwrap();
    for (i, text) in texts.iter().enumerate() {
        let ids = vocabulary().encode(text, 12);
        let ids = Array::new(&[ids.len()], ids.into_iter().map(|id| id as f32).collect());
        assert_close(found.row(i), &clip::encode_text(&reference, &config(), &ids).data, text);
    }
}

#[test]
fn single_precision_weights_are_copied() {
    exported_model_computes_what_the_checkpoint_says(WeightFormat::Fp32);
}

#[test]
fn half_precision_weights_are_widened() {
    exported_model_computes_what_the_checkpoint_says(WeightFormat::Fp16);
}

#[test]
fn the_manifest_says_everything() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(tiny(root.path(), WeightFormat::Fp32, |_| ())).unwrap();
    let folder = root.path().join("model");
    let mut steps = Vec::new();
    let found = export(&checkpoint, &folder, &options(false), &mut |step| steps.push(step)).unwrap();
    assert_eq!(entries(&folder), ["clip.json", "text.onnx", "tokenizer.json", "visual.onnx"]);
    assert_eq!((found.model.as_str(), found.embed_dim), ("tiny", 8));
    assert!((found.logit_scale - 2f32.exp()).abs() < 1e-5);
    assert_eq!(found.preprocess, checkpoint.preprocess);
    let (image, text, tokenizer) = (found.image.unwrap(), found.text.unwrap(), found.tokenizer.unwrap());
    assert_eq!(tokenizer.context_length, 12);
    // The checkpoint is in OpenCLIP's layout and has a tokenizer of its own.
    assert_eq!(tokenizer.clean, Some(Cleaning::Whitespace));
    assert_eq!((image.input.name.as_str(), text.input.name.as_str()), ("image", "ids"));
    assert_eq!((image.input.element, text.input.element), (Element::Float32, Element::Int32));
    for (file, hash) in
        [(&image.file, &image.sha256), (&text.file, &text.sha256), (&tokenizer.file, &tokenizer.sha256)]
    {
        manifest::verified(&folder, file, hash).unwrap();
    }
    let size = |file: &str| std::fs::metadata(folder.join(file)).unwrap().len();
    for file in ["visual.onnx", "text.onnx"] {
        let size = size(file);
        assert!(steps.iter().any(|s| matches!(s, Step::Write { file: f, done: 0, .. } if *f == file)));
        assert!(
            steps
                .iter()
                .any(|s| matches!(s, Step::Write { done, size: s, .. } if *done == size && *s == size))
        );
    }
    assert_eq!(steps.last(), Some(&Step::Trial));
}

#[test]
fn the_same_checkpoint_gives_the_same_files() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(tiny(root.path(), WeightFormat::Fp32, |_| ())).unwrap();
    let folder = root.path().join("model");
    let first = export(&checkpoint, &folder, &options(false), &mut |_| {}).unwrap();
    assert_eq!(export(&checkpoint, &folder, &options(true), &mut |_| {}).unwrap(), first);
}

#[test]
fn a_model_that_gives_no_embeddings_is_not_kept() {
    let root = tempfile::tempdir().unwrap();
    let spoil = |values: &mut Values| {
        if values.name == "text_projection" {
            values.data[0] = f32::NAN;
        }
    };
    let checkpoint = Checkpoint::open(tiny(root.path(), WeightFormat::Fp32, spoil)).unwrap();
    let folder = root.path().join("model");
    let error = export(&checkpoint, &folder, &options(false), &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Trial(_)), "{error:?}");
    assert_eq!(entries(root.path()), ["checkpoint"], "nothing is left behind");
}

#[test]
fn the_command_does_not_keep_it_either() {
    let root = tempfile::tempdir().unwrap();
    let spoil = |values: &mut Values| values.data[0] = f32::NAN;
    let spoil = |values: &mut Values| {
        if values.name == "visual.proj" {
            spoil(values)
        }
    };
    let checkpoint = tiny(root.path(), WeightFormat::Fp32, spoil);
    let refused = clip_export(&[&checkpoint, Path::new("-o"), &root.path().join("model")]);
    assert_eq!(refused.status.code(), Some(1));
    let message = stderr(&refused);
    assert!(message.contains("trial run") && message.contains("visual.onnx gave an embedding"), "{message}");
    assert_eq!(entries(root.path()), ["checkpoint"]);
}

#[test]
fn an_unusable_logit_scale_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let spoil = |values: &mut Values| {
        if values.name == "logit_scale" {
            values.data[0] = 1000.0;
        }
    };
    let checkpoint = Checkpoint::open(tiny(root.path(), WeightFormat::Fp32, spoil)).unwrap();
    let error = export(&checkpoint, root.path().join("model"), &options(false), &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Checkpoint(clip_checkpoint::Error::Config(_))), "{error:?}");
    assert_eq!(entries(root.path()), ["checkpoint"]);
}

#[test]
fn the_command_prints_the_folder_or_json_and_refuses_to_overwrite() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = tiny(root.path(), WeightFormat::Fp32, |_| ());
    let folder = root.path().join("deep/model");
    let (output, json, force) = (Path::new("-o"), Path::new("--json"), Path::new("--force"));

    let made = clip_export(&[&checkpoint, output, &folder]);
    assert!(made.status.success(), "{}", stderr(&made));
    assert_eq!(String::from_utf8(made.stdout.clone()).unwrap(), format!("{}\n", folder.display()));
    assert!(stderr(&made).contains("visual.onnx"), "{}", stderr(&made));

    let refused = clip_export(&[&checkpoint, output, &folder]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stdout.is_empty());
    assert!(
        stderr(&refused).contains("exists already") && stderr(&refused).contains("--force"),
        "{}",
        stderr(&refused)
    );

    let forced = clip_export(&[&checkpoint, output, &folder, force, json]);
    assert!(forced.status.success(), "{}", stderr(&forced));
    let printed: serde_json::Value = serde_json::from_slice(&forced.stdout).unwrap();
    assert_eq!(printed["folder"], folder.display().to_string());
    assert_eq!(printed["manifest"]["model"], "checkpoint");
    assert_eq!(entries(&root.path().join("deep")), ["model"]);

    let photos = root.path().join("photos");
    std::fs::create_dir(&photos).unwrap();
    let refused = clip_export(&[&checkpoint, output, &photos, force]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("no model folder"), "{}", stderr(&refused));
}

#[test]
fn a_checkpoint_is_written_in_another_layout() {
    let root = tempfile::tempdir().unwrap();
    let original = tiny(root.path(), WeightFormat::Fp32, |_| ());
    let (output, to) = (Path::new("-o"), Path::new("--to"));
    let (hf, back) = (root.path().join("hf"), root.path().join("back"));
    let made = clip_export(&[&original, output, &hf, to, Path::new("hf")]);
    assert!(made.status.success(), "{}", stderr(&made));
    assert_eq!(String::from_utf8(made.stdout.clone()).unwrap(), format!("{}\n", hf.display()));
    let files = ["config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"];
    assert_eq!(entries(&hf), [&files[..], &["tokenizer_config.json"]].concat());
    let made = clip_export(&[&hf, output, &back, to, Path::new("open-clip"), Path::new("--json")]);
    let printed: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(printed["layout"], "open-clip");
    let (before, after) = (Checkpoint::open(&original).unwrap(), Checkpoint::open(&back).unwrap());
    assert_eq!((&after.config, &after.preprocess), (&before.config, &before.preprocess));
    for Tensor { name, .. } in summarize(&config()).tensors {
        let value = |c: &Checkpoint| c.tensor(&name).unwrap().to_f32().unwrap();
        assert_eq!(value(&after), value(&before), "{name}");
    }
    let again = clip_export(&[&original, output, &hf, to, Path::new("hf")]);
    assert!(
        stderr(&again).contains("cannot write the checkpoint as hf: cannot create"),
        "{}",
        stderr(&again)
    );
    assert_eq!(entries(root.path()), ["back", "checkpoint", "hf"]);
}

#[test]
fn weights_alone_ask_for_their_activation() {
    let root = tempfile::tempdir().unwrap();
    let weights = tiny(root.path(), WeightFormat::Fp32, |_| ()).join(clip_checkpoint::WEIGHTS);
    let refused = clip_export(&[&weights, Path::new("-o"), &root.path().join("model")]);
    assert!(
        stderr(&refused).contains("state which one (clip-export: --gelu or --quickgelu)"),
        "{}",
        stderr(&refused)
    );
    let both = clip_export(&[
        &weights,
        Path::new("-o"),
        Path::new("x"),
        Path::new("--gelu"),
        Path::new("--quickgelu"),
    ]);
    assert_eq!(both.status.code(), Some(2), "{}", stderr(&both));
}

#[test]
fn bad_checkpoints_are_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    let (nowhere, model) = (root.path().join("nowhere"), root.path().join("model"));
    let refused = clip_export(&[&nowhere, Path::new("-o"), &model]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("nowhere"), "{}", stderr(&refused));

    let checkpoint = tiny(root.path(), WeightFormat::Fp32, |_| ());
    let weights = checkpoint.join(clip_checkpoint::WEIGHTS);
    let whole = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &whole[..whole.len() - 1]).unwrap();
    let refused = clip_export(&[&checkpoint, Path::new("-o"), &model]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("not a well-formed safetensors"), "{}", stderr(&refused));
    assert_eq!(entries(root.path()), ["checkpoint"]);
}

#[test]
fn a_missing_onnx_runtime_is_named_and_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = tiny(root.path(), WeightFormat::Fp32, |_| ());
    let refused = Command::new(env!("CARGO_BIN_EXE_clip-export"))
        .arg(&checkpoint)
        .arg("-o")
        .arg(root.path().join("model"))
        .env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so")
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("/nowhere/libonnxruntime.so"), "{}", stderr(&refused));
    assert_eq!(entries(root.path()), ["checkpoint"]);
}
