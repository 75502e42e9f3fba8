//! What a model folder can be besides both encoders in float32: one encoder, other inputs, stored labels, weights beside
//! the graphs, one graph of both.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checkpoint;

use std::path::{Path, PathBuf};
use std::process::Command;

use checkpoint::{entries, tiny};
use clip_checkpoint::Checkpoint;
use clip_checkpoint::WeightFormat;
use clip_exporter::compare::Samples;
use clip_exporter::{Error, Form, Int8, Labels, Numbers, OPSETS, Options, Tower, export};
use clip_model::manifest::{DataFile, Element};
use clip_model::preprocess::Image;
use clip_model::{Manifest, manifest};
use clip_runtime::Clip;
use tempfile::TempDir;

/// A checkpoint, and folders exported from it.
struct Work {
    root: TempDir,
    checkpoint: Checkpoint,
}

impl Work {
    fn new() -> Work {
        let root = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::open(tiny(root.path(), WeightFormat::Fp32, |_| ())).unwrap();
        Work { root, checkpoint }
    }

    fn try_export(&self, name: &str, options: Options) -> Result<PathBuf, Error> {
        let folder = self.root.path().join(name);
        export(&self.checkpoint, &folder, &Options { model: "tiny".into(), ..options }, &mut |_| {})?;
        Ok(folder)
    }

    fn export(&self, name: &str, options: Options) -> (PathBuf, Clip) {
        let folder = self.try_export(name, options).unwrap();
        let clip = Clip::open(&folder).unwrap();
        (folder, clip)
    }
}

fn pictures() -> Vec<Image> {
    let picture = |n: usize| Image::new(20, 31, (0..20 * 31 * 3).map(|i| (i * n % 251) as u8).collect());
    (1..8).map(|n| picture(n).unwrap()).collect()
}

const TEXTS: [&str; 4] =
    ["", "a red car", "two blue cars", "many more words than those that fit into the context"];

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5, "{what}: {found} for {expected}");
    }
}

/// The folder gives the embeddings of the plain export, of whatever it encodes.
#[track_caller]
fn assert_same(clip: &Clip, plain: &Clip, what: &str) {
    if clip.manifest().image.is_some() {
        let [found, expected] = [clip, plain].map(|c| c.encode_images(&pictures()).unwrap());
        assert_close(found.as_slice(), expected.as_slice(), what);
    }
    if clip.manifest().text.is_some() {
        let [found, expected] = [clip, plain].map(|c| c.encode_texts(&TEXTS).unwrap());
        assert_close(found.as_slice(), expected.as_slice(), what);
    }
}

#[test]
fn one_encoder_alone_is_exported() {
    let work = Work::new();
    let (_, plain) = work.export("plain", Options::default());
    let (folder, clip) = work.export("visual", Options { only: Some(Tower::Image), ..Options::default() });
    assert_eq!(entries(&folder), ["clip.json", "visual.onnx"]);
    assert!(clip.manifest().text.is_none() && clip.manifest().tokenizer.is_none());
    assert_same(&clip, &plain, "visual");
    assert!(matches!(clip.encode_texts(&TEXTS), Err(clip_runtime::Error::Missing { .. })));

    let (folder, clip) = work.export("text", Options { only: Some(Tower::Text), ..Options::default() });
    assert_eq!(entries(&folder), ["clip.json", "text.onnx", "tokenizer.json"]);
    assert_same(&clip, &plain, "text");
}

#[test]
fn labels_are_stored_with_and_without_a_text_encoder() {
    let work = Work::new();
    let templates = vec!["a {}".parse().unwrap(), "two {}s".parse().unwrap()];
    let names = ["red car", "blue car", "road"];
    let labels = Some(Labels { labels: names.map(String::from).into(), templates: templates.clone() });
    for only in [None, Some(Tower::Image)] {
        let options = Options { only, labels: labels.clone(), ..Options::default() };
        let (folder, clip) = work.export(&format!("{only:?}"), options);
        let files = match only {
            None => &["clip.json", "labels.safetensors", "text.onnx", "tokenizer.json", "visual.onnx"][..],
            Some(_) => &["clip.json", "labels.safetensors", "visual.onnx"],
        };
        assert_eq!(entries(&folder), files);
        let stored = clip.stored_labels().unwrap();
        assert_eq!(stored.labels(), names);
        let (_, plain) = work.export(&format!("plain {only:?}"), Options::default());
        let set = plain.label_set(&names, &templates).unwrap();
        assert_close(stored.embeddings().as_slice(), set.embeddings().as_slice(), "labels");
        let [found, expected] = [(&clip, stored), (&plain, &set)]
            .map(|(clip, set)| clip.classify(&pictures()[3], set, 3).unwrap());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.index, expected.index);
            assert!((found.probability - expected.probability).abs() < 1e-5);
        }
    }
    assert!(work.export("none", Options::default()).1.stored_labels().is_none());
}

