//! From checkpoint to label by engines of TensorRT: `clip-export --trt`, then `clip-run` and a C program, on a machine whose GPU and
//! TensorRT are doubles.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clip_testkit::doubles::{self, Doubles};
use serde_json::Value;
use tempfile::TempDir;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Where the programs and libclip.so are: this test is target/release/deps/engines-0123456789abcdef.
fn built() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
}

/// A machine, and a folder with what is made on it.
struct Machine {
    doubles: Doubles,
    folder: TempDir,
}

impl Machine {
    fn new() -> Option<Machine> {
        Some(Machine { doubles: doubles::build()?, folder: tempfile::tempdir().unwrap() })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, program: impl AsRef<Path>, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let program = built().join(program);
        assert!(program.exists(), "{} is missing: run `cargo build --release` first", program.display());
        let mut command = Command::new(program);
        self.doubles.environment(&mut command);
        command.args(arguments).current_dir(self.folder.path());
        command.env("XDG_CACHE_HOME", self.path("cache")).envs(variables.iter().copied());
        command.output().unwrap()
    }

    /// The C program of the examples.
    fn c_program(&self) -> PathBuf {
        let (program, built) = (self.folder.path().join("classify"), built());
        let mut cc = Command::new(std::env::var_os("CC").unwrap_or("cc".into()));
        cc.arg("-I").arg(repository().join("include")).arg(repository().join("examples/c/classify.c"));
        cc.arg("-o").arg(&program).arg("-L").arg(&built).arg("-lclip");
        cc.arg(format!("-Wl,-rpath,{}", built.display()));
        assert!(cc.status().unwrap().success());
        program
    }
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
fn refused(output: &Output, parts: &[&str]) {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for part in parts {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
}

/// Labels and probabilities of `clip-run classify --json`, for each picture.
fn labels(output: &Output) -> Vec<Vec<(String, f64)>> {
    let of = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let labels = line["labels"].as_array().unwrap_or_else(|| panic!("{line}")).clone();
        labels
            .iter()
            .map(|l| (l["label"].as_str().unwrap().into(), l["probability"].as_f64().unwrap()))
            .collect()
    };
    succeeded(output).lines().map(of).collect()
}

#[test]
fn engines_are_built_and_classify_as_their_graphs_do() {
    let Some(machine) = Machine::new() else { return };
    let checkpoint = repository().join("models/emoji-tiny");
    let mut arguments = vec![checkpoint.to_str().unwrap(), "-o", "engine", "--trt", "fp16"];
    arguments.extend(["--trt-encoders", "both"]);
    let output = machine.run("clip-export", &arguments, &[]);
    succeeded(&output);

    let info = machine.run("clip-run", &["info", "engine", "--json"], &[]);
    let info: Value = serde_json::from_str(&succeeded(&info)).unwrap();
    for (tower, file) in [("image", "engine/visual.plan"), ("text", "engine/text.plan")] {
        let runs = &info["runs_on"][tower];
        assert_eq!((&runs["engine"], &runs["device"]), (&"TensorRT".into(), &"cuda:0".into()), "{info}");
        assert_eq!((&runs["file"], &runs["verified"]), (&file.into(), &true.into()), "{info}");
    }
    let text = succeeded(&machine.run("clip-run", &["info", "engine"], &[]));
    assert!(
        text.contains("image engine TensorRT 11.4.0, CUDA device 0 (") && !text.contains("unverified"),
        "{text}"
    );

    let mut pictures: Vec<_> = std::fs::read_dir(repository().join("examples/images")).unwrap().collect();
    pictures.retain(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "png"));
    let pictures: Vec<String> =
        pictures.iter().map(|entry| entry.as_ref().unwrap().path().to_str().unwrap().to_owned()).collect();
    assert!(!pictures.is_empty());
    let mut arguments = vec!["classify", "engine", "--json", "--top", "3"];
    arguments.extend(["--labels", "cat,dog,red heart,airplane,pizza"]);
    arguments.extend(pictures.iter().map(String::as_str));
    let output = machine.run("clip-run", &arguments, &[]);
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
    let by_plan = labels(&output);
    let by_graph = labels(&machine.run("clip-run", &[&arguments[..], &["--engine", "onnx"]].concat(), &[]));
    assert_eq!(by_plan.len(), pictures.len());
    for (plan, graph) in by_plan.iter().flatten().zip(by_graph.iter().flatten()) {
        assert!(plan.0 == graph.0 && (plan.1 - graph.1).abs() < 1e-5, "{plan:?}, {graph:?}");
    }

