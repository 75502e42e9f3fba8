//! The doubles of TensorRT and CUDA behave as their clients may expect: tests/doubles/smoke.cpp, compiled from the same headers, is one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use clip_testkit::doubles::{self, Call, Doubles};
use serde_json::json;

/// The values of the matrix in the model, [3, 2].
const WEIGHTS: [f32; 6] = [1.0, -2.0, 0.5, 4.0, 3.0, 0.25];

/// A field of a protobuf message: its key, its length, its bytes.
fn field(number: u8, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let length = u8::try_from(bytes.len()).unwrap();
    assert!(number < 16);
    // One byte holds the length up to 127, two hold the rest.
    let length = if length < 0x80 { vec![length] } else { vec![length, 1] };
    [vec![number << 3 | 2], length, bytes.to_vec()].concat()
}

fn number(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

/// An input or output of floats, [batch, size].
fn value(name: &str, size: u8) -> Vec<u8> {
    let dims = [field(1, field(2, "batch")), field(1, number(1, size))].concat();
    let tensor = [number(1, 1), field(2, dims)].concat();
    [field(1, name), field(2, field(1, tensor))].concat()
}

/// `embedding [batch, 2] = image [batch, 3] x w`; the weights lie within, or in the file that `external` names.
fn onnx(external: Option<&str>) -> Vec<u8> {
    let raw: Vec<u8> = WEIGHTS.iter().flat_map(|w| w.to_le_bytes()).collect();
    let bytes = match external {
        None => field(9, raw),
        Some(file) => [field(13, [field(1, "location"), field(2, file)].concat()), number(14, 1)].concat(),
    };
    let weights = [number(1, 3), number(1, 2), number(2, 1), field(8, "w"), bytes].concat();
    let node =
        [field(1, "image"), field(1, "w"), field(2, "embedding"), field(3, "product"), field(4, "MatMul")]
            .concat();
    let graph = [
        field(1, node),
        field(2, "g"),
        field(5, weights),
        field(11, value("image", 3)),
        field(12, value("embedding", 2)),
    ];
    [number(1, 8), field(8, number(2, 17)), field(7, graph.concat())].concat()
}

/// What the model makes of an input that counts 0, 0.01, 0.02 and so on.
fn expected(batch: usize) -> Vec<f32> {
    let input = |i: usize| 0.01 * i as f32;
    let rows = (0..batch).flat_map(|row| (0..2).map(move |column| (row, column)));
    rows.map(|(row, column)| (0..3).map(|i| input(row * 3 + i) * WEIGHTS[i * 2 + column]).sum()).collect()
}

/// A folder with the model, the plan and what comes out.
struct Run {
    folder: tempfile::TempDir,
    doubles: Doubles,
}

impl Run {
    fn new(doubles: Doubles) -> Run {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("model.onnx"), onnx(None)).unwrap();
        Run { folder, doubles }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The client with a batch of three.
    fn command(&self) -> Command {
        let mut command = self.doubles.smoke();
        command.args(["model.onnx", "engine.plan", "output"].map(|name| self.path(name))).arg("3");
        command.env("DOUBLE_TENSORRT_LOG", self.path("calls.jsonl"));
        command.env("DOUBLE_CUDA_LOG", self.path("cuda.jsonl"));
        command
    }

    fn output(&self) -> Vec<f32> {
        let bytes = fs::read(self.path("output")).unwrap();
        bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
    }
}

/// Runs a client to its end, and returns what it told.
#[track_caller]
fn passes(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let told = String::from_utf8(stdout).unwrap();
    assert!(status.success(), "{status}\n{told}{}", String::from_utf8_lossy(&stderr));
    told
}

/// Runs a client that is to give up, and looks for a sentence in what it told.
#[track_caller]
fn refused(command: &mut Command, sentence: &str) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let told = String::from_utf8(stdout).unwrap();
    assert!(
        status.code().is_some_and(|code| code != 0),
        "{status}\n{told}{}",
        String::from_utf8_lossy(&stderr)
    );
    assert!(told.contains(sentence), "{sentence}\nis not in\n{told}");
}

