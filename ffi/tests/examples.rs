//! The camera's program of `examples/camera`, with files and a FIFO that give frames of one colour.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod programs;

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use programs::{alone, built, colours, repository, run};
use serde_json::Value;

const FLAGS: &str = "-O1 -Werror";
const RED: [u8; 3] = [250, 10, 10];
const GREEN: [u8; 3] = [10, 250, 10];
const BLUE: [u8; 3] = [10, 10, 250];

/// As `make -C examples/camera` makes it, with every warning an error. It is kept, so that it is made once.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ffi-camera");
    std::fs::create_dir_all(&folder).unwrap();
    let mut make = Command::new("make");
    make.arg("--directory").arg(repository().join("examples/camera")).arg(format!("CXXFLAGS={FLAGS}"));
    make.arg(format!("OUT={}", folder.display())).arg(format!("CLIP={}", built().display()));
    // Those of a make that runs this.
    make.env_remove("MAKEFLAGS").env_remove("PREFIX").env_remove("TARGET_ARCH");
    run(&mut make);
    folder.join("camera")
});

fn camera(arguments: &[&str]) -> Command {
    let mut command = alone(&*PROGRAM);
    command.arg("--model").arg(colours()).args(["--labels", "red,green,blue"]).args(arguments);
    command
}

/// The lines of `--headless`, without the last, which has the counts.
fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    let read = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    let mut lines: Vec<Value> = text.lines().map(read).collect();
    assert!(lines.pop().is_some_and(|last| last["done"] == lines.len()), "{text}");
    lines
}

fn labels(output: &Output) -> Vec<String> {
    lines(output).iter().map(|line| line["label"].as_str().unwrap_or("null").to_owned()).collect()
}

#[track_caller]
fn refused(command: &mut Command, status: i32, parts: &[&str]) -> Output {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{text}");
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    output
}

/// BT.601 of the limited range.
fn yuv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = [r, g, b].map(f64::from);
    let y = 16.0 + (65.481 * r + 128.553 * g + 24.966 * b) / 255.0;
    let u = 128.0 + (-37.797 * r - 74.203 * g + 112.0 * b) / 255.0;
    let v = 128.0 + (112.0 * r - 93.786 * g - 18.214 * b) / 255.0;
    [y, u, v].map(|value| value.round() as u8)
}

/// A frame of one colour as it lies in memory, 16 x 12 pixels; what pads its rows is no colour at all.
fn frame(format: &str, stride: usize, rgb: [u8; 3]) -> Vec<u8> {
    const HEIGHT: usize = 12;
    const WIDTH: usize = 16;
    let [y, u, v] = yuv(rgb);
    let row = |pattern: &[u8], pixels: usize, stride: usize| {
        let mut row = pattern.repeat(pixels);
        row.resize(stride, 0xAB);
        row
    };
    match format {
        "rgb" => row(&rgb, WIDTH, stride).repeat(HEIGHT),
        "yuyv" => row(&[y, u, y, v], WIDTH / 2, stride).repeat(HEIGHT),
        "nv12" => {
            [row(&[y], WIDTH, stride).repeat(HEIGHT), row(&[u, v], WIDTH / 2, stride).repeat(HEIGHT / 2)]
                .concat()
        }
        "i420" => {
            let half = |value| row(&[value], WIDTH / 2, stride / 2).repeat(HEIGHT / 2);
            [row(&[y], WIDTH, stride).repeat(HEIGHT), half(u), half(v)].concat()
        }
        _ => panic!("{format}"),
    }
}