    // The C program says the same.
    std::fs::write(machine.path("labels.txt"), "cat\ndog\nred heart\nairplane\npizza\n").unwrap();
    let mut arguments = vec!["engine", "labels.txt"];
    arguments.extend(pictures.iter().map(String::as_str));
    let program = machine.c_program();
    let said = succeeded(&machine.run(&program, &arguments, &[]));
    let lines: Vec<&str> = said.lines().collect();
    for (lines, found) in lines.chunks(4).zip(&by_plan) {
        for (line, (label, probability)) in lines[1..].iter().zip(found) {
            let shown = format!("{:.1} %", 100.0 * probability);
            assert!(line.contains(label) && line.contains(&shown), "{line}: {label} {shown}");
        }
    }

    // On another GPU it is refused from both, until it is built anew, which is done once.
    let orin = [("DOUBLE_CUDA_SM", "87")];
    let differs = "engine/visual.plan does not fit this machine: it was built for compute capability 8.6";
    refused(
        &machine.run("clip-run", &["info", "engine"], &orin),
        &[differs, "has 8.7. Build it anew of visual.onnx (--rebuild does that"],
    );
    refused(&machine.run(&program, &arguments, &orin), &[differs, "CLIP_ERROR_PLAN"]);
    let rebuild = ["classify", "engine", &pictures[0], "--labels", "cat,dog", "--rebuild"];
    let output = machine.run("clip-run", &rebuild, &orin);
    let noted = stderr(&output);
    assert!(succeeded(&output).contains("cat"), "{noted}");
    assert!(
        noted.contains("building an engine of engine/visual.onnx, to be kept for the next time"),
        "{noted}"
    );
    assert_eq!(noted.matches(".plan is unverified: it was built here").count(), 2, "{noted}");
    let again = stderr(&machine.run("clip-run", &rebuild, &orin));
    assert!(!again.contains("building"), "{again}");
}

#[test]
fn unverified_engines_are_named_and_what_is_missing_is_an_error() {
    let Some(machine) = Machine::new() else { return };
    let checkpoint = repository().join("models/emoji-tiny");
    let mut arguments = vec![checkpoint.to_str().unwrap(), "-o", "mixed", "--trt", "fp32"];
    arguments.extend(["--trt-encoders", "visual"]);
    succeeded(&machine.run("clip-export", &arguments, &[]));
    let manifest = machine.path("mixed/clip.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    assert!(text.contains("\"verified\": true"), "{text}");
    std::fs::write(&manifest, text.replace("\"verified\": true", "\"verified\": false")).unwrap();

    let embed = ["embed", "mixed", "--texts", "a cat", "-o", "texts.npy", "--force"];
    let output = machine.run("clip-run", &embed, &[]);
    succeeded(&output);
    let note = "mixed/visual.plan is unverified: run clip-export verify mixed on this device\n";
    assert_eq!(stderr(&output), note);
    let info = succeeded(&machine.run("clip-run", &["info", "mixed"], &[]));
    assert!(info.contains("unverified: run clip-export verify mixed on this device"), "{info}");
    assert!(info.contains("text engine  ONNX Runtime 1.") && info.contains("CPU: mixed/text.onnx"), "{info}");
    succeeded(&machine.run("clip-export", &["verify", "mixed"], &[]));
    let output = machine.run("clip-run", &embed, &[]);
    assert!(succeeded(&output).contains("texts.npy") && output.stderr.is_empty(), "{}", stderr(&output));

    let with = |more: &[&str], variables: &[(&str, &str)]| {
        machine.run("clip-run", &[&embed[..], more].concat(), variables)
    };
    refused(
        &with(&["--engine", "tensorrt"], &[]),
        &["mixed/text.onnx is an ONNX graph", "(--rebuild does that)"],
    );
    refused(
        &with(&["--engine", "onnx", "--device", "cuda:0"], &[]),
        &["CUDA device 0 was asked for", "without CUDA"],
    );
    refused(&with(&["--device", "cpu"], &[]), &["CPU was asked for, and TensorRT does not compute there"]);
    refused(
        &with(&[], &[("DOUBLE_CUDA_DEVICES", "0")]),
        &["there is no CUDA device 0: the driver finds no GPU"],
    );
    refused(
        &with(&["--trt-library", machine.folder.path().to_str().unwrap()], &[]),
        &["TensorRT was not found: ", "(--trt-library says where it is)"],
    );
    let output = with(&["--engine", "openvino"], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("expected \"onnx\", \"tensorrt\" or \"rtx\""), "{}", stderr(&output));
    // What runs no plan needs no GPU.
    succeeded(&with(&["--engine", "onnx"], &[("DOUBLE_CUDA_DEVICES", "0")]));
}