#[track_caller]
fn assert_computes(run: &Run) {
    let output = run.output();
    let (wanted, zeros) = (expected(3), vec![0.0; 6]);
    for (got, wanted) in output.chunks_exact(6).zip([&wanted, &wanted, &zeros, &wanted]) {
        assert!(got.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?} is not {wanted:?}");
    }
    assert_eq!(output.len(), 4 * 6);
}

/// The doubles of every family: the newest headers of each.
fn families() -> Vec<Doubles> {
    let newest = ["TRT-Enterprise-11.4", "TRT-RTX-1.4", "TRT-RTX-1.7"];
    let own = std::env::var_os("TENSORRT_INCLUDE_DIR").map(PathBuf::from);
    let taken = |include: &PathBuf| {
        newest.iter().any(|name| include.ends_with(name)) || own.as_ref() == Some(include)
    };
    doubles::header_sets()
        .iter()
        .filter(|include| taken(include))
        .map(|include| doubles::build_from(include))
        .collect()
}

#[test]
fn an_engine_computes_what_its_graph_says_with_and_without_cuda_graphs() {
    for doubles in families() {
        let run = Run::new(doubles);
        let told = passes(&mut run.command());
        assert_computes(&run);
        assert!(told.contains("image 1 inputs 1 outputs 1 layers"), "{told}");
        assert!(told.contains("phases 2 2 steps 3"), "{told}");
        assert!(told.contains("workspace 67108864"), "{told}");
        assert!(told.contains("1125899906842624 bytes for pool 0 are more than the device has"), "{told}");
        assert!(
            told.contains("Supplied dimension 9 at index 0 of image is outside of the profile's 1 to 8"),
            "{told}"
        );
        assert!(told.contains("not aligned to 256 bytes"), "{told}");
        // All three kinds of work lie in the graph, and it ran three times.
        let cuda = doubles::calls(&run.path("cuda.jsonl"));
        let named = |name: &str| cuda.iter().filter(|call| call.method == name).collect::<Vec<_>>();
        assert_eq!(named("cuStreamEndCapture").last().unwrap().arguments["nodes"], 5);
        assert_eq!(named("cuGraphLaunch").len(), 3);
        // Work that waits until somebody waits for it gives the same.
        passes(run.command().env("DOUBLE_CUDA_LAZY", "1"));
        assert_computes(&run);
    }
}