#[test]
fn raw_frames_of_files_have_their_labels() {
    let folder = tempfile::tempdir().unwrap();
    for (format, stride, raw) in [
        ("rgb", 48, "rgb:16x12"),
        ("yuyv", 32, "yuyv:16x12"),
        ("nv12", 16, "nv12:16x12"),
        ("i420", 16, "i420:16x12"),
    ] {
        let path = folder.path().join("frames");
        std::fs::write(&path, [RED, BLUE, BLUE, GREEN].map(|rgb| frame(format, stride, rgb)).concat())
            .unwrap();
        let output = run(&mut camera(&["--headless", "--raw", raw, path.to_str().unwrap()]));
        assert_eq!(labels(&output), ["red", "blue", "blue", "green"], "{raw}");
        let lines = lines(&output);
        assert!(output.stderr.is_empty(), "{output:?}");
        for (number, line) in lines.iter().enumerate() {
            assert_eq!((&line["frame"], &line["changed"]), (&number.into(), &(number != 2).into()), "{line}");
            assert_eq!(line["dropped"], 0, "{line}");
            assert!(line["probability"].as_f64().unwrap() > 0.9, "{line}");
            assert!(
                line["latency_ms"].as_f64().unwrap() > 0.0 && line["timestamp"].as_f64().unwrap() > 0.0,
                "{line}"
            );
        }
    }
}

#[test]
fn labels_are_held_smoothed_and_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frames");
    std::fs::write(&path, [RED, RED, BLUE, RED, BLUE, BLUE].map(|rgb| frame("rgb", 48, rgb)).concat())
        .unwrap();
    let with = |arguments: &[&str]| {
        let mut command = camera(&["--headless", "--raw", "rgb:16x12", path.to_str().unwrap()]);
        labels(&run(command.args(arguments)))
    };
    assert_eq!(with(&["--hold", "2"]), ["null", "red", "red", "red", "red", "blue"]);
    // What is held has its own probability, not that of the best.
    let mut held = camera(&["--headless", "--hold", "2", "--raw", "rgb:16x12", path.to_str().unwrap()]);
    let probabilities: Vec<f64> =
        lines(&run(&mut held)).iter().map(|line| line["probability"].as_f64().unwrap()).collect();
    assert!(probabilities[1] > 0.9 && probabilities[2] < 0.1 && probabilities[3] > 0.9, "{probabilities:?}");
    assert_eq!(with(&["--smoothing", "0.9"]), ["red"; 6]);
    assert_eq!(with(&["--threshold", "1"]), ["null"; 6]);
    assert_eq!(with(&["--frames", "2"]), ["red", "red"]);
}

#[test]
fn a_line_of_text_says_what_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frames");
    std::fs::write(&path, [RED, RED, BLUE].map(|rgb| frame("rgb", 48, rgb)).concat()).unwrap();
    let output = run(&mut camera(&["--raw", "rgb:16x12", path.to_str().unwrap()]));
    let text = String::from_utf8(output.stdout).unwrap();
    let said: Vec<&str> = text.lines().collect();
    assert!(said.len() == 3 && said[0].starts_with("red ") && said[1].starts_with("blue "), "{text}");
    assert!(said[0].contains(" ms") && said[2].starts_with("3 frames, 3 classified, 0 dropped"), "{text}");
}

/// On a terminal, that of `script` here, the line is written over.
#[test]
fn a_terminal_s_line_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frames");
    std::fs::write(&path, [RED, GREEN, BLUE].map(|rgb| frame("rgb", 48, rgb)).concat()).unwrap();
    let program = camera(&["--raw", "rgb:16x12", path.to_str().unwrap()]);
    let words = std::iter::once(program.get_program()).chain(program.get_args());
    let line = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect::<Vec<_>>().join(" ");
    let output = alone("script").args(["--quiet", "--return", "--command", &line, "/dev/null"]).output();
    let Ok(output) = output else {
        println!("skipped: there is no script (Debian's package bsdutils)");
        return;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let names: Vec<&str> =
        text.split("\r\u{1b}[K").filter_map(|part| part.split(' ').next()).skip(1).collect();
    assert_eq!(names, ["red", "green", "blue"], "{text:?}");
    assert!(output.status.success() && text.contains("\n3 frames, 3 classified, 0 dropped"), "{text:?}");
}

