//! From checkpoint to label by engines of TensorRT: `clip-export --trt`, then `clip-run` and a C program, through doubles of TensorRT
//! and of CUDA's driver (`tests/doubles/`), on a machine without a GPU. The doubles compute with ONNX Runtime, so that labels and
//! probabilities are those of the graphs.
//!
//! The programs are those in `target/release`: `cargo test --workspace` builds them before it runs this.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clip_model::Manifest;
use clip_testkit::doubles::{self, Call, Doubles, calls};
use clip_tests::repository;
use serde_json::{Value, json};
use tempfile::TempDir;

/// `target/release`, where this test is in `deps/`.
fn built() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned()
}

/// The doubles, and a folder to work in.
struct Work {
    doubles: Doubles,
    folder: TempDir,
}

impl Work {
    /// `None`, with a line that says why, where there are no headers.
    fn new() -> Option<Work> {
        Some(Work { doubles: doubles::build()?, folder: tempfile::tempdir().unwrap() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program on a machine with a GPU, as the doubles have it: a Jetson Orin, unless the variables say something else.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("DOUBLE_CUDA_SM", "87").env("DOUBLE_CUDA_NAME", "Orin");
        command.env("DOUBLE_CUDA_MEMORY", "16000000000").env("DOUBLE_CUDA_LAZY", "1");
        self.doubles.environment(&mut command);
        command
    }

    fn run(&self, program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let program = built().join(program);
        assert!(program.exists(), "{} is missing: run `cargo build --release` first", program.display());
        self.command(&program).args(arguments).envs(variables.iter().copied()).output().unwrap()
    }

    /// Exports models/emoji-tiny with a label set and these arguments; gives the folder.
    fn export(&self, arguments: &[&str]) -> String {
        let out = self.path("model").to_str().unwrap().to_owned();
        let checkpoint = repository().join("models/emoji-tiny");
        let labels = checkpoint.join("everyday-100.txt");
        let fixed =
            [checkpoint.to_str().unwrap(), "-o", &out, "--force", "--labels", labels.to_str().unwrap()];
        let output = self.run("clip-export", &[&fixed[..], arguments].concat(), &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        out
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The labels of pictures and their probabilities, as clip-run has them in JSON, a line for each picture.
fn found(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", stderr(output));
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Whether two results of clip-run name the same labels with nearly the same probabilities.
fn agree(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-4,
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agree(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| agree(a, b)))
        }
        _ => a == b,
    }
}

fn all_agree(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agree(a, b))
}

fn pictures() -> Vec<String> {
    let folder = repository().join("examples/images");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = names.map(|path| path.to_str().unwrap().to_owned()).collect();
    names.retain(|name| name.ends_with(".png"));
    names.sort();
    names
}

#[test]
fn an_engine_gives_the_labels_of_its_graph_to_rust_and_to_c() {
    let Some(work) = Work::new() else { return };
    let folder = work.export(&["--trt", "fp16", "--trt-encoders", "both", "--classifier"]);
    let manifest = Manifest::read(&folder).unwrap();
    for encoder in [
        manifest.image.as_ref().unwrap(),
        manifest.text.as_ref().unwrap(),
        &manifest.classifier.unwrap().encoder,
    ] {
        let plan = encoder.plan().unwrap();
        assert_eq!((plan.family.as_str(), &plan.compute_capabilities[..]), ("11", &[87][..]));
        assert!(plan.verified && plan.device.as_deref() == Some("Orin"));
    }
    let pictures = pictures();
    let classify = |more: &[&str]| {
        let pictures = pictures.iter().map(String::as_str);
        let arguments: Vec<&str> = ["classify", &folder]
            .into_iter()
            .chain(pictures)
            .chain(["--json"])
            .chain(more.iter().copied())
            .collect();
        found(&work.run("clip-run", &arguments, &[]))
    };
    let (engine, graph) = (classify(&[]), classify(&["--engine", "onnx"]));
    assert!(all_agree(&engine, &graph), "{engine:?} {graph:?}");
    // Labels of the user's own, by the text encoder's engine.
    let own = ["--labels", "apple,house,star,fish", "--template", "a picture of a {}."];
    let (engine, graph) = (classify(&own), classify(&[&own[..], &["--engine", "onnx"]].concat()));
    assert!(all_agree(&engine, &graph), "{engine:?} {graph:?}");

    // The C program prints what clip-run prints.
    let program = work.path("classify");
    let cc = std::env::var_os("CC").unwrap_or("cc".into());
    let mut compile = Command::new(cc);
    compile.arg("-I").arg(repository().join("include")).arg(repository().join("examples/c/classify.c"));
    // Where cargo puts it before it runs this; the one beside the programs may be older, or not there.
    let libraries = built().join("deps");
    compile.arg("-o").arg(&program).arg("-L").arg(&libraries).arg("-lclip");
    compile.arg(format!("-Wl,-rpath,{}", libraries.display()));
    assert!(compile.status().unwrap().success());
    let labels = work.path("labels.txt");
    std::fs::write(&labels, "apple\nhouse\nstar\nfish\n").unwrap();
    let classify = |variables: &[(&str, &str)], labels: &str| {
        let mut command = work.command(&program);
        // Without cargo's search path, in whose first folder an older libclip.so may lie.
        command.env("LD_LIBRARY_PATH", &work.doubles.folder);
        command.args([&folder, labels]).args(&pictures).envs(variables.iter().copied()).output().unwrap()
    };
    for labels in [labels.to_str().unwrap(), "-"] {
        let output = classify(&[], labels);
        assert!(output.status.success(), "{}", stderr(&output));
        let said = String::from_utf8(output.stdout).unwrap();
        let labels: &[&str] = if labels == "-" { &[] } else { &["--labels", "apple,house,star,fish"] };
        let arguments = [&["classify", &folder, "--top", "3"], labels].concat();
        let arguments: Vec<&str> = arguments.into_iter().chain(pictures.iter().map(String::as_str)).collect();
        let output = work.run("clip-run", &arguments, &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        let ours = String::from_utf8(output.stdout).unwrap();
        let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        assert_eq!(words(&said), words(&ours));
    }
    // And says why not, where the GPU is another one.
    let output = classify(&[("DOUBLE_CUDA_SM", "86")], "-");
    assert!(!output.status.success());
    assert!(stderr(&output).contains("8.7") && stderr(&output).contains("8.6"), "{}", stderr(&output));
    // A full GPU says nothing against the engine.
    let output = classify(&[("DOUBLE_CUDA_MEMORY", "1000")], "-");
    let said = stderr(&output);
    assert!(said.contains("the GPU has 1000 bytes free") && !said.contains("CLIP_ERROR_PLAN"), "{said}");
}

#[test]
fn every_call_has_the_arguments_that_were_meant() {
    let Some(work) = Work::new() else { return };
    let log = work.path("calls");
    let variables = [("DOUBLE_TENSORRT_LOG", log.to_str().unwrap())];
    let checkpoint = repository().join("models/emoji-tiny");
    let out = work.path("model");
    let arguments = [
        checkpoint.to_str().unwrap(),
        "-o",
        out.to_str().unwrap(),
        "--trt",
        "fp32",
        "--only",
        "visual",
        "--trt-batch",
        "1:2:4",
        "--trt-workspace",
        "256M",
        "--trt-level",
        "2",
    ];
    let output = work.run("clip-export", &arguments, &variables);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stderr(&output).contains("the double of TensorRT does not have"), "{}", stderr(&output));
    let calls = calls(&log);
    let asked = |class: &str, method: &str| -> Vec<&Value> {
        let of = |call: &&Call| (call.class.as_str(), call.method.as_str()) == (class, method);
        calls.iter().filter(of).map(|call| &call.arguments).collect()
    };
    assert_eq!(asked("VBuilder", "createNetworkV2"), [&json!({ "flags": 1 })]);
    let side = 64;
    let dims = |n: usize| json!([n, 3, side, side]);
    let range = [(0, dims(1)), (1, dims(2)), (2, dims(4))];
    let range = range.map(|(select, dims)| json!({ "name": "image", "select": select, "dims": dims }));
    assert_eq!(asked("VOptimizationProfile", "setDimensions"), range.iter().collect::<Vec<_>>());
    assert_eq!(asked("VBuilderConfig", "setBuilderOptimizationLevel"), [&json!({ "level": 2 })]);
    let pools = [0, 4].map(|pool| json!({ "pool": pool, "size": 256 << 20 }));
    assert_eq!(asked("VBuilderConfig", "setMemoryPoolLimit"), pools.iter().collect::<Vec<_>>());
    // It was verified on batches within the range.
    let shapes = asked("VExecutionContext", "setInputShape");
    assert!(!shapes.is_empty() && shapes.iter().all(|call| call["name"] == "image"), "{shapes:?}");
    let batches = shapes.iter().map(|call| call["dims"][0].as_u64().unwrap());
    assert!(batches.clone().all(|batch| (1..=4).contains(&batch)), "{shapes:?}");
    assert!(asked("VExecutionContext", "enqueueV3").len() > 1);
    // Who runs it afterwards asks for the same engine, and for no builder.
    std::fs::remove_file(&log).unwrap();
    let images = work.path("images.npy");
    let pictures = pictures();
    let mut embed = vec!["embed", out.to_str().unwrap(), "-o", images.to_str().unwrap(), "--images"];
    embed.extend(pictures.iter().map(String::as_str));
    let output = work.run("clip-run", &embed, &variables);
    assert!(output.status.success(), "{}", stderr(&output));
    let calls = doubles::calls(&log);
    assert!(!calls.iter().any(|call| call.method == "createInferBuilder_INTERNAL"));
    let plan = out.join("visual.plan").metadata().unwrap().len();
    let deserialized: Vec<&Call> =
        calls.iter().filter(|call| call.method == "deserializeCudaEngine").collect();
    assert_eq!(deserialized.len(), 1);
    assert_eq!(deserialized[0].arguments["size"], plan);
}

#[test]
fn verify_completes_on_the_device_what_was_built_elsewhere() {
    let Some(work) = Work::new() else { return };
    let folder = work.export(&["--precision", "fp16"]);
    let output = work.run("clip-export", &["engines", &folder, "--trt-encoders", "both"], &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("the engines give what their graphs do"), "{}", stderr(&output));
    // As if it had been built where no GPU is.
    let mut manifest = Manifest::read(&folder).unwrap();
    for encoder in [&mut manifest.image, &mut manifest.text].into_iter().flatten() {
        let clip_model::manifest::Engine::TensorRt(plan) = &mut encoder.engine else { panic!("no engine") };
        plan.verified = false;
    }
    manifest.write(&folder).unwrap();
    let output = work.run("clip-run", &["info", &folder], &[]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
    assert!(said.contains("unverified") || said.contains("not verified"), "{said}");
    let output = work.run("clip-export", &["verify", &folder], &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("cosine to its graph"), "{said}");
    let manifest = Manifest::read(&folder).unwrap();
    assert!(manifest.towers().all(|(_, encoder)| encoder.plan().unwrap().verified));
}

#[test]
fn eight_bits_are_timed_beside_half_precision() {
    let Some(work) = Work::new() else { return };
    let captions = work.path("captions.txt");
    std::fs::write(&captions, "a red apple\na house\na star\na fish in the sea\n").unwrap();
    let pictures = repository().join("examples/images");
    let checkpoint = repository().join("models/emoji-tiny");
    let out = work.path("int8");
    let arguments = [
        checkpoint.to_str().unwrap(),
        "-o",
        out.to_str().unwrap(),
        "--trt",
        "int8",
        "--calibration-images",
        pictures.to_str().unwrap(),
        "--calibration-texts",
        captions.to_str().unwrap(),
        "--min-cosine",
        "0",
        "--min-mean-cosine",
        "0",
        "--min-top1",
        "0",
    ];
    let output = work.run("clip-export", &arguments, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("faster than fp16"), "{}", stderr(&output));
    assert!(Manifest::read(&out).unwrap().image.unwrap().plan().unwrap().verified);
}

/// TensorRT where the system does not look for it, as where it was unpacked from an archive.
#[test]
fn a_library_in_a_folder_of_its_own_builds_and_verifies() {
    let Some(work) = Work::new() else { return };
    let (driver, library) = (work.path("driver"), work.path("tensorrt"));
    for (folder, files) in
        [(&driver, &["libcuda.so.1"][..]), (&library, &["libnvinfer.so.11", "libnvonnxparser.so.11"][..])]
    {
        std::fs::create_dir(folder).unwrap();
        for file in files {
            std::fs::copy(work.doubles.folder.join(file), folder.join(file)).unwrap();
        }
    }
    let (driver, library) = (driver.to_str().unwrap(), library.to_str().unwrap());
    let only_driver = [("LD_LIBRARY_PATH", driver)];
    let out = work.path("model").to_str().unwrap().to_owned();
    let checkpoint = repository().join("models/emoji-tiny");
    let export = [checkpoint.to_str().unwrap(), "-o", &out, "--trt", "fp32", "--trt-library"];
    let output = work.run("clip-export", &[&export[..], &[library]].concat(), &only_driver);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("the engines give what their graphs do"), "{}", stderr(&output));
    for (program, command) in [("clip-export", "verify"), ("clip-run", "info")] {
        let output = work.run(program, &[command, &out, "--trt-library", library], &only_driver);
        assert!(output.status.success(), "{}", stderr(&output));
        let output = work.run(program, &[command, &out], &only_driver);
        assert!(stderr(&output).contains("libnvinfer.so.11"), "{}", stderr(&output));
        assert_eq!(output.status.code(), Some(1));
    }
}