#[test]
fn every_call_is_recorded_and_every_object_deleted() {
    let Some(doubles) = doubles::build() else { return };
    let run = Run::new(doubles);
    passes(&mut run.command());
    let calls = doubles::calls(&run.path("calls.jsonl"));
    let find = |class: &str, method: &str| -> Vec<&Call> {
        calls.iter().filter(|call| call.class == class && call.method == method).collect()
    };
    let [min, opt, max] = find("VOptimizationProfile", "setDimensions")[..] else { panic!("{calls:#?}") };
    assert_eq!(min.arguments, json!({"name": "image", "select": 0, "dims": [1, 3]}));
    assert_eq!(opt.arguments, json!({"name": "image", "select": 1, "dims": [4, 3]}));
    assert_eq!(max.arguments, json!({"name": "image", "select": 2, "dims": [8, 3]}));
    assert_eq!(
        find("VBuilderConfig", "setMemoryPoolLimit")[0].arguments,
        json!({"pool": 0, "size": 64 << 20})
    );
    let parse = find("IParser", "parse")[0];
    assert_eq!((&parse.arguments["size"], &parse.result), (&json!(onnx(None).len()), &json!(true)));
    let plan = fs::metadata(run.path("engine.plan")).unwrap().len();
    assert_eq!(find("VBuilder", "buildSerializedNetwork")[0].result, json!(plan));
    assert_eq!(find("VRuntime", "deserializeCudaEngine")[0].arguments, json!({"size": plan}));
    let shapes = find("VExecutionContext", "setInputShape");
    assert_eq!((&shapes[0].arguments["dims"], &shapes[0].result), (&json!([9, 3]), &json!(false)));
    assert_eq!((&shapes[1].arguments["dims"], &shapes[1].result), (&json!([3, 3]), &json!(true)));
    let enqueued: Vec<_> =
        find("VExecutionContext", "enqueueV3").iter().map(|call| call.result.clone()).collect();
    assert_eq!(enqueued, [json!(false), json!(false), json!(true), json!(true)]);
    let monitor = &find("VBuilderConfig", "setProgressMonitor")[0].arguments;
    assert_eq!((&monitor["kind"], &monitor["major"]), (&json!("IProgressMonitor"), &json!(1)));
    assert_eq!(find("nvinfer1", "createInferBuilder_INTERNAL")[0].arguments["kind"], "ILogger");
    let deleted: BTreeMap<&str, u64> =
        calls.iter().filter(|c| c.method == "delete").map(|c| (c.class.as_str(), c.object)).collect();
    let made = [
        ("IBuilder", find("nvinfer1", "createInferBuilder_INTERNAL")),
        ("INetworkDefinition", find("VBuilder", "createNetworkV2")),
        ("IBuilderConfig", find("VBuilder", "createBuilderConfig")),
        ("IParser", find("nvonnxparser", "createNvOnnxParser_INTERNAL")),
        ("IRuntime", find("nvinfer1", "createInferRuntime_INTERNAL")),
        ("ICudaEngine", find("VRuntime", "deserializeCudaEngine")),
        ("IExecutionContext", find("VCudaEngine", "createExecutionContext")),
    ];
    for (interface, making) in made {
        assert_eq!(json!(deleted[interface]), making[0].result, "{interface}");
    }
    assert!(
        deleted.contains_key("IParser")
            && deleted.contains_key("IHostMemory")
            && deleted.contains_key("ITimingCache")
    );
}

#[test]
fn weights_beside_the_model_become_part_of_the_plan() {
    let Some(doubles) = doubles::build() else { return };
    let run = Run::new(doubles);
    fs::write(run.path("model.onnx"), onnx(Some("w.bin"))).unwrap();
    refused(&mut run.command(), "parser error 5 node -1: Failed to open file: w.bin");
    fs::write(run.path("w.bin"), WEIGHTS.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>()).unwrap();
    passes(&mut run.command());
    assert_computes(&run);
    // The parser may read the model itself; the plan needs neither file.
    passes(run.command().arg("path"));
    fs::remove_file(run.path("w.bin")).unwrap();
    fs::remove_file(run.path("model.onnx")).unwrap();
    passes(run.command().env("SMOKE_PLAN_EXISTS", "1"));
    assert_computes(&run);
}

#[test]
fn what_cannot_be_built_is_refused_with_a_sentence() {
    let Some(doubles) = doubles::build() else { return };
    let run = Run::new(doubles);
    refused(run.command().env("SMOKE_NO_PROFILE", "1"), "no optimization profile has been defined");
    refused(run.command().env("SMOKE_CANCEL", "1"), "cancelled by the progress monitor\nphases 2 2 steps 1");
    refused(
        run.command().env("DOUBLE_TENSORRT_FAIL", "build"),
        "IBuilder::buildSerializedNetwork: DOUBLE_TENSORRT_FAIL",
    );
    refused(
        run.command().env("DOUBLE_TENSORRT_REFUSE", "MatMul"),
        "parser error 8 node 0: Error in operator MatMul (product): not supported",
    );
    for broken in [&onnx(None)[..100], b"", b"no ONNX at all"] {
        fs::write(run.path("model.onnx"), broken).unwrap();
        refused(
            &mut run.command(),
            "parser error 3 node -1: ModelImporter: Failed to parse ONNX model from stream",
        );
    }
}

