//! What `clip-run` and a C program say of engines that do not fit, are unverified or cannot be had, and `--rebuild`, on a machine
//! whose GPU and TensorRT are doubles.
//!
//! The programs are those in `target/release`: `cargo test --workspace` builds them before it runs this.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clip_testkit::doubles::{self, Doubles};
use clip_tests::repository;
use serde_json::Value;
use tempfile::TempDir;

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
        // Where cargo puts the library before it runs this; the one beside the programs may be older, or not there.
        let (program, built) = (self.folder.path().join("classify"), built().join("deps"));
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

#[test]
fn an_engine_of_another_gpu_is_refused_and_built_anew_once() {
    let Some(machine) = Machine::new() else { return };
    let checkpoint = repository().join("models/emoji-tiny");
    let mut arguments = vec![checkpoint.to_str().unwrap(), "-o", "engine", "--trt", "fp16"];
    arguments.extend(["--trt-encoders", "both"]);
    succeeded(&machine.run("clip-export", &arguments, &[]));
    let info = machine.run("clip-run", &["info", "engine", "--json"], &[]);
    let info: Value = serde_json::from_str(&succeeded(&info)).unwrap();
    for (tower, file) in [("image", "engine/visual.plan"), ("text", "engine/text.plan")] {
        let runs = &info["runs_on"][tower];
        assert_eq!((&runs["engine"], &runs["device"]), (&"TensorRT".into(), &"cuda:0".into()), "{info}");
        assert_eq!((&runs["file"], &runs["verified"]), (&file.into(), &true.into()), "{info}");
    }
    let text = succeeded(&machine.run("clip-run", &["info", "engine"], &[]));
    assert!(text.contains("image engine TensorRT 11.4.0, CUDA device 0 ("), "{text}");
    assert!(!text.contains("unverified"), "{text}");

    let orin = [("DOUBLE_CUDA_SM", "87")];
    let differs = "engine/visual.plan does not fit this machine: it was built for compute capability 8.6";
    refused(
        &machine.run("clip-run", &["info", "engine"], &orin),
        &[differs, "has 8.7. Build it anew of visual.onnx (--rebuild does that"],
    );
    let picture = repository().join("examples/images/apple.png");
    std::fs::write(machine.path("labels.txt"), "apple\nhouse\n").unwrap();
    // Without cargo's search path, in whose first folder an older libclip.so may lie.
    let alone = [orin[0], ("LD_LIBRARY_PATH", machine.doubles.folder.to_str().unwrap())];
    let in_c = machine.run(machine.c_program(), &["engine", "labels.txt", picture.to_str().unwrap()], &alone);
    refused(&in_c, &[differs, "CLIP_ERROR_PLAN"]);
    let rebuild = ["classify", "engine", picture.to_str().unwrap(), "--labels", "apple,house", "--rebuild"];
    let output = machine.run("clip-run", &rebuild, &orin);
    let noted = stderr(&output);
    assert!(succeeded(&output).contains("apple"), "{noted}");
    let building = "building an engine of engine/visual.onnx, to be kept for the next time";
    assert!(noted.contains(building), "{noted}");
    assert_eq!(noted.matches(".plan is unverified: it was built here").count(), 2, "{noted}");
    let output = machine.run("clip-run", &rebuild, &orin);
    assert!(succeeded(&output).contains("apple") && !stderr(&output).contains("building"), "{output:?}");

    // So is one that is damaged, or gone.
    let plan = machine.path("engine/visual.plan");
    let whole = std::fs::read(&plan).unwrap();
    std::fs::write(&plan, &whole[..whole.len() / 2]).unwrap();
    refused(&machine.run("clip-run", &["info", "engine"], &[]), &["engine/visual.plan has sha256"]);
    let output = machine.run("clip-run", &rebuild, &[]);
    assert!(succeeded(&output).contains("apple") && stderr(&output).contains(building), "{output:?}");
    std::fs::remove_file(&plan).unwrap();
    let output = machine.run("clip-run", &rebuild, &[]);
    assert!(succeeded(&output).contains("apple") && !stderr(&output).contains("building"), "{output:?}");
}

/// Ctrl-C ends the program at once: the plan is written when it is whole, and what waits for the build goes on.
#[test]
fn a_signal_ends_a_rebuild_and_leaves_nothing_half_written() {
    let Some(machine) = Machine::new() else { return };
    let checkpoint = repository().join("models/emoji-tiny");
    let arguments = [checkpoint.to_str().unwrap(), "-o", "graphs", "--only", "visual"];
    succeeded(&machine.run("clip-export", &arguments, &[]));
    // Who runs the tests may ignore signals, as nohup does, and hand that on.
    let mut command = Command::new("env");
    machine.doubles.environment(&mut command);
    command.arg("--default-signal=INT").arg(built().join("clip-run"));
    command.args(["info", "graphs", "--engine", "tensorrt", "--rebuild"]).current_dir(machine.folder.path());
    command.env("XDG_CACHE_HOME", machine.path("cache")).env("DOUBLE_TENSORRT_STEP_MS", "1000");
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert!(line.starts_with("building an engine of graphs/visual.onnx"), "{line}");
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2), "{status}");
    let plans = machine.folder.path().join("cache/libclip/plans");
    let left: Vec<_> = std::fs::read_dir(plans).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.len() == 1 && left[0].extension().is_some_and(|e| e == "lock"), "{left:?}");
    // Its lock went with it.
    let arguments = ["info", "graphs", "--engine", "tensorrt", "--rebuild"];
    assert!(succeeded(&machine.run("clip-run", &arguments, &[])).contains("TensorRT 11.4.0"));
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
    let output = with(&["--engine", "torch"], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output)
            .contains("expected \"onnx\", \"openvino\", \"openvino-bf16\", \"tensorrt\" or \"rtx\""),
        "{}",
        stderr(&output)
    );
    // What runs no plan needs no GPU.
    succeeded(&with(&["--engine", "onnx"], &[("DOUBLE_CUDA_DEVICES", "0")]));
}
