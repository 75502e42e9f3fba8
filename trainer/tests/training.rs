//! Whole runs on small made-up shards: that they learn, resume, refuse and stop as promised.

#![allow(clippy::unwrap_used)]

mod runs;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use clip_checkpoint::{Checkpoint, Weights};
use clip_trainer::state::TRAINING;
use clip_trainer::train::train;
use clip_trainer::{Error, Job, Precision};
use runs::{RESNET, VIT, job, log, newest, output, program, settings, shard, tensors};

#[test]
fn learns_colours() {
    let root = tempfile::tempdir().unwrap();
    let shard = shard(root.path(), "colours.tar");
    let out = root.path().join("run");
    let toml = settings(VIT, "steps = 150\nlr = 3e-3\nwarmup = 10\nbatch = 16");
    let mut job = job(&toml.replace("batch = 8\n", ""), std::slice::from_ref(&shard), &out);
    job.val = vec![shard];
    job.settings.run.weights = clip_checkpoint::WeightFormat::Fp16;
    job.settings.run.checkpoint_every = 1000;
    train(&job).unwrap();

    let mut log = log(&out);
    // Whether it had to wait for data depends on what else the machine does.
    log.retain(|line| line["diagnosis"].is_null());
    let loss = |line: &serde_json::Value| line["loss"].as_f64().unwrap();
    assert_eq!(log.len(), 151, "150 steps and a validation");
    assert!(loss(&log[149]) < 0.7 * loss(&log[0]), "{} {}", log[0], log[149]);
    Checkpoint::open(&out).unwrap();
}

/// Killed at some moment and resumed, a run ends with the very bytes of the run that was left alone: weights, batch
/// norms' statistics, optimiser, position in the data and losses.
#[test]
fn a_killed_run_resumes_bit_for_bit() {
    let root = tempfile::tempdir().unwrap();
    let shards = [shard(root.path(), "a.tar"), shard(root.path(), "b.tar")];
    let config = root.path().join("train.toml");
    let text = settings(RESNET, "steps = 60\nlr = 1e-3\nwarmup = 5\nclip = 0.5");
    std::fs::write(&config, text.replace("[optim]", "[data.augment]\nrotation = 15.0\n[optim]")).unwrap();
    let (whole, broken) = (root.path().join("whole"), root.path().join("broken"));
    let arguments = |out: &'static str| {
        let mut words = vec!["--config", config.to_str().unwrap(), "-o", out, "--data"];
        words.extend(shards.iter().map(|s| s.to_str().unwrap()));
        words
    };
    let run = |out: &'static str, more: &[&str]| {
        let mut command = program(&[&arguments(out), more].concat());
        command.current_dir(root.path()).stdout(Stdio::null());
        command
    };
    assert!(run("whole", &[]).status().unwrap().success());

    let mut child = run("broken", &[]).stderr(Stdio::null()).spawn().unwrap();
    let lines = || std::fs::read_to_string(broken.join("log.jsonl")).unwrap_or_default().lines().count();
    while lines() < 7 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let reached = lines();
    assert!((7..60).contains(&reached), "killed after {reached} of 60 steps");
    // What was there at the last save opens, whenever the run was killed.
    Checkpoint::open(&broken).unwrap();

    assert!(run("broken", &["--resume"]).status().unwrap().success());
    assert_eq!(tensors(&newest(&whole).join(TRAINING)), tensors(&newest(&broken).join(TRAINING)));
    let file = clip_checkpoint::WEIGHTS;
    assert_eq!(tensors(&whole.join(file)), tensors(&broken.join(file)));
    let losses = |folder: &Path| -> Vec<String> {
        let lines = log(folder);
        let steps = lines.iter().filter(|line| line["loss"].is_f64());
        steps.map(|line| format!("{} {} {}", line["step"], line["loss"], line["lr"])).collect()
    };
    assert_eq!(losses(&whole), losses(&broken));
}

#[test]
fn folders_and_settings_that_do_not_fit_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let shards = [shard(root.path(), "a.tar")];
    let toml = settings(VIT, "steps = 2\nwarmup = 1");
    let out = root.path().join("run");
    let message = |job: &Job| train(job).unwrap_err().to_string();

    let mut first = job(&toml, &shards, &out);
    first.resume = true;
    assert!(message(&first).contains("no training state to resume from"));
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("notes.txt"), "mine").unwrap();
    first.resume = false;
    assert!(message(&first).contains("not empty"));
    std::fs::remove_file(out.join("notes.txt")).unwrap();
    train(&first).unwrap();
    assert!(matches!(train(&first), Err(Error::RunExists(_))));
    let config = root.path().join("train.toml");
    std::fs::write(&config, &toml).unwrap();
    let paths = [&config, &shards[0], &out].map(|path| path.to_str().unwrap());
    let (_, said) = output(&["--config", paths[0], "--data", paths[1], "-o", paths[2]]);
    assert!(said.contains("go on with it (--resume)"), "{said}");

    let mut changed = job(&toml, &[shard(root.path(), "b.tar")], &out);
    changed.resume = true;
    changed.settings.optim.lr = 0.125;
    let text = message(&changed);
    assert!(text.contains("optim.lr was 0.0005, now 0.125"), "{text}");
    assert!(text.contains("shards were a.tar, now b.tar"), "{text}");
    first.resume = true;
    train(&first).unwrap();

    let mut other = job(&settings(RESNET, "steps = 2\nwarmup = 1"), &shards, &root.path().join("other"));
    other.init = Some(out.clone());
    let text = message(&other);
    assert!(text.contains("image tower: a ViT in the checkpoint, a ResNet in [model]"), "{text}");
    let mut large = job(&toml, &shards, &root.path().join("large"));
    large.settings.data.tokenizer = "openai".into();
    assert!(message(&large).contains("49408 tokens, the text tower's vocab_size is 520"));
}