#[test]
fn the_same_labels_give_the_same_files() {
    let work = Work::new();
    let labels = Some(Labels { labels: vec!["red".into()], templates: vec![] });
    let folders =
        ["a", "b"].map(|n| work.export(n, Options { labels: labels.clone(), ..Options::default() }).0);
    let [a, b] = folders.map(|folder| Manifest::read(&folder).unwrap());
    assert_eq!(a, b);
}

#[test]
fn an_empty_list_of_labels_leaves_nothing() {
    let work = Work::new();
    let error = work.try_export("model", Options { labels: Some(Labels::default()), ..Options::default() });
    assert!(matches!(error, Err(Error::Labels(clip_runtime::Error::NoLabels))), "{error:?}");
    assert_eq!(entries(work.root.path()), ["checkpoint"]);
}

#[test]
fn bytes_are_normalised_inside() {
    let work = Work::new();
    let (_, plain) = work.export("plain", Options::default());
    let form = Form { bytes: true, ..Form::default() };
    let (_, clip) = work.export("bytes", Options { form, ..Options::default() });
    assert_eq!(clip.manifest().image.as_ref().unwrap().input.element, Element::Uint8);
    assert_same(&clip, &plain, "bytes");
}

#[test]
fn fixed_batches_are_filled_up() {
    let work = Work::new();
    let (_, plain) = work.export("plain", Options::default());
    for (batch, bytes) in [(1, false), (3, true), (9, false)] {
        let form = Form { batch: Some(batch), bytes, ..Form::default() };
        let (_, clip) = work.export(&format!("{batch}"), Options { form, ..Options::default() });
        assert_eq!(clip.manifest().text.as_ref().unwrap().batch, Some(batch));
        assert_same(&clip, &plain, &format!("batches of {batch}"));
    }
}

#[test]
fn a_folder_whose_graph_has_another_batch_is_refused() {
    let work = Work::new();
    let form = Form { batch: Some(3), ..Form::default() };
    let folder = work.try_export("model", Options { form, ..Options::default() }).unwrap();
    let path = folder.join(manifest::FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"batch\": 3", "\"batch\": 4")).unwrap();
    let message = Clip::open(&folder).unwrap_err().to_string();
    assert!(message.contains("[4, 3, 16, 16]") && message.contains("[3, 3, 16, 16]"), "{message}");
}

#[test]
fn every_operator_set_gives_the_same() {
    let work = Work::new();
    let (_, plain) = work.export("plain", Options::default());
    for opset in OPSETS {
        let form = Form { opset, ..Form::default() };
        let (_, clip) = work.export(&opset.to_string(), Options { form, ..Options::default() });
        assert_same(&clip, &plain, &format!("operator set {opset}"));
    }
}

#[test]
fn weights_lie_beside_the_graph_and_are_hashed() {
    let work = Work::new();
    let (_, plain) = work.export("plain", Options::default());
    let options = Options { external_data: true, combined: true, ..Options::default() };
    let (folder, clip) = work.export("external", options);
    assert_same(&clip, &plain, "external");
    let parts = ["clip.onnx", "text.onnx", "visual.onnx"];
    for file in parts {
        assert!(folder.join(format!("{file}.data")).exists(), "{file}");
        let length =
            |folder: &str| std::fs::metadata(work.root.path().join(folder).join(file)).unwrap().len();
        if file != "clip.onnx" {
            assert!(length("external") < length("plain"), "{file}");
        }
    }
    let image = clip.manifest().image.as_ref().unwrap();
    let DataFile { file, sha256 } = &image.data[0];
    assert_eq!(file, "visual.onnx.data");
    let path = manifest::verified(&folder, file, sha256).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let message = Clip::open(&folder).unwrap_err().to_string();
    assert!(message.contains("visual.onnx.data has sha256"), "{message}");
    // All of its files are known, so that it can be replaced.
    let options = Options { replace: true, ..Options::default() };
    work.try_export("external", options).unwrap();
    assert_eq!(entries(&folder), ["clip.json", "text.onnx", "tokenizer.json", "visual.onnx"]);
}

