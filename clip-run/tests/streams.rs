//! `clip-run` between other programs: `-`, pipes, devices, readers that have gone, full disks, signals.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../runtime/tests/colours/mod.rs"]
mod colours;

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn clip_run(arguments: &[&dyn AsRef<OsStr>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clip-run"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The output for this standard input, which goes through a pipe.
fn with_input(arguments: &[&dyn AsRef<OsStr>], input: &[u8]) -> Output {
    let mut child = clip_run(arguments).stdin(Stdio::piped()).spawn().unwrap();
    // A program that reads none of it may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn refused(output: &Output, part: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", stderr(output));
    assert!(stderr(output).starts_with("error: ") && stderr(output).contains(part), "{}", stderr(output));
}

/// A bitmap of one red pixel.
fn red(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("red.bmp");
    let header = [58, 0, 54, 40, 1, 1, 1 | 24 << 16, 0, 0, 0, 0, 0, 0].map(u32::to_le_bytes).concat();
    std::fs::write(&path, [&b"BM"[..], &header, &[0, 0, 255, 0]].concat()).unwrap();
    path
}

#[test]
fn lists_come_from_standard_input_or_from_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let (model, red) = (colours::folder(), red(folder.path()));
    for from in ["-", "/dev/stdin", "/dev/fd/0"] {
        let arguments: [&dyn AsRef<OsStr>; 5] = [&"classify", &model, &red, &"--labels-file", &from];
        assert!(succeeded(&with_input(&arguments, b"blue\nred\n")).contains("%  red\n"), "{from}");
    }
    let templates: [&dyn AsRef<OsStr>; 7] =
        [&"classify", &model, &red, &"--labels", &"red", &"--templates-file", &"-"];
    succeeded(&with_input(&templates, b"a {}\n"));
    refused(&with_input(&templates, b"none\n"), "-, line 1: template");

    let file = folder.path().join("texts.npy");
    succeeded(&with_input(&[&"embed", &model, &"--texts-file", &"-", &"-o", &file], b"red\nblue\n"));
    let output = with_input(&[&"embed", &model, &"--texts-file", &"-", &"-o", &"-"], b"red\nblue\n");
    assert_eq!((output.stdout, output.stderr), (std::fs::read(&file).unwrap(), vec![]));

    let twice: [&dyn AsRef<OsStr>; 5] = [&"classify", &model, &"-", &"--labels-file", &"-"];
    assert_eq!(with_input(&twice, b"").status.code(), Some(2));
}

/// A test that hangs has failed.
fn at_once(mut command: Command) -> Output {
    let mut child = command.spawn().unwrap();
    let since = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if since.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("{command:?} did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

#[test]
fn devices_pipes_and_folders_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (model, red) = (colours::folder(), red(folder.path()));
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let output = folder.path().join("out.npy");
    for (special, what) in [
        (Path::new("/dev/zero"), "/dev/zero is a device"),
        (&pipe, "pipe is a named pipe"),
        (folder.path(), "is a folder"),
    ] {
        refused(&at_once(clip_run(&[&"classify", &model, &special, &"--labels", &"a"])), what);
        refused(&at_once(clip_run(&[&"classify", &model, &red, &"--labels-file", &special])), what);
        let templates: [&dyn AsRef<OsStr>; 7] =
            [&"classify", &model, &red, &"--labels", &"a", &"--templates-file", &special];
        refused(&at_once(clip_run(&templates)), what);
        refused(&at_once(clip_run(&[&"embed", &model, &"--texts-file", &special, &"-o", &output])), what);
    }
    let linked = colours::changed(|folder, _| {
        std::fs::remove_file(folder.join("visual.onnx")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.join("visual.onnx")).unwrap();
    });
    refused(&at_once(clip_run(&[&"info", &linked.path()])), "visual.onnx is a device");
}

#[test]
fn an_endless_standard_input_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut command =
        clip_run(&[&"classify", &colours::folder(), &red(folder.path()), &"--labels-file", &"-"]);
    command.stdin(File::open("/dev/zero").unwrap());
    refused(&at_once(command), "standard input has more than the 268435456 bytes");
}

#[test]
fn a_reader_that_has_gone_is_no_error_and_a_full_disk_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let (model, red) = (colours::folder(), red(folder.path()));
    let file = folder.path().join("out.npy");
    let commands: [&[&dyn AsRef<OsStr>]; 6] = [
        &[&"info", &model],
        &[&"info", &model, &"--json"],
        &[&"classify", &model, &red, &"--labels", &"a,b"],
        &[&"classify", &model, &red, &"--labels", &"a,b", &"--json"],
        &[&"embed", &model, &"--texts", &"a", &"-o", &file, &"--force"],
        &[&"embed", &model, &"--texts", &"a", &"-o", &"-"],
    ];
    for arguments in commands {
        let mut child = clip_run(arguments).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));

        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = clip_run(arguments).stdout(full).output().unwrap();
        refused(&output, "cannot write to standard output: No space left on device");
        let writes_a_file = arguments.iter().any(|argument| argument.as_ref() == file);
        assert_eq!(stderr(&output).contains("out.npy is written, but"), writes_a_file);
    }
    // Nor does it matter whether anybody reads the errors.
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = clip_run(&[&"info", &"/no/such/folder"]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(1));
}
