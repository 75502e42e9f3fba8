//! `clip-export --trt`: engines of TensorRT-RTX, which needs no GPU, and what is refused without one.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

mod checkpoint;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use checkpoint::entries;
use clip_checkpoint::WeightFormat;
use clip_model::manifest::{Engine, Precision, Sizes};
use clip_model::{Manifest, files};

fn clip_export(checkpoint: &Path, output: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clip-export"));
    command.arg(checkpoint).arg("-o").arg(output).args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether TensorRT-RTX is there; a message where it is not.
fn has_rtx() -> bool {
    let library =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../.deps/tensorrt/tensorrt_rtx_libs/libtensorrt_rtx.so.1");
    let there = Path::new(library).exists();
    if !there {
        eprintln!("skipped: there is no TensorRT-RTX, `make .deps/tensorrt` brings it");
    }
    there
}

/// Pictures and captions to calibrate on, as options.
fn calibration(folder: &Path) -> Vec<String> {
    let pictures = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/images");
    let captions = folder.join("captions.txt");
    std::fs::write(&captions, "a red car\na blue car\ntwo red cars\na blue road\na car on a road\nred\n")
        .unwrap();
    let texts = captions.to_str().unwrap().to_owned();
    ["--calibration-images".to_owned(), pictures.to_owned(), "--calibration-texts".to_owned(), texts].to_vec()
}

#[test]
fn engines_for_rtx_are_built_in_every_format_and_described() {
    if !has_rtx() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint::tiny(root.path(), WeightFormat::Fp32, |_| ());
    let lenient = ["--min-cosine", "-1", "--min-mean-cosine", "-1", "--min-top1", "0"].map(str::to_owned);
    for (format, precision) in
        [("fp32", Precision::Fp32), ("fp16", Precision::Fp16), ("int8", Precision::Int8)]
    {
        let out = root.path().join(format);
        let mut arguments: Vec<String> =
            ["--rtx", "--sm", "86,120", "--trt", format, "--trt-batch", "1:2:4"].map(str::to_owned).to_vec();
        if precision == Precision::Int8 {
            arguments.extend(calibration(root.path()));
        }
        if precision != Precision::Fp32 {
            arguments.extend(lenient.clone());
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = clip_export(&checkpoint, &out, &arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        for part in ["TensorRT-RTX 1.7.1", "building visual.plan", "visual.plan: ", "unverified"] {
            assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
        }
        let manifest = Manifest::read(&out).unwrap();
        for encoder in [manifest.image.as_ref().unwrap(), manifest.text.as_ref().unwrap()] {
            let plan = encoder.plan().unwrap();
            assert_eq!((plan.family.as_str(), plan.version.as_str()), ("rtx-1.5-1.7", "1.7.1"));
            assert_eq!(plan.compute_capabilities, [86, 120]);
            assert_eq!(plan.batch, Sizes { min: 1, opt: 2, max: 4 });
            assert!(!plan.verified && encoder.precision == precision);
            assert!(plan.build.peak_memory > 1 << 20);
            assert_eq!(encoder.sha256, files::sha256(&out.join(&encoder.file)).unwrap());
            // The graph is the one that passed the trial run and the gate.
            assert_eq!(plan.graph.sha256, files::sha256(&out.join(&plan.graph.file)).unwrap());
        }
        // The context is shorter than the usual greatest length.
        let length = manifest.text.as_ref().unwrap().plan().unwrap().length;
        assert_eq!(length, Some(Sizes { min: 1, opt: 12, max: 12 }));
        assert!(
            ["visual.plan", "text.plan", "visual.onnx"].iter().all(|f| entries(&out).iter().any(|e| e == f))
        );
    }
    // A folder with plans is replaced like any other, and one encoder can be a plan alone.
    let arguments = ["--rtx", "--trt", "fp32", "--trt-encoders", "visual", "--force", "--trt-timing-cache"];
    let cache = root.path().join("timings");
    let out = root.path().join("fp32");
    let output = clip_export(&checkpoint, &out, &[&arguments[..], &[cache.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let manifest = Manifest::read(&out).unwrap();
    let (image, text) = (manifest.image.unwrap(), manifest.text.unwrap());
    assert!(image.plan().unwrap().compute_capabilities.is_empty(), "a portable one");
    assert_eq!(text.engine, Engine::Onnx {});
    assert!(!entries(&out).iter().any(|file| file == "text.plan"));
    assert!(cache.metadata().unwrap().len() > 0);
}

#[test]
fn what_cannot_be_built_is_refused_before_anything_is_written() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint::tiny(root.path(), WeightFormat::Fp32, |_| ());
    let out = root.path().join("out");
    let text = root.path().join("libnvinfer.so.10");
    std::fs::write(&text, "not a library").unwrap();
    let library = text.to_str().unwrap();
    let mut cases: Vec<(Vec<&str>, i32, &str)> = vec![
        (vec!["--trt", "fp16", "--trt-library", library], 1, "file too short"),
        (vec!["--trt", "fp16", "--trt-library", "/no/such/folder"], 1, "No such file"),
        (vec!["--trt", "fp16", "--trtexec", "/no/such/trtexec"], 1, "/no/such/trtexec does not start"),
        (vec!["--trt", "fp16", "--trt-batch", "8:1:2"], 2, "a batch of 8:1:2"),
        (vec!["--trt", "fp16", "--trt-batch", "1:2"], 2, "MIN:OPT:MAX"),
        (vec!["--trt", "fp16", "--trt-level", "6"], 2, "an optimization level of 6"),
        (vec!["--trt", "fp16", "--trt-workspace", "12"], 2, "write it as 512M or 2G"),
        (vec!["--trt", "int8", "--dialect", "cpu"], 2, "leave --dialect cpu out"),
        (vec!["--trt", "fp16", "--sm", "86"], 2, "--rtx"),
        (
            vec!["--trt", "fp16", "--only", "text", "--trt-encoders", "visual"],
            2,
            "leave one of --only and --trt-encoders out",
        ),
        (vec!["--trt", "fp16", "--rtx", "--sm", "8"], 2, "as 86 or 8.6"),
        (vec!["--rtx"], 2, "--trt"),
        (vec!["--trt", "fp16", "--precision", "fp32"], 2, "--precision"),
        (vec!["--trt", "fp16", "--rtx", "--trt-version-compatible"], 2, "--trt-version-compatible"),
    ];
    if has_rtx() {
        let needs = "on a Jetson or on a GPU of a data centre, build with TensorRT itself";
        cases.extend(
            ["87", "90", "110", "75"].map(|sm| (vec!["--trt", "fp16", "--rtx", "--sm", sm], 1, needs)),
        );
    }
    let captions = calibration(root.path());
    for (arguments, status, words) in cases {
        let int8 = arguments.contains(&"int8");
        let more = captions.iter().map(String::as_str).filter(|_| int8);
        let output =
            clip_export(&checkpoint, &out, &arguments.iter().copied().chain(more).collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{arguments:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty() && !out.exists(), "{arguments:?}");
        assert!(!stderr(&output).contains("visual.onnx"), "{arguments:?} was refused late");
    }
    assert_eq!(entries(root.path()), ["captions.txt", "checkpoint", "libnvinfer.so.10"]);
}

/// A stand-in for `trtexec`, a shell script.
fn trtexec(folder: &Path, body: &str) -> PathBuf {
    let program = folder.join("trtexec");
    std::fs::write(&program, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program
}

#[test]
fn engines_are_built_by_trtexec_where_that_is_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint::tiny(root.path(), WeightFormat::Fp32, |_| ());
    let log = root.path().join("log");
    let body = format!(
        r#"echo "&&&& RUNNING TensorRT.trtexec [TensorRT v100300] [b26] # $0"
           [ "$1" = --help ] && exit 0
           echo "$*" >> {}
           echo "[01/01/2026-00:00:00] [I] Selected Device: Orin"
           echo "[01/01/2026-00:00:00] [I] Compute Capability: 8.7"
           for a; do case $a in --saveEngine=*) echo plan > "${{a#--saveEngine=}}";; esac; done"#,
        log.display()
    );
    let program = trtexec(root.path(), &body);
    let out = root.path().join("out");
    let arguments = [
        "--trt",
        "fp32",
        "--trtexec",
        program.to_str().unwrap(),
        "--trt-level",
        "4",
        "--trt-workspace",
        "1G",
        "--trt-hardware-compatible",
        "--trt-version-compatible",
    ];
    let output = clip_export(&checkpoint, &out, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("TensorRT 10.3.0 by "), "{}", stderr(&output));
    let manifest = Manifest::read(&out).unwrap();
    let plan = manifest.image.as_ref().unwrap().plan().unwrap();
    assert_eq!(
        (plan.family.as_str(), plan.version.as_str(), &plan.compute_capabilities[..]),
        ("10", "10.3.0", &[87][..])
    );
    assert_eq!(plan.device.as_deref(), Some("Orin"));
    assert!(!plan.verified && plan.build.hardware_compatible && plan.build.version_compatible);
    let log = std::fs::read_to_string(&log).unwrap();
    let calls: Vec<&str> = log.lines().collect();
    assert_eq!(calls.len(), 2);
    for part in [
        "--stronglyTyped",
        "--noTF32",
        "--minShapes=image:1x3x16x16",
        "--maxShapes=image:32x3x16x16",
        "--memPoolSize=workspace:1024M,tacticDram:1024M",
        "--builderOptimizationLevel=4",
        "--versionCompatible",
        "--hardwareCompatibilityLevel=ampere+",
    ] {
        assert!(calls[0].contains(part), "{part}: {}", calls[0]);
    }
    assert!(calls[1].contains("--optShapes=ids:8x12"), "{}", calls[1]);

    // What it says when it fails is what the user reads, and nothing is left.
    let failing =
        r#"echo "[TensorRT v100300]"; [ "$1" = --help ] && exit 0; echo "[E] no memory for that"; exit 1"#;
    trtexec(root.path(), failing);
    let output = clip_export(&checkpoint, &root.path().join("none"), &arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("[E] no memory for that"), "{}", stderr(&output));
    assert!(!root.path().join("none").exists());
}

#[test]
fn the_command_line_of_trtexec_can_be_had_without_building() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint::tiny(root.path(), WeightFormat::Fp32, |_| ());
    let out = root.path().join("my model");
    let output =
        clip_export(&checkpoint, &out, &["--trt", "fp32", "--print-trtexec", "--trt-batch", "1:1:2"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(lines.lines().count(), 2);
    let onnx = format!("trtexec '--onnx={}' ", out.join("visual.onnx").display());
    assert!(lines.starts_with(&onnx), "{lines}");
    assert!(lines.contains("--optShapes=image:1x3x16x16 --maxShapes=image:2x3x16x16"), "{lines}");
    assert_eq!(Manifest::read(&out).unwrap().image.unwrap().engine, Engine::Onnx {});
}

#[test]
fn a_model_folder_that_is_there_gets_engines_or_stays_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint::tiny(root.path(), WeightFormat::Fp32, |_| ());
    let folder = root.path().join("model");
    assert!(clip_export(&checkpoint, &folder, &["--external-data"]).status.success());
    let engines = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clip-export"));
        command.arg("engines").arg(&folder).args(arguments).output().unwrap()
    };
    let before = Manifest::read(&folder).unwrap();
    let refused = |arguments: &[&str], words: &str| {
        let output = engines(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
        assert_eq!(Manifest::read(&folder).unwrap(), before);
        assert_eq!(entries(root.path()), ["checkpoint", "model"]);
    };
    refused(&["--trt-library", "/no/such/folder"], "No such file");
    if !has_rtx() {
        return;
    }
    for _ in 0..2 {
        let output = engines(&["--rtx", "--sm", "89"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let manifest = Manifest::read(&folder).unwrap();
        let image = manifest.image.as_ref().unwrap();
        assert_eq!(image.plan().unwrap().compute_capabilities, [89]);
        assert_eq!(Some(image.without_plan()), before.image);
        assert_eq!(manifest.tokenizer, before.tokenizer);
        let files = [
            "clip.json",
            "text.onnx",
            "text.onnx.data",
            "text.plan",
            "tokenizer.json",
            "visual.onnx",
            "visual.onnx.data",
            "visual.plan",
        ];
        assert_eq!(entries(&folder), files);
    }
    let before = Manifest::read(&folder).unwrap();
    // A graph that is another one than the manifest says, and a file that is not the model's.
    let graph = std::fs::read(folder.join("visual.onnx")).unwrap();
    std::fs::write(folder.join("visual.onnx"), [&graph[..], b"x"].concat()).unwrap();
    let output = engines(&["--rtx"]);
    assert!(stderr(&output).contains("visual.onnx"), "{}", stderr(&output));
    assert_eq!(Manifest::read(&folder).unwrap(), before);
    std::fs::write(folder.join("visual.onnx"), graph).unwrap();
    std::fs::write(folder.join("notes.txt"), "mine").unwrap();
    let output = engines(&["--rtx"]);
    assert!(stderr(&output).contains("notes.txt"), "{}", stderr(&output));
    assert!(folder.join("notes.txt").exists());
}

#[test]
fn a_disk_that_fills_up_leaves_nothing() {
    if !has_rtx() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint::tiny(root.path(), WeightFormat::Fp32, |_| ());
    let out = root.path().join("out");
    // 100 kB are enough for the graphs, and not for engines.
    let script = "ulimit -f 100; exec \"$0\" \"$@\"";
    let mut command = Command::new("bash");
    command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_clip-export")).arg(&checkpoint).arg("-o").arg(&out);
    let output = command.args(["--trt", "fp32", "--rtx"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains("cannot write") && said.contains("visual.plan") && said.contains("File too large"),
        "{said}"
    );
    assert_eq!(entries(root.path()), ["checkpoint"]);
}

#[test]
fn a_build_that_is_cancelled_leaves_nothing() {
    let Some(doubles) = clip_testkit::doubles::build() else { return };
    let root = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint::tiny(root.path(), WeightFormat::Fp32, |_| ());
    let out = root.path().join("out");
    let log = root.path().join("calls");
    let mut command = Command::new("env");
    command
        .arg("--default-signal=INT")
        .arg(env!("CARGO_BIN_EXE_clip-export"))
        .arg(&checkpoint)
        .arg("-o")
        .arg(&out);
    command.args(["--trt", "fp32"]).env("DOUBLE_TENSORRT_STEP_MS", "200").env("DOUBLE_TENSORRT_LOG", &log);
    command.stderr(Stdio::piped()).stdout(Stdio::piped());
    let mut child = doubles.environment(&mut command).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().is_ok_and(|line| line == "building visual.plan"));
    assert!(line.is_some(), "the build has not begun");
    let id = child.id().to_string();
    while !std::fs::read_to_string(&log).is_ok_and(|log| log.contains("setProgressMonitor")) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let builder = Command::new("pgrep").args(["-P", &id]).output().unwrap();
    let builder = String::from_utf8(builder.stdout).unwrap().trim().to_owned();
    assert!(!builder.is_empty(), "no process builds");
    assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2), "{status}");
    // The process that builds ends with it: nobody reads what it would write.
    let since = std::time::Instant::now();
    while Path::new("/proc").join(&builder).exists() {
        assert!(since.elapsed().as_secs() < 20, "the build goes on");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(entries(root.path()), ["calls", "checkpoint"]);
}