#[test]
fn contradictions_are_refused_before_anything_is_written() {
    let work = Work::new();
    let labels = Some(Labels { labels: vec!["a".into()], templates: vec![] });
    let form = |change: fn(&mut Form)| {
        let mut form = Form::default();
        change(&mut form);
        Options { form, ..Options::default() }
    };
    let text = Some(Tower::Text);
    let numbers = Numbers::Int8(Int8::default());
    let samples = Samples { images: pictures(), texts: TEXTS.map(str::to_owned).to_vec() };
    let cases = [
        (form(|f| f.opset = 16), "operator set 16 is not supported: choose 17 to 21"),
        (form(|f| f.opset = 22), "operator set 22"),
        (form(|f| f.batch = Some(0)), "a batch of 0"),
        (Options { combined: true, only: Some(Tower::Image), ..Options::default() }, "a combined graph"),
        (Options { combined: true, numbers, samples: Some(samples), ..Options::default() }, "not quantized"),
        (Options { numbers, ..Options::default() }, "int8 needs pictures like those"),
        (Options { only: text, ..form(|f| f.bytes = true) }, "packed bytes"),
        (Options { only: text, labels, ..Options::default() }, "labels"),
    ];
    for (options, part) in cases {
        let error = work.try_export("model", options).unwrap_err();
        let refused = matches!(error, Error::Conflict(_) | Error::Range { .. } | Error::FewSamples { .. });
        assert!(refused && error.to_string().contains(part), "{error}");
        // A library knows no command line.
        assert!(!error.to_string().contains("--"), "{error}");
    }
    assert_eq!(entries(work.root.path()), ["checkpoint"]);
}

#[test]
fn the_command_knows_them_all() {
    let work = Work::new();
    let root = work.root.path();
    let folder = root.join("model");
    std::fs::write(root.join("labels.txt"), "red car\n\nroad\n").unwrap();
    std::fs::write(root.join("templates.txt"), "the {}\n").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clip-export"));
        command.current_dir(root).args(["checkpoint", "-o", "model", "--force"]).args(arguments);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let all = "--only visual --uint8-input --batch 2 --opset 18 --external-data --labels labels.txt \
               --templates templates.txt --template";
    let (code, message) = run(&[&all.split(' ').collect::<Vec<_>>()[..], &["a {}"]].concat());
    assert_eq!(code, Some(0), "{message}");
    let found = ["clip.json", "labels.safetensors", "visual.onnx", "visual.onnx.data"];
    assert_eq!(entries(&folder), found);
    let clip = Clip::open(&folder).unwrap();
    assert_eq!(clip.stored_labels().unwrap().labels(), ["red car", "road"]);
    assert_eq!(run(&["--combined"]).0, Some(0));
    assert!(Path::new(&folder.join("clip.onnx")).exists());

    for (arguments, status, part) in [
        (&["--opset", "16"][..], 2, "operator set 16"),
        (&["--combined", "--only", "visual"], 2, "leave one of --combined and --only out"),
        (&["--only", "text", "--uint8-input"], 2, "leave one of --uint8-input and --only text out"),
        (&["--only", "text", "--labels", "labels.txt"], 2, "leave one of --labels and --only text out"),
        (&["--only", "audio"], 2, "audio"),
        (&["--template", "a {}"], 2, "--labels"),
        (&["--labels", "none.txt"], 1, "none.txt"),
        (&["--labels", "templates.txt", "--templates", "labels.txt"], 1, "labels.txt, line 1"),
    ] {
        let (code, message) = run(arguments);
        assert_eq!(code, Some(status), "{message}");
        assert!(message.contains(part), "{message}");
    }
}
