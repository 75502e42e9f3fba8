//! `clip-export` as a program among others: signals, standard output, names.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use clip_model::cases::parameter;
use clip_model::checkpoint::{Values, WEIGHTS, WeightFormat, write_into};
use clip_model::config::{Activation, ImageTower, TextTower, ViT};
use clip_model::openclip::OpenClip;
use clip_model::shapes::summarize;
use clip_model::{Config, Preprocess, Tokenizer};

/// A network with a text tower of so many numbers in each token's embedding.
fn config(width: usize) -> Config {
    Config {
        embed_dim: 8,
        image: ImageTower::ViT(ViT {
            image_size: 16,
            patch_size: 8,
            width: 16,
            layers: 1,
            head_width: 8,
            mlp_ratio: 2.0,
        }),
        text: TextTower { context_length: 12, vocab_size: 49408, width, heads: 2, layers: 1, mlp_ratio: 2.0 },
        activation: Activation::Gelu,
    }
}

/// A checkpoint of that size in `folder`.
fn checkpoint(folder: &Path, width: usize) -> PathBuf {
    let config = config(width);
    let tensors: Vec<Values> = summarize(&config).tensors.into_iter().map(parameter).collect();
    let preprocess = Preprocess { size: 16, ..Preprocess::default() };
    let openclip = OpenClip { config, preprocess, own_tokenizer: false };
    let path = folder.join("checkpoint");
    std::fs::create_dir(&path).unwrap();
    write_into(&path, &openclip, &Tokenizer::openai(), &tensors, 0, WeightFormat::Fp32).unwrap();
    path
}

fn clip_export(checkpoint: &Path, output: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clip-export"));
    command.arg(checkpoint).arg("-o").arg(output).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn entries(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn a_signal_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    // 120 MB, which take a while to be written.
    let checkpoint = checkpoint(root.path(), 600);
    let out = root.path().join("out");
    let mut signals = vec![("INT", 2), ("TERM", 15), ("HUP", 1)];
    let mut tries = 0;
    while let Some((signal, number)) = signals.pop() {
        // Who runs the tests may ignore signals, as nohup does, and hand that on.
        let mut command = Command::new("env");
        command.arg("--default-signal=INT,TERM,HUP").arg(env!("CARGO_BIN_EXE_clip-export"));
        command.arg(&checkpoint).arg("-o").arg(out.join("model")).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let since = Instant::now();
        while !out.exists() || entries(&out).is_empty() {
            assert!(since.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(1));
        }
        let kill = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        let status = child.wait().unwrap();
        // On a busy machine the export can be done before the signal is sent.
        if status.success() && tries < 30 {
            tries += 1;
            std::fs::remove_dir_all(&out).unwrap();
            signals.push((signal, number));
            continue;
        }
        assert!(kill.success());
        // A shell calls this 128 and the signal's number.
        assert_eq!(status.signal(), Some(number), "{status}");
        assert_eq!(entries(&out), Vec::<String>::new(), "after SIG{signal}");
    }
}

#[test]
fn a_finished_folder_is_named_when_standard_output_fails() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(root.path(), 16);
    let model = root.path().join("model");
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = clip_export(&checkpoint, &model).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let end = format!("error: {} is complete, but cannot write to standard output: ", model.display());
    assert!(stderr(&output).contains(&end), "{}", stderr(&output));
    assert!(model.join("clip.json").exists());

    let mut child = clip_export(&checkpoint, &model).arg("--force").spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0), "whoever read has seen enough");
}

#[test]
fn wrong_arguments_exit_with_2() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = root.path().join("checkpoint");
    let model = root.path().join("model");
    for name in ["", "  ", "two\nlines"] {
        let output = clip_export(&checkpoint, &model).args(["--name", name]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("the name of a model"), "{}", stderr(&output));
    }
    let output = clip_export(&checkpoint, Path::new("-")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("a folder cannot be written to standard output"), "{}", stderr(&output));
    assert_eq!(entries(root.path()), Vec::<String>::new());
}

#[test]
fn special_files_are_no_checkpoints() {
    let root = tempfile::tempdir().unwrap();
    let pipe = root.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (path, what) in [(Path::new("/dev/zero"), "is a device"), (&pipe, "is a named pipe")] {
        let output = clip_export(path, &root.path().join("model")).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(&output).starts_with("error: ") && stderr(&output).contains(what),
            "{}",
            stderr(&output)
        );
    }
    // Nor is what a checkpoint's name leads to.
    let checkpoint = checkpoint(root.path(), 16);
    std::fs::remove_file(checkpoint.join(WEIGHTS)).unwrap();
    std::os::unix::fs::symlink("/dev/zero", checkpoint.join(WEIGHTS)).unwrap();
    let output = clip_export(&checkpoint, &root.path().join("model")).output().unwrap();
    assert!(stderr(&output).contains("is a device"), "{}", stderr(&output));
}

#[test]
fn a_folder_whose_name_cannot_name_a_model_needs_another() {
    let root = tempfile::tempdir().unwrap();
    let odd = root.path().join("two\nlines");
    std::fs::rename(checkpoint(root.path(), 16), &odd).unwrap();
    let output = clip_export(&odd, &root.path().join("model")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("--name"), "{}", stderr(&output));
    let output = clip_export(&odd, &root.path().join("model")).args(["--name", "odd"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}