#[test]
fn a_plan_that_does_not_fit_is_refused_with_a_sentence() {
    let Some(doubles) = doubles::build() else { return };
    let run = Run::new(doubles);
    passes(&mut run.command());
    let open = || {
        let mut command = run.command();
        command.env("SMOKE_PLAN_EXISTS", "1");
        command
    };
    refused(open().env("DOUBLE_CUDA_SM", "89"), "expecting compute 8.9 got compute 8.6, please rebuild");
    refused(
        open().env("DOUBLE_TENSORRT_VERSION", "110300"),
        "Current Version: 110300, Serialized Engine Version: 110400",
    );
    refused(open().env("DOUBLE_CUDA_MEMORY", "64"), "Requested amount of GPU memory (");
    refused(open().env("DOUBLE_TENSORRT_FAIL", "deserialize"), "DOUBLE_TENSORRT_FAIL asked for this");
    refused(
        open().env("DOUBLE_TENSORRT_FAIL", "context"),
        "ICudaEngine::createExecutionContext: DOUBLE_TENSORRT_FAIL",
    );
    let plan = fs::read(run.path("engine.plan")).unwrap();
    let mut flipped = plan.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let broken: [(&[u8], &str); 4] = [
        (&plan[..plan.len() - 1], "the plan ends too early"),
        (&plan[..12], "the plan ends too early"),
        (&flipped, "checksum does not match"),
        (b"ftrt, as another family writes", "magicTagRead == kMAGIC_TAG failed"),
    ];
    for (bytes, sentence) in broken {
        fs::write(run.path("engine.plan"), bytes).unwrap();
        refused(&mut open(), sentence);
    }
}

#[test]
fn a_plan_of_another_family_is_refused() {
    let Some(doubles) = doubles::build() else { return };
    let run = Run::new(doubles);
    passes(&mut run.command());
    for doubles in
        families().into_iter().filter(|other| other.infer().file_name() != run.doubles.infer().file_name())
    {
        let other = Run::new(doubles);
        fs::copy(run.path("engine.plan"), other.path("engine.plan")).unwrap();
        refused(other.command().env("SMOKE_PLAN_EXISTS", "1"), "magicTagRead == kMAGIC_TAG failed");
    }
}

#[test]
fn without_a_device_there_is_no_builder_and_the_runtime_is_0x228() {
    let Some(doubles) = doubles::build() else { return };
    let run = Run::new(doubles);
    refused(
        run.command().env("DOUBLE_CUDA_DEVICES", "0"),
        "createInferBuilder: CUDA initialization failure with error: 100",
    );
    let mut runtime = run.command();
    refused(
        runtime.env("SMOKE_PLAN_EXISTS", "1").env("DOUBLE_CUDA_INIT", "803"),
        "cuInit 803\nruntime 0x228",
    );
}

/// What clip-tensorrt's tables rest on: the headers of a family agree.
#[test]
fn headers_of_one_family_have_the_same_slots() {
    let mut families: BTreeMap<(i64, bool), BTreeMap<String, i64>> = BTreeMap::new();
    for include in doubles::header_sets() {
        let mut slots = doubles::slots(&include);
        let version = slots.remove("NV_TENSORRT_VERSION").unwrap();
        slots.remove("NV_ONNX_PARSER_VERSION").unwrap();
        slots.retain(|name, _| !name.starts_with("ComputeCapability::"));
        let family = if version >= 100_000 { (version / 10_000, false) } else { (1, version >= 10_500) };
        let first = families.entry(family).or_insert_with(|| slots.clone());
        // A newer version may have more at its tables' ends.
        let shared: Vec<_> = first.keys().filter(|name| slots.contains_key(*name)).cloned().collect();
        assert!(shared.len() > 100, "{}", include.display());
        for name in shared {
            assert_eq!(first[&name], slots[&name], "{name} in {}", include.display());
        }
        assert_eq!(slots["IBuilder::deleting destructor"], 1);
        assert_eq!(slots["Dims64 size"], 72);
        let strongly_typed = i64::from(family == (1, false) || family.0 == 10);
        assert_eq!(slots["NetworkDefinitionCreationFlag::kSTRONGLY_TYPED"], strongly_typed);
    }
}
