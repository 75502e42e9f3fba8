//! The whole way through doubles of TensorRT and of CUDA's driver, on a machine without a GPU: what is called is recorded by what a
//! compiler makes of NVIDIA's headers, and what is computed is right.
//!
//! A library of a system's name is found when a program starts, so each test starts this program again, to run one of the ignored
//! tests, which are no tests of their own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper fails its test")]

mod graph;

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use clip_tensorrt::cuda::{Device, DeviceBuffer, PinnedBuffer, Stream};
use clip_tensorrt::{
    BuildOptions, Built, DeviceInput, Element, Error, Execution, Family, Input, Kind, Library, Range,
};
use clip_testkit::doubles::{self, Call, calls};
use serde_json::{Value, json};

/// Runs the ignored test `name` with the doubles and these variables. Gives the recorded calls; `None` where there are no doubles.
#[track_caller]
fn run(name: &str, variables: &[(&str, &str)]) -> Option<Vec<Call>> {
    let doubles = doubles::build()?;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("calls");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", name])
        .env("DOUBLE_TENSORRT_LOG", &log)
        .envs(variables.iter().copied());
    let output = doubles.environment(&mut command).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{said}");
    // The doubles print it when a method is called that nobody was to call.
    assert!(!said.contains("the double"), "{said}");
    Some(if log.exists() { calls(&log) } else { Vec::new() })
}

fn rows(min: i64, max: i64) -> BuildOptions {
    let shape = |n| vec![n, 4];
    let range = Range { min: shape(min), opt: shape(max), max: shape(max) };
    BuildOptions { ranges: vec![("x".to_owned(), range)], ..BuildOptions::default() }
}

fn library() -> Library {
    Library::open(Kind::TensorRt, None).unwrap()
}

fn build(options: &BuildOptions) -> Result<Built, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = graph::write(folder.path());
    library().build(&path, options, &mut |_| ControlFlow::Continue(()))
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

fn input<'a>(shape: &'a [i64], bytes: &'a [u8]) -> [Input<'a>; 1] {
    [Input { name: "x", shape, bytes }]
}

/// An execution of the graph for 1 to 8 rows.
fn execution(graphs: usize) -> Execution {
    let built = build(&rows(1, 8)).unwrap();
    let device = Device::open(0).unwrap();
    let engine = library().deserialize(&device, &built.plan, false).unwrap();
    Execution::new(&engine, graphs).unwrap()
}

/// Runs rows of numbers and checks that they come back doubled.
fn check(execution: &mut Execution, count: usize, first: f32) {
    let values: Vec<f32> = (0..4 * count).map(|i| first + i as f32).collect();
    let shape = [count as i64, 4];
    let outputs = execution.run(&input(&shape, &floats(&values))).unwrap();
    let twice: Vec<f32> = values.iter().map(|value| 2.0 * value).collect();
    assert_eq!((outputs[0].name.as_str(), outputs[0].element), ("y", Element::Float32));
    assert_eq!((&outputs[0].shape[..], &outputs[0].bytes), (&shape[..], &floats(&twice)));
}

#[test]
fn an_engine_is_built_with_what_was_asked_for() {
    let Some(calls) = run("builds", &[("DOUBLE_CUDA_SM", "87")]) else { return };
    let asked = |class: &str, method: &str| -> Vec<Value> {
        let calls =
            calls.iter().filter(|call| (call.class.as_str(), call.method.as_str()) == (class, method));
        calls.map(|call| call.arguments.clone()).collect()
    };
    let config = |method: &str| asked("VBuilderConfig", method);
    // Values are those of 11.4's headers. Each is there for both builds.
    let twice = |value: Value| vec![value.clone(), value];
    assert_eq!(asked("VBuilder", "createNetworkV2"), twice(json!({ "flags": 1 })), "strongly typed");
    let [workspace, tactics] =
        [json!({ "pool": 0, "size": 64 << 20 }), json!({ "pool": 4, "size": 32 << 20 })];
    let pools = [workspace, tactics];
    assert_eq!(config("setMemoryPoolLimit"), [pools.clone(), pools].concat());
    assert_eq!(config("setBuilderOptimizationLevel"), twice(json!({ "level": 4 })));
    assert_eq!(config("clearFlag"), twice(json!({ "flag": 6 })), "TF32");
    assert_eq!(config("setFlag"), twice(json!({ "flag": 12 })), "version compatible");
    assert_eq!(config("setHardwareCompatibilityLevel"), twice(json!({ "level": 1 })), "Ampere and later");
    let range = [(0, [2, 4]), (1, [8, 4]), (2, [8, 4])];
    let range = range.map(|(select, dims)| json!({ "name": "x", "select": select, "dims": dims }));
    assert_eq!(asked("VOptimizationProfile", "setDimensions"), [range.clone(), range].concat());
    assert_eq!(config("createTimingCache")[0], json!({ "size": 0 }));
    assert!(config("createTimingCache")[1]["size"].as_u64().unwrap() > 0, "what was measured was not kept");
    let logger = &asked("nvinfer1", "createInferBuilder_INTERNAL")[0];
    assert_eq!((&logger["kind"], &logger["language"]), (&json!("ILogger"), &json!(0)));
    assert_eq!(config("setProgressMonitor")[0]["kind"], "IProgressMonitor");
    // What was made is deleted, once.
    for (class, count) in [
        ("IBuilder", 2),
        ("INetworkDefinition", 2),
        ("IBuilderConfig", 2),
        ("IParser", 2),
        ("ITimingCache", 2),
        ("IHostMemory", 4),
    ] {
        assert_eq!(asked(class, "delete").len(), count, "{class}");
    }
}

