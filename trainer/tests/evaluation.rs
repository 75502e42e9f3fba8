//! Evaluation on small made-up shards: what is measured while a run trains and by `--evaluate`, and what is said of the rest.

#![allow(clippy::unwrap_used)]

mod runs;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

use clip_checkpoint::Checkpoint;
use clip_trainer::objective::ObjectiveName;
use clip_trainer::train::train;
use clip_trainer::validate::{Evaluation, Figures, Validator};
use clip_trainer::{Error, Network, Precision};
use runs::{colours, job, shard, tar};
use serde_json::Value;
use tempfile::TempDir;

const SETTINGS: &str = "
    [model]
    embed_dim = 32
    vit = { image_size = 32, patch_size = 16, width = 32, layers = 2, head_width = 16 }
    text = { context_length = 16, vocab_size = 520, width = 32, heads = 2, layers = 2 }
    [data]
    tokenizer = \"train\"
    shuffle_buffer = 8
    [optim]
    batch = 16
    seed = 1
    steps = 60
    lr = 3e-3
    warmup = 5
    [eval]
    templates = [\"{}\", \"a picture of {}\"]
    [run]
    checkpoint_every = 1000
";

/// A run that has learnt some of the colours, and what it measured at its end on `all.tar`, `low.tar` and `high.tar`.
struct Trained {
    root: TempDir,
    evaluation: Evaluation,
}

fn trained() -> &'static Trained {
    static TRAINED: OnceLock<Trained> = OnceLock::new();
    TRAINED.get_or_init(|| {
        tch::set_num_threads(1);
        let root = tempfile::tempdir().unwrap();
        let all = shard(root.path(), "all.tar");
        let val = ["low.tar", "high.tar"].map(|name| {
            let numbers = if name == "low.tar" { 0..7 } else { 7..16 };
            tar(root.path(), name, colours(numbers))
        });
        let mut job = job(SETTINGS, &[all], &root.path().join("run"));
        job.val = val.to_vec();
        let evaluation = train(&job);
        Trained { root, evaluation: evaluation.unwrap() }
    })
}

/// What a library's user measures with.
fn measure(shards: &[PathBuf], change: impl FnOnce(&mut Validator)) -> Result<Evaluation, Error> {
    let checkpoint = Checkpoint::open(trained().root.path().join("run")).unwrap();
    let mut validator = Validator {
        preprocess: checkpoint.preprocess.clone(),
        tokenizer: checkpoint.tokenizer().unwrap(),
        templates: vec!["{}".parse().unwrap()],
        labels: None,
        objective: ObjectiveName::Contrastive,
        batch: 16,
        threads: 1,
        stop: || false,
    };
    change(&mut validator);
    let mut network = Network::load(&checkpoint, tch::Device::Cpu, Precision::Fp32).unwrap();
    validator.run(&mut network, shards)
}

/// `clip-train` in the folder of [`trained`], and what it said on standard error.
fn program(arguments: &[&str]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clip-train"));
    let output = command.args(["--threads", "1"]).args(arguments).current_dir(trained().root.path()).output();
    let output = output.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, errors)
}

#[test]
fn a_run_is_measured_while_it_trains_and_afterwards_alike() {
    let Trained { root, evaluation } = trained();
    let [low, high] = evaluation.shards.as_slice() else { panic!("{evaluation:?}") };
    let total = evaluation.total.as_ref().unwrap();
    assert_eq!(evaluation.templates, ["{}", "a picture of {}"]);
    assert_eq!((low.shard.as_str(), low.samples, low.classes, low.captions), ("low.tar", 7, 7, 14));
    assert_eq!((total.shard.as_str(), total.samples, total.classes, total.captions), ("total", 16, 16, 32));
    // Chance is 1 in 16; a larger choice is harder.
    assert!(total.top1.value > 0.2 && total.top5.value > total.top1.value, "{total}");
    assert!(total.top1.value <= low.top1.value.max(high.top1.value), "{evaluation:?}");
    for recall in [total.image_to_text, total.text_to_image] {
        assert!(0.1 < recall.r1.value && recall.r1.value < recall.r5.value, "{total}");
        assert!(recall.r5.value <= recall.r10.value, "{total}");
    }
    assert!(total.loss < 0.9 * 16f64.ln() && total.batch == 16, "{total}");
    assert!(
        low.loss < total.loss && low.batch == 7,
        "fewer pairs are told apart more easily: {evaluation:?}"
    );

    let log = std::fs::read_to_string(root.path().join("run/log.jsonl")).unwrap();
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    let written = serde_json::to_string(evaluation).unwrap();
    assert_eq!(log.lines().last().unwrap(), format!("{{\"step\":60,\"validation\":{written}}}"));

    let evaluate = ["--evaluate", "run", "--val", "low.tar", "high.tar", "--template", "{}", "--template"];
    let (output, errors) =
        program(&[&evaluate[..], &["a picture of {}", "--loss-batch", "16", "--json"]].concat());
    assert!(output.status.success(), "{errors}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["templates"], last["validation"]["templates"]);
    for (found, expected) in [(&found["shards"][1], high), (&found["total"], total)] {
        assert_eq!(
            (&found["shard"], &found["batch"]),
            (&expected.shard.as_str().into(), &expected.batch.into())
        );
        for (figure, value) in [
            ("loss", expected.loss),
            ("top1", expected.top1.value),
            ("image_to_text", expected.image_to_text.r5.value),
        ] {
            let number = found[figure]
                .as_f64()
                .or(found[figure]["value"].as_f64())
                .or(found[figure]["r5"]["value"].as_f64());
            assert!((number.unwrap() - value).abs() < 1e-4, "{figure}: {found} {expected}");
        }
    }
}

/// How a data set was cut into shards makes no difference to the total, not even where a batch of the loss lies across a cut.
#[test]
fn the_total_is_that_of_one_shard() {
    let paths = ["all.tar", "low.tar", "high.tar"].map(|name| trained().root.path().join(name));
    let smaller = |validator: &mut Validator| validator.batch = 5;
    let whole = measure(&paths[..1], smaller).unwrap();
    let parts = measure(&paths[1..], smaller).unwrap();
    assert_eq!(whole.shards.len(), 1);
    let (whole, parts) = (whole.total.unwrap(), parts.total.unwrap());
    assert!((whole.loss - parts.loss).abs() < 1e-5, "{whole} {parts}");
    assert_eq!(Figures { loss: 0.0, ..whole }, Figures { loss: 0.0, ..parts });
}

#[test]
fn only_samples_of_the_labels_count_and_the_others_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("labels.txt");
    std::fs::write(&labels, "colour number 3\ncolour number 9\ncolour number 12\nno colour\n").unwrap();
    let arguments = ["--evaluate", "run", "--val", "all.tar", "--labels-file", labels.to_str().unwrap()];
    let (output, errors) = program(&arguments);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("all.tar: 3 pictures, 6 captions, 4 classes"), "{said}{errors}");
    let why = "13 skipped: its first caption is none of the class names (13: 00, 01, 02, 04, 05, ...)";
    assert!(said.contains(why), "{said}");
    assert!(said.contains("in batches of 3 (chance 1.0986)"), "{said}");
    assert!(!said.contains("total"), "one shard is its own total: {said}");
}