/// Frames come much faster than the model takes them; each is classified or counted as dropped.
#[test]
fn frames_that_are_dropped_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frames");
    std::fs::write(&path, frame("rgb", 48, RED).repeat(3000)).unwrap();
    for policy in ["oldest", "newest"] {
        let all = ["--policy", policy, "--raw", "rgb:16x12", path.to_str().unwrap()];
        let text = String::from_utf8(run(&mut camera(&all)).stdout).unwrap();
        let numbers: Vec<u64> =
            text.lines().last().unwrap().split(' ').filter_map(|word| word.parse().ok()).collect();
        let [pushed, classified, dropped] = numbers[..3] else { panic!("{text}") };
        assert!(pushed == 3000 && classified + dropped == pushed && dropped > 0, "{text}");
        let seen = lines(&run(camera(&all).arg("--headless")));
        let numbers: Vec<u64> = seen.iter().map(|line| line["frame"].as_u64().unwrap()).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    }
}

#[test]
fn what_cannot_be_used_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frames");
    std::fs::write(&path, &frame("rgb", 48, RED)[1..]).unwrap();
    let path = path.to_str().unwrap();
    let cut = ["ends within a frame, 575 of 576 bytes"];
    refused(&mut camera(&["--raw", "rgb:16x12", path]), 1, &cut);
    refused(&mut camera(&["--raw", "rgb:16x12", "none"]), 1, &["none cannot be read"]);
    refused(&mut camera(&["--raw", "p010:16x12", path]), 2, &["--raw p010:16x12: write FORMAT"]);
    refused(&mut camera(&["--raw", "rgb:16", path]), 2, &["such as nv12:1920x1080"]);
    refused(&mut camera(&[]), 2, &["name one source"]);
    refused(&mut camera(&["--hold", "0"]), 2, &["--hold 0: write a number from 1"]);
    refused(&mut camera(&["--smoothing", "nan"]), 2, &["--smoothing nan"]);
    refused(&mut camera(&["--labels", "red,,blue"]), 2, &["--labels red,,blue: label 2 is empty"]);
    refused(&mut camera(&["--policy", "wait"]), 2, &["write newest, oldest or block"]);
    refused(&mut camera(&["--what"]), 2, &["there is no option --what"]);
    refused(&mut alone(&*PROGRAM), 2, &["--model is missing"]);
    refused(alone(&*PROGRAM).args(["--model", "none", "--pictures", path]), 1, &["none", "CLIP_ERROR"]);
}

/// A FIFO that nobody closes; Ctrl-C comes while the program waits for its next frame.
#[test]
fn ctrl_c_ends_it_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    run(Command::new("mkfifo").arg(&fifo));
    // A background job's children ignore SIGINT.
    let mut command = alone("env");
    let program = camera(&["--headless", "--raw", "nv12:16x12", fifo.to_str().unwrap()]);
    command.args(["--default-signal=INT"]).arg(program.get_program()).args(program.get_args());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
    let mut writer = File::options().write(true).open(&fifo).unwrap();
    // In two parts, as a pipe gives them.
    let bytes = [frame("nv12", 16, BLUE), frame("nv12", 16, RED)].concat();
    for part in bytes.chunks(100) {
        writer.write_all(part).unwrap();
        writer.flush().unwrap();
    }
    let mut read = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    for _ in 0..2 {
        std::io::BufRead::read_line(&mut stdout, &mut read).unwrap();
    }
    assert!(read.contains("\"blue\"") && read.contains("\"red\""), "{read}");
    run(Command::new("kill").args(["-INT", &child.id().to_string()]));
    assert!(ends(&mut child).success(), "{child:?}");
    drop(writer);
}

/// Also where no frame comes.
#[test]
fn it_ends_after_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    run(Command::new("mkfifo").arg(&fifo));
    let mut command =
        camera(&["--seconds", "0.3", "--headless", "--raw", "nv12:16x12", fifo.to_str().unwrap()]);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    assert!(ends(&mut child).success(), "{child:?}");
}

/// Waits for ten seconds at most.
fn ends(child: &mut Child) -> std::process::ExitStatus {
    for _ in 0..200 {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    panic!("it did not end");
}