#[test]
#[ignore = "run by the test above"]
fn builds() {
    assert_eq!((library().family(), library().version().major), (Family::TensorRt11, 11));
    let options = BuildOptions {
        workspace: Some(64 << 20),
        tactic_memory: Some(32 << 20),
        level: Some(4),
        timing_cache: Some(Vec::new()),
        version_compatible: true,
        hardware_compatible: true,
        ..rows(2, 8)
    };
    let built = build(&options).unwrap();
    assert!(built.plan.len() > 100 && !built.timing_cache.as_ref().unwrap().is_empty());
    // What one build has measured, the next one takes.
    build(&BuildOptions { timing_cache: built.timing_cache, ..options }).unwrap();
}

#[test]
fn an_engine_runs_and_its_work_becomes_a_graph() {
    for lazy in ["0", "1"] {
        let Some(calls) = run("runs", &[("DOUBLE_CUDA_LAZY", lazy)]) else { return };
        let enqueued = calls.iter().filter(|call| call.method == "enqueueV3").count();
        // 12 runs of one row: 3 before its graph, 1 to warm up, 1 to keep. 1 of three rows.
        assert_eq!(enqueued, 6, "with DOUBLE_CUDA_LAZY={lazy}");
    }
}

#[test]
#[ignore = "run by the test above"]
fn runs() {
    let mut execution = execution(2);
    for i in 0..12 {
        check(&mut execution, 1, i as f32);
        assert_eq!(execution.graphs(), usize::from(i >= 2));
    }
    // Another shape in between spoils neither.
    check(&mut execution, 3, 100.0);
    check(&mut execution, 1, 50.0);
}

#[test]
fn graphs_that_nobody_uses_make_room() {
    let _ = run("makes_room", &[]);
}

#[test]
#[ignore = "run by the test above"]
fn makes_room() {
    let mut execution = execution(2);
    for count in [1, 2, 3, 4, 1, 2, 3, 4] {
        for i in 0..4 {
            check(&mut execution, count, i as f32);
        }
        assert!(execution.graphs() <= 2);
    }
    let mut without = self::execution(0);
    (0..6).for_each(|i| check(&mut without, 2, i as f32));
    assert_eq!(without.graphs(), 0);
}

#[test]
fn inputs_that_do_not_fit_are_refused_before_tensorrt_sees_them() {
    let _ = run("refuses_inputs", &[]);
}

#[test]
#[ignore = "run by the test above"]
fn refuses_inputs() {
    let mut execution = execution(1);
    let bytes = vec![0; 9 * 16];
    let mut said = |shape: &[i64], bytes: &[u8]| execution.run(&input(shape, bytes)).unwrap_err().to_string();
    assert!(
        said(&[9, 4], &bytes).contains("has shape [9, 4], and the engine was built for [1, 4] to [8, 4]")
    );
    assert!(said(&[0, 4], &[]).contains("the engine was built for"));
    assert!(said(&[1, 5], &bytes[..20]).contains("the engine was built for"));
    assert!(said(&[2, 4], &bytes[..31]).contains("has 31 bytes, and shape [2, 4] of float32"));
    let unknown = [Input { name: "z", shape: &[1, 4], bytes: &bytes[..16] }];
    assert!(execution.run(&unknown).unwrap_err().to_string().contains("\"z\" does not exist"));
    assert!(execution.run(&[]).unwrap_err().to_string().contains("\"x\" is missing"));
    // And it runs afterwards.
    check(&mut execution, 2, 0.0);
}