#[test]
fn what_cannot_be_used_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = colours(0..4);
    files.push(("gone.txt".into(), b"a caption".to_vec()));
    files.push(("torn.png".into(), files[0].1[..60].to_vec()));
    files.push(("torn.txt".into(), b"half a picture".to_vec()));
    files.push(("mute.png".into(), files[0].1.clone()));
    let mixed = tar(folder.path(), "mixed.tar", files.clone());
    let path = mixed.to_str().unwrap();
    let (output, errors) = program(&["--evaluate", "run", "--val", path, "low.tar", "--json"]);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    for figures in [&found["shards"][0], &found["total"]] {
        assert_eq!(figures["skipped"], 3);
        let reasons = figures["reasons"].as_array().unwrap();
        let of = |reason: &str| reasons.iter().find(|r| r["reason"] == reason).unwrap();
        assert_eq!(
            (&of("it has no image")["count"], &of("it has no image")["first"][0]),
            (&1.into(), &"gone".into())
        );
        assert_eq!(of("it has no .txt file")["first"][0], "mute");
        let torn = of("its picture cannot be decoded")["first"][0].as_str().unwrap();
        assert!(torn.starts_with("torn (") && torn.len() > 10, "{torn}");
    }
    assert_eq!((&found["shards"][0]["samples"], &found["shards"][1]["skipped"]), (&4.into(), &0.into()));
    let (output, _) = program(&["--evaluate", "run", "--val", path, "low.tar"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.matches("3 skipped: its picture cannot be decoded (1: torn (").count(), 2, "{said}");
    assert!(said.contains("\ntotal: 11 pictures"), "{said}");

    // Without a single picture, the reasons are the error.
    let torn = tar(folder.path(), "torn.tar", files[9..11].to_vec());
    let error = measure(&[torn], |_| {}).unwrap_err();
    assert!(matches!(error, Error::NoPicture { .. }), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("torn.tar has no picture to validate on (1 skipped: its picture cannot"),
        "{message}"
    );
}

#[test]
fn templates_are_named_read_and_averaged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("templates.txt");
    std::fs::write(&file, "the {}\n").unwrap();
    let evaluate =
        ["--evaluate", "run", "--val", "low.tar", "--json", "--template", "cifar", "--templates-file"];
    let (output, errors) = program(&[&evaluate[..], &[file.to_str().unwrap()]].concat());
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{errors}"));
    let templates = found["templates"].as_array().unwrap();
    assert_eq!((templates.len(), &templates[18]), (19, &"the {}".into()));

    for (wrong, part) in [
        (
            &["--evaluate", "run", "--val", "low.tar", "--template", "imagnet"][..],
            "or name a list: imagenet, simple, cifar",
        ),
        (&["--evaluate", "run", "--val", "low.tar", "--loss-batch", "1"], "1 is not in 2.."),
        (&["--evaluate", "run"], "--val"),
        (&["--template", "{}", "--val", "low.tar"], "--evaluate"),
    ] {
        let (output, errors) = program(wrong);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(part), "{errors}");
    }
}

/// More pictures than are encoded at a time, with the undecodable ones among them, by any number of threads.
#[test]
fn many_pictures_are_read_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for copy in 0..20 {
        for (name, mut bytes) in colours(0..16) {
            if copy % 3 == 1 && name == "05.png" {
                bytes.truncate(60);
            }
            files.push((format!("{copy}-{name}"), bytes));
        }
    }
    let shards = [tar(folder.path(), "many.tar", files)];
    let [one, three] =
        [1, 3].map(|threads| measure(&shards, |validator| validator.threads = threads).unwrap());
    let total = one.total.as_ref().unwrap();
    assert_eq!((total.samples, total.skipped, total.classes), (313, 7, 16));
    assert_eq!(total.reasons.reasons()[0].first[1].split_once(' ').unwrap().0, "4-05");
    assert_eq!(one, three);
    // Each colour is as well known as in one copy of the data.
    let single = measure(&[trained().root.path().join("all.tar")], |_| {}).unwrap().total.unwrap();
    assert!((total.top1.value - single.top1.value).abs() < 0.02, "{total} {single}");
}
