//! `clip-export` as a program among others: signals, standard output, names.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checkpoint;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use checkpoint::entries;
use clip_checkpoint::{WEIGHTS, WeightFormat};
use clip_exporter::run::{Inputs, apart};
use clip_model::preprocess::Image;

fn clip_export(checkpoint: &Path, output: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clip-export"));
    command.arg(checkpoint).arg("-o").arg(output).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_signal_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    // 120 MB, which take a while to be written.
    let checkpoint = checkpoint::wide(root.path(), 1120);
    let out = root.path().join("out");
    let mut signals = vec![("INT", 2), ("TERM", 15), ("HUP", 1), ("QUIT", 3), ("XCPU", 24)];
    let mut tries = 0;
    while let Some((signal, number)) = signals.pop() {
        // Who runs the tests may ignore signals, as nohup does, and hand that on.
        let mut command = Command::new("env");
        command.arg("--default-signal=INT,TERM,HUP,QUIT,XCPU").arg(env!("CARGO_BIN_EXE_clip-export"));
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
        assert!(!out.exists(), "after SIG{signal}: {:?}", entries(&out));
    }
}

/// The first of several formats is complete, the second at work.
#[test]
fn a_signal_leaves_none_of_several_formats() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint::wide(root.path(), 560);
    let out = root.path().join("out");
    for there_before in [false, true] {
        let mut command = Command::new("env");
        command.arg("--default-signal=INT,TERM,HUP,QUIT,XCPU").arg(env!("CARGO_BIN_EXE_clip-export"));
        command.arg(&checkpoint).arg("-o").arg(&out).args(["--precision", "fp32,fp16"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "comparing with single precision"));
        let kill = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        assert_eq!(child.wait().unwrap().signal(), Some(15));
        match there_before {
            false => assert!(!out.exists(), "{:?}", entries(&out)),
            true => assert_eq!(entries(&out), Vec::<String>::new()),
        }
        std::fs::create_dir_all(&out).unwrap();
    }
}

/// Whether a process has ended within ten seconds; if not, it is ended.
fn ends(child: &mut Child) -> bool {
    let since = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if since.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

#[test]
fn the_process_that_runs_a_model_ends_with_the_one_that_asked() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint::tiny(root.path(), WeightFormat::Fp32, |_| ());
    let model = root.path().join("model");
    assert!(clip_export(&checkpoint, &model).output().unwrap().status.success());
    let mut command = Command::new(env!("CARGO_BIN_EXE_clip-export"));
    command.arg(apart::ARGUMENT).arg(&model).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // More runs than anybody will wait for.
    let image = Image::new(16, 16, vec![0; 3 * 16 * 16]).unwrap();
    let inputs = Inputs { images: vec![image], timed: usize::MAX, ..Inputs::default() };
    let mut lifeline = child.stdin.take().unwrap();
    inputs.write(&mut lifeline).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "it is not at work");
    // As when the other process is gone.
    drop(lifeline);
    assert!(ends(&mut child), "it goes on alone");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_finished_folder_is_named_when_standard_output_fails() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint::tiny(root.path(), WeightFormat::Fp32, |_| ());
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
    let checkpoint = checkpoint::tiny(root.path(), WeightFormat::Fp32, |_| ());
    std::fs::remove_file(checkpoint.join(WEIGHTS)).unwrap();
    std::os::unix::fs::symlink("/dev/zero", checkpoint.join(WEIGHTS)).unwrap();
    let output = clip_export(&checkpoint, &root.path().join("model")).output().unwrap();
    assert!(stderr(&output).contains("is a device"), "{}", stderr(&output));
}

#[test]
fn a_folder_whose_name_cannot_name_a_model_needs_another() {
    let root = tempfile::tempdir().unwrap();
    let odd = root.path().join("two\nlines");
    std::fs::rename(checkpoint::tiny(root.path(), WeightFormat::Fp32, |_| ()), &odd).unwrap();
    let output = clip_export(&odd, &root.path().join("model")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("--name"), "{}", stderr(&output));
    let output = clip_export(&odd, &root.path().join("model")).args(["--name", "odd"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}