#[test]
fn several_threads_run_one_engine() {
    let _ = run("threads", &[]);
}

#[test]
#[ignore = "run by the test above"]
fn threads() {
    let built = build(&rows(1, 8)).unwrap();
    let device = Device::open(0).unwrap();
    let engine = library().deserialize(&device, &built.plan, false).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let engine = engine.clone();
            scope.spawn(move || {
                let mut execution = Execution::new(&engine, 1).unwrap();
                (0..20).for_each(|i| check(&mut execution, 1 + i % 8, (100 * thread + i) as f32));
            });
        }
    });
}

#[test]
fn plans_that_do_not_fit_are_refused_in_tensorrts_words() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan");
    let path = plan.to_str().unwrap();
    if run("writes_plan", &[("PLAN", path), ("DOUBLE_CUDA_SM", "86")]).is_none() {
        return;
    }
    run("refuses_plan", &[("PLAN", path), ("DOUBLE_CUDA_SM", "87"), ("WORDS", "compute 8.6")]);
    run(
        "refuses_plan",
        &[("PLAN", path), ("DOUBLE_CUDA_SM", "86"), ("DOUBLE_TENSORRT_VERSION", "110300"), ("WORDS", "11.3")],
    );
    let whole = std::fs::read(&plan).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"", b"no plan at all"] {
        std::fs::write(&plan, damaged).unwrap();
        run("refuses_plan", &[("PLAN", path), ("WORDS", "")]);
    }
}

#[test]
#[ignore = "run by the test above"]
fn writes_plan() {
    std::fs::write(std::env::var("PLAN").unwrap(), &build(&rows(1, 8)).unwrap().plan).unwrap();
}

#[test]
#[ignore = "run by the test above"]
fn refuses_plan() {
    let plan = std::fs::read(std::env::var("PLAN").unwrap()).unwrap();
    let device = Device::open(0).unwrap();
    let error = library().deserialize(&device, &plan, false).unwrap_err();
    assert!(matches!(error, Error::Plan { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains(&std::env::var("WORDS").unwrap()) && !said.contains("gives no reason"), "{said}");
}

#[test]
fn what_tensorrt_cannot_do_is_an_error_with_its_words() {
    for fail in ["build", "deserialize", "context", "enqueue"] {
        if run("fails", &[("DOUBLE_TENSORRT_FAIL", fail)]).is_none() {
            return;
        }
    }
    run("fails", &[("DOUBLE_TENSORRT_REFUSE", "Add")]);
    run("is_cancelled", &[]);
}

#[test]
#[ignore = "run by the test above"]
fn fails() {
    let whole = || -> Result<(), Error> {
        let built = build(&rows(1, 8))?;
        let engine = library().deserialize(&Device::open(0)?, &built.plan, false)?;
        let mut execution = Execution::new(&engine, 1)?;
        execution.run(&input(&[1, 4], &floats(&[1.0; 4]))).map(drop)
    };
    let error = whole().unwrap_err();
    let said = error.to_string();
    assert!(!said.contains("gives no reason"), "{said}");
    let expected = match (std::env::var("DOUBLE_TENSORRT_FAIL").as_deref(), &error) {
        (Ok("build"), Error::Build { .. })
        | (Ok("deserialize"), Error::Plan { .. })
        | (Ok("context" | "enqueue"), Error::Run { .. }) => true,
        (Err(_), Error::Parse { .. }) => said.contains("Add"),
        _ => false,
    };
    assert!(expected, "{error:?}");
}

#[test]
#[ignore = "run by the test above"]
fn is_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let path = graph::write(folder.path());
    let cancelled = library().build(&path, &rows(1, 4), &mut |_| ControlFlow::Break(()));
    assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
}

#[test]
fn machines_that_cannot_are_told_apart() {
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[("DOUBLE_CUDA_DEVICES", "0")], "there is no CUDA device 0: the driver finds no GPU"),
        (&[("DOUBLE_CUDA_INIT", "803")], "CUDA cannot start the driver"),
        (&[("DOUBLE_CUDA_DRIVER_VERSION", "11080")], "serves CUDA 11.8, and 12.2 or newer is needed"),
        (
            &[("DOUBLE_TENSORRT_VERSION", "120000")],
            "is version 12.0.0 (120000), and known are TensorRT 10 and 11",
        ),
        (&[("DOUBLE_TENSORRT_VERSION", "8601")], "is version 8.6.1 (8601)"),
        (
            &[("DOUBLE_CUDA_MEMORY", "1000000")],
            "a workspace of 67108864 bytes is more than the 1000000 bytes",
        ),
    ];
    for (variables, words) in cases {
        if run("is_refused", &[variables, &[("WORDS", words)]].concat()).is_none() {
            return;
        }
    }
}