#[test]
fn starts_from_a_checkpoint_in_bf16() {
    let root = tempfile::tempdir().unwrap();
    let shards = [shard(root.path(), "a.tar")];
    let toml = settings(RESNET, "steps = 3\nlr = 1e-3\nwarmup = 1");
    let (first, second) = (root.path().join("first"), root.path().join("second"));
    train(&job(&toml, &shards, &first)).unwrap();
    let mut next = job(&toml, &shards, &second);
    next.init = Some(first.clone());
    next.settings.optim.precision = Precision::Bf16;
    // The vocabulary comes with the weights, so that this one is never opened.
    next.settings.data.tokenizer = "no/such/tokenizer.json".into();
    train(&next).unwrap();
    let vocabulary = |folder: &Path| std::fs::read(folder.join("tokenizer.json")).unwrap();
    assert_eq!(vocabulary(&first), vocabulary(&second));
    let file = clip_checkpoint::WEIGHTS;
    assert_ne!(tensors(&first.join(file)), tensors(&second.join(file)));
    assert!(log(&second)[..3].iter().all(|line| line["loss"].as_f64().is_some_and(f64::is_finite)));
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint() {
    let root = tempfile::tempdir().unwrap();
    let shards = [shard(root.path(), "a.tar")];
    let out = root.path().join("run");
    let error = train(&job(&settings(VIT, "steps = 9\nlr = 1e38\nwarmup = 0"), &shards, &out)).unwrap_err();
    assert!(matches!(error, Error::NotFinite { step: 2, .. }), "{error}");
    assert!(error.to_string().contains("lower lr"), "{error}");
    let state = Weights::open(newest(&out).join(TRAINING)).unwrap();
    assert_eq!(state.note("step"), Some("0"));
    let start = Checkpoint::open(&out).unwrap();
    assert!(start.tensor("visual.proj").unwrap().to_f32().unwrap().iter().all(|v| v.is_finite()));
}

#[test]
fn the_program_says_what_is_wrong_in_one_line() {
    let root = tempfile::tempdir().unwrap();
    let shard = shard(root.path(), "a.tar");
    let config = root.path().join("train.toml");
    std::fs::write(&config, settings(VIT, "steps = 2\nwarmup = 1\nmomentum = 0.9")).unwrap();
    let (config, shard) = (config.to_str().unwrap(), shard.to_str().unwrap());
    let out = root.path().join("run");
    let out = out.to_str().unwrap();
    let (run, errors) = output(&["--config", config, "--data", shard, "-o", out]);
    assert_eq!(run.status.code(), Some(1));
    assert!(errors.contains("train.toml") && errors.contains("unknown field `momentum`"), "{errors}");
    for (wrong, part) in [
        (["--device", "tpu"], "device tpu: not known"),
        (["-o", "-"], "a folder cannot be written to standard output"),
    ] {
        let arguments = ["--config", config, "--data", shard];
        let (run, errors) = output(&[&arguments, &wrong[..]].concat());
        assert_eq!(run.status.code(), Some(2), "{errors}");
        assert!(errors.contains(part), "{errors}");
    }
    let (run, errors) = output(&["--config", config]);
    assert_eq!(run.status.code(), Some(2), "{errors}");
}

#[test]
fn inputs_that_are_missing_or_special_leave_no_output_folder() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    let shard = shard(root.path(), "a.tar").to_str().unwrap().to_owned();
    let broken = path("broken.tar");
    let whole = std::fs::read(&shard).unwrap();
    std::fs::write(&broken, &whole[..whole.len() / 2]).unwrap();
    let pipe = path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let config = path("train.toml");
    std::fs::write(&config, settings(VIT, "steps = 2\nwarmup = 1")).unwrap();
    let (out, nowhere) = (path("run"), path("nowhere.tar"));
    let cases: [(&[&str], &str); 5] = [
        (&["--config", &config, "--data", &nowhere], "nowhere.tar"),
        (&["--config", &config, "--data", &broken], "truncated"),
        (&["--config", &config, "--data", &shard, "--val", &nowhere], "nowhere.tar"),
        (&["--config", &config, "--data", &shard, "--init", &nowhere], "nowhere.tar"),
        (&["--config", &pipe, "--data", &shard], "pipe is a named pipe"),
    ];
    for (arguments, part) in cases {
        let (run, errors) = output(&[arguments, &["-o", &out]].concat());
        assert_eq!(run.status.code(), Some(1), "{errors}");
        assert!(errors.starts_with("error: ") && errors.contains(part), "{errors}");
        assert!(!Path::new(&out).exists(), "{arguments:?}");
    }
    // A folder of the user's is left where it is.
    std::fs::create_dir(&out).unwrap();
    output(&["--config", &config, "--data", &nowhere, "-o", &out]);
    assert!(Path::new(&out).exists());
}