#[test]
#[ignore = "run by the test above"]
fn is_refused() {
    let whole = || -> Result<(), Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = graph::write(folder.path());
        let options = BuildOptions { workspace: Some(64 << 20), ..rows(1, 8) };
        Library::open(Kind::TensorRt, None)?
            .build(&path, &options, &mut |_| ControlFlow::Continue(()))
            .map(drop)
    };
    let said = whole().unwrap_err().to_string();
    assert!(said.contains(&std::env::var("WORDS").unwrap()), "{said}");
}

#[test]
fn memory_streams_and_events_do_what_they_say() {
    let _ = run(
        "gpu",
        &[("DOUBLE_CUDA_LAZY", "1"), ("DOUBLE_CUDA_MEMORY", "100000000"), ("DOUBLE_CUDA_NAME", "Orin")],
    );
}

#[test]
#[ignore = "run by the test above"]
fn gpu() {
    let count = Device::count().unwrap();
    assert!(
        matches!(Device::open(count), Err(Error::NoDevice { index, count: n }) if index == count && n == count)
    );
    let device = Device::open(0).unwrap();
    // tests/gpu/driver.py reads it, where this runs on the real driver.
    println!("device: {}, compute capability {}, {} bytes", device.name(), device.sm(), device.memory());
    if std::env::var_os("DOUBLE_CUDA_NAME").is_some() {
        assert_eq!((device.name(), device.memory(), count), ("Orin", 100_000_000, 1));
    }
    // A real driver reserves more than it is asked for, and gives large pieces back at once.
    const LARGE: u64 = 64 << 20;
    const SLACK: u64 = 16 << 20;
    let free = device.free_memory().unwrap();
    let buffer = DeviceBuffer::new(&device, LARGE as usize).unwrap();
    assert!(device.free_memory().unwrap() <= free - LARGE + SLACK);
    let error = DeviceBuffer::new(&device, device.memory() as usize + 1).unwrap_err();
    assert!(error.to_string().contains("cannot reserve memory of the GPU"), "{error}");
    let (mut from, mut to) =
        (PinnedBuffer::new(&device, 1000).unwrap(), PinnedBuffer::new(&device, 1000).unwrap());
    from.iter_mut().enumerate().for_each(|(i, byte)| *byte = i as u8);
    let stream = Stream::new(&device).unwrap();
    let before = stream.record().unwrap();
    unsafe {
        stream.upload(&from, 1000, &buffer).unwrap();
        stream.download(&buffer, 1000, &mut to).unwrap();
    }
    let after = stream.record().unwrap();
    after.wait().unwrap();
    assert!(before.milliseconds_to(&after).unwrap() >= 0.0);
    assert_eq!(from[..], to[..]);
    // Kept work is done as often as it is asked for, with what lies there then.
    let graph = stream.capture(|| unsafe {
        stream.upload(&from, 1000, &buffer)?;
        stream.download(&buffer, 1000, &mut to)
    });
    let mut graph = graph.unwrap().unwrap();
    for value in [7, 9] {
        from.fill(value);
        unsafe { graph.launch() }.unwrap();
        stream.wait().unwrap();
        assert!(to.iter().all(|&byte| byte == value));
    }
    drop(buffer);
    assert!(device.free_memory().unwrap() + SLACK >= free);
}

/// The doubles of the other families, where their headers are.
#[test]
fn every_family_goes_the_whole_way() {
    for include in doubles::header_sets() {
        let doubles = doubles::build_from(&include);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "family"]).env("LIBRARY", doubles.infer());
        let output = doubles.environment(&mut command).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed"), "{}: {text}{said}", include.display());
    }
}

#[test]
#[ignore = "run by the test above"]
fn family() {
    let path = std::env::var("LIBRARY").unwrap();
    let kind = if path.contains("rtx") { Kind::Rtx } else { Kind::TensorRt };
    let library = Library::open(kind, Some(Path::new(&path))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let onnx = graph::write(folder.path());
    let targets = if kind == Kind::Rtx { vec![86] } else { vec![] };
    let options = BuildOptions { targets, level: Some(1), timing_cache: Some(vec![]), ..rows(1, 8) };
    let built = library.build(&onnx, &options, &mut |_| ControlFlow::Continue(())).unwrap();
    let device = Device::open(0).unwrap();
    let engine = library.deserialize(&device, &built.plan, false).unwrap();
    assert_eq!(engine.io().len(), 2);
    assert_eq!(engine.io()[0].range, Some(options.ranges[0].1.clone()));
    let mut execution = Execution::new(&engine, 1).unwrap();
    (1..=8).for_each(|count| check(&mut execution, count, 1.0));
    (0..5).for_each(|i| check(&mut execution, 1, i as f32));
    assert_eq!(execution.graphs(), 1);
}

/// TensorRT-RTX itself beside a driver that has no GPU: it builds, and nothing is run.
#[test]
fn tensorrt_for_rtx_builds_where_a_driver_finds_no_gpu() {
    let _ = run("rtx_builds", &[("DOUBLE_CUDA_DEVICES", "0")]);
}

#[test]
#[ignore = "run by the test above"]
fn rtx_builds() {
    assert!(matches!(Device::open(0), Err(Error::NoDevice { index: 0, count: 0 })));
    let library = match Library::open(Kind::Rtx, None) {
        Ok(library) => library,
        Err(Error::NotFound { .. }) => {
            return eprintln!("skipped: there is no TensorRT-RTX, `make .deps/tensorrt` brings it");
        }
        Err(other) => panic!("{other}"),
    };
    let folder = tempfile::tempdir().unwrap();
    let onnx = graph::write(folder.path());
    let options = BuildOptions { targets: vec![86], ..rows(1, 8) };
    let built = library.build(&onnx, &options, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(built.plan.len() > 1_000);
}

#[test]
#[ignore = "run by inputs_are_read_where_they_lie"]
fn runs_on_device() {
    let mut execution = execution(2);
    let device = Device::open(0).unwrap();
    let theirs = Stream::new(&device).unwrap();
    // Work of the caller's that has not been done when the run is asked for.
    let mut host = PinnedBuffer::new(&device, 16 * 4).unwrap();
    let buffers = [DeviceBuffer::new(&device, 16 * 4).unwrap(), DeviceBuffer::new(&device, 16 * 4).unwrap()];
    host.copy_from_slice(&floats(&(0..16).map(|i| i as f32).collect::<Vec<_>>()));
    for buffer in &buffers {
        unsafe { theirs.upload(&host, 64, buffer) }.unwrap();
    }
    let [a, b] = [buffers[0].address(), buffers[1].address()];
    let mut run = |rows: i64, pieces: &[u64]| {
        let input = DeviceInput { name: "x", shape: &[rows, 4], pieces };
        unsafe { execution.run_on_device(&[input], theirs.raw()) }.map(|outputs| outputs[0].bytes.clone())
    };
    let twice = |from: usize, to: usize| floats(&(from..to).map(|i| 2.0 * i as f32).collect::<Vec<_>>());
    assert_eq!(run(4, &[a]).unwrap(), twice(0, 16));
    assert_eq!(run(1, &[b]).unwrap(), twice(0, 4));
    // Where nothing may begin, and in pieces, it is copied first.
    assert_eq!(run(1, &[a + 16]).unwrap(), twice(4, 8));
    assert_eq!(run(2, &[b + 32, a]).unwrap(), [twice(8, 12), twice(0, 4)].concat());
    for (rows, pieces, reason) in
        [(9, &[a][..], "was built for"), (1, &[], "is in 0 pieces"), (1, &[a, b, a], "is in 3 pieces")]
    {
        let said = run(rows, pieces).unwrap_err().to_string();
        assert!(said.contains(reason), "{said}");
    }
    let unknown = DeviceInput { name: "z", shape: &[1, 4], pieces: &[a] };
    assert!(unsafe { execution.run_on_device(&[unknown], theirs.raw()) }.is_err());
    // What comes from the host afterwards is not looked for in the caller's memory.
    drop(buffers);
    for count in [1, 4, 4, 4, 4] {
        check(&mut execution, count, 3.0);
    }
    assert_eq!(execution.graphs(), 1);
}

#[test]
fn inputs_are_read_where_they_lie() {
    // Lazily, so that a run that does not wait for the caller's stream sees old bytes.
    let Some(calls) = run("runs_on_device", &[("DOUBLE_CUDA_LAZY", "1")]) else { return };
    assert!(!calls.is_empty());
}
