//! `--triton`: models in a repository as Triton wants them, whole or not at all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checkpoint;

use std::path::{Path, PathBuf};
use std::process::Command;

use checkpoint::{entries, tiny, vocabulary};
use clip_checkpoint::{Checkpoint, WeightFormat};
use clip_exporter::triton::{Device, Repository};
use clip_exporter::{Error, Form, Labels, Options, Tower, export};
use clip_model::manifest::Values;
use clip_runtime::engine::{Port, Tensor};

struct Work(tempfile::TempDir);

impl Work {
    fn new() -> Work {
        let root = tempfile::tempdir().unwrap();
        tiny(root.path(), WeightFormat::Fp32, |_| ());
        Work(root)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn export(&self, folder: &str, options: Options) -> PathBuf {
        let folder = self.path(folder);
        let checkpoint = Checkpoint::open(self.path("checkpoint")).unwrap();
        export(&checkpoint, &folder, &Options { replace: true, ..options }, &mut |_| {}).unwrap();
        folder
    }

    fn repository(&self) -> Repository {
        Repository { path: self.path("repository"), device: Device::Auto, replace: false }
    }

    fn config(&self, model: &str) -> String {
        std::fs::read_to_string(self.path("repository").join(model).join("config.pbtxt")).unwrap()
    }
}

fn options(name: &str) -> Options {
    let labels = Some(Labels { labels: vec!["red car".into(), "road".into()], templates: vec![] });
    Options { model: name.into(), labels, classifier: Some(Values::Bytes), ..Options::default() }
}

/// The values of a field wherever it stands, in order.
fn fields<'a>(config: &'a str, name: &str) -> Vec<&'a str> {
    let lines = config.lines().filter_map(|line| line.trim().split_once(": "));
    lines.filter(|(field, _)| *field == name).map(|(_, value)| value).collect()
}

/// Sizes of a port, as a list of the text form.
fn dims(port: &Port, skipped: usize) -> String {
    let size = |size: &Option<usize>| size.map_or_else(|| "-1".to_owned(), |size| size.to_string());
    format!("[ {} ]", port.shape[skipped..].iter().map(size).collect::<Vec<_>>().join(", "))
}

/// Holds a model's configuration against its graph, and runs its warm-up requests.
fn assert_fits(model: &Path, batch: Option<usize>) {
    let config = std::fs::read_to_string(model.join("config.pbtxt")).unwrap();
    let engine = clip_runtime::Options::new().start_engine().unwrap();
    let session = engine.open(&model.join("1/model.onnx"), 1).unwrap();
    let (input, output) = (session.inputs().remove(0), session.outputs().remove(0));
    let name = model.file_name().unwrap().to_str().unwrap();
    assert_eq!(fields(&config, "name")[..3], [name, &input.name, &output.name].map(|n| format!("{n:?}")));
    let element = match input.element.as_str() {
        "float32" => "TYPE_FP32",
        "uint8" => "TYPE_UINT8",
        _ => "TYPE_INT32",
    };
    assert_eq!(fields(&config, "data_type")[..2], [element, "TYPE_FP32"]);
    let skipped = usize::from(batch.is_none());
    assert_eq!(fields(&config, "dims")[..2], [dims(&input, skipped), dims(&output, skipped)]);
    assert_eq!(input.shape[0], batch);
    assert_eq!(fields(&config, "max_batch_size"), [if batch.is_some() { "0" } else { "32" }]);
    assert_eq!(config.contains("dynamic_batching {"), batch.is_none());
    let sizes: Vec<usize> = fields(&config, "batch_size").iter().map(|n| n.parse().unwrap()).collect();
    assert_eq!(sizes, if batch.is_some() { vec![1] } else { vec![1, 32] });
    for (warmup, rows) in sizes.iter().enumerate() {
        let size = |n: &str| n.parse::<usize>().unwrap();
        let listed = fields(&config, "dims")[2 + warmup].trim_matches(['[', ']', ' ']);
        let item: Vec<usize> = listed.split(", ").map(size).collect();
        let shape = if batch.is_some() { item.clone() } else { [&[*rows], &item[..]].concat() };
        let elements: usize = shape.iter().product();
        let tensor = match element {
            "TYPE_FP32" => Tensor::Float32(shape, vec![0.0; elements]),
            "TYPE_UINT8" => Tensor::UInt8(shape, vec![0; elements]),
            _ => {
                let file = fields(&config, "input_data_file")[warmup].trim_matches('"');
                let bytes = std::fs::read(model.join("warmup").join(file)).unwrap();
                let ids: Vec<i32> =
                    bytes.chunks_exact(4).map(|id| i32::from_le_bytes(id.try_into().unwrap())).collect();
                assert_eq!(ids.len(), item.iter().product::<usize>());
                assert_eq!(ids.last(), Some(&vocabulary().end_id()));
                let repeats = elements / ids.len();
                Tensor::Int32(shape, ids.repeat(repeats))
            }
        };
        assert!(session.run(&[(&input.name, &tensor)]).unwrap()[0].values.iter().all(|v| v.is_finite()));
    }
}

#[test]
fn models_have_the_configuration_of_their_graphs() {
    let work = Work::new();
    let folder = work.export("model", Options { external_data: true, ..options("my/model") });
    let repository = work.repository();
    let models = repository.add(&folder).unwrap();
    let names = ["my_model_visual", "my_model_text", "my_model_classifier"];
    assert_eq!(models, names.map(|name| repository.path.join(name)));
    models.iter().for_each(|model| assert_fits(model, None));
    assert_eq!(entries(&models[2]), ["1", "config.pbtxt", "labels.txt"]);
    assert_eq!(entries(&models[2].join("1")), ["classifier.onnx.data", "model.onnx"]);
    assert_eq!(fields(&work.config(names[2]), "label_filename"), ["\"labels.txt\""]);
    assert_eq!(std::fs::read_to_string(models[2].join("labels.txt")).unwrap(), "red car\nroad\n");
    // A client is shown the ids of a text.
    let ids = format!("{:?}", vocabulary().encode("a photo of a cat", 12));
    assert!(work.config(names[1]).contains(&ids), "{}", work.config(names[1]));
}

#[test]
fn a_fixed_batch_is_an_axis() {
    let work = Work::new();
    let form = Form { batch: Some(3), ..Form::default() };
    let folder = work.export("model", Options { form, ..options("fixed") });
    for model in work.repository().add(&folder).unwrap() {
        assert_fits(&model, Some(3));
    }
}

#[test]
fn devices_have_their_kinds() {
    let work = Work::new();
    let folder = work.export("model", options("tiny"));
    for (device, kind) in [(Device::Auto, "KIND_AUTO"), (Device::Cpu, "KIND_CPU"), (Device::Gpu, "KIND_GPU")]
    {
        let repository = Repository { device, replace: true, ..work.repository() };
        repository.add(&folder).unwrap();
        assert_eq!(fields(&work.config("tiny_visual"), "kind"), [kind]);
    }
}

/// A folder's encoder may be a plan, whoever built it.
#[test]
fn a_plan_is_tensorrts() {
    let work = Work::new();
    let folder = work.export("model", options("tiny"));
    let mut manifest = clip_model::Manifest::read(&folder).unwrap();
    std::fs::rename(folder.join("visual.onnx"), folder.join("visual.plan")).unwrap();
    manifest.image.as_mut().unwrap().file = "visual.plan".into();
    manifest.write(&folder).unwrap();
    let models = work.repository().add(&folder).unwrap();
    let config = work.config("tiny_visual");
    assert_eq!(entries(&models[0].join("1")), ["model.plan"]);
    assert_eq!(fields(&config, "platform"), ["\"tensorrt_plan\""]);
    assert_eq!(fields(&config, "backend"), ["\"tensorrt\""]);
    assert_eq!(fields(&config, "default_model_filename"), ["\"model.plan\""]);
    assert_eq!(fields(&config, "kind"), ["KIND_GPU"]);
    assert_eq!(fields(&work.config("tiny_text"), "platform"), ["\"onnxruntime_onnx\""]);
}

#[test]
fn only_what_was_written_here_is_replaced() {
    let work = Work::new();
    let folder = work.export("model", options("tiny"));
    let repository = work.repository();
    let other = repository.path.join("resnet/1");
    std::fs::create_dir_all(&other).unwrap();
    repository.add(&folder).unwrap();
    let message = |error: Error| {
        assert!(!error.to_string().contains("--"), "{error}");
        error.to_string()
    };
    let check = |repository: &Repository| repository.check(&folder, &options("tiny"));
    assert!(message(check(&repository).unwrap_err()).ends_with("tiny_visual exists already"));
    assert!(matches!(repository.add(&folder), Err(Error::TritonModel { ours: true, .. })));
    let repository = Repository { replace: true, ..repository };
    let replaced = || repository.add(&folder).map(drop);
    let model = |name: &str| repository.path.join(name);
    replaced().unwrap();

    // A version of the user's own, and other files.
    for file in
        ["tiny_visual/2", "tiny_text/1/model.py", "tiny_text/warmup/mine", "tiny_classifier/notes.txt"]
    {
        std::fs::create_dir(model(file)).unwrap();
        for error in [check(&repository).unwrap_err(), replaced().unwrap_err()] {
            let name = Path::new(file).file_name().unwrap().to_str().unwrap();
            assert!(matches!(&error, Error::ForeignFile { .. }) && message(error).contains(name), "{file}");
        }
        std::fs::remove_dir(model(file)).unwrap();
    }
    std::fs::write(model("tiny_text/config.pbtxt"), "name: \"tiny_text\"\n").unwrap();
    let error = replaced().unwrap_err();
    assert!(matches!(error, Error::TritonModel { ours: false, .. }));
    assert!(message(error).contains("was not written by this exporter"));
    // What the export does not have is no matter.
    let visual = Options { only: Some(Tower::Image), ..options("tiny") };
    repository.check(&folder, &visual).unwrap();
    // The other models were left as they were.
    let names = ["resnet", "tiny_classifier", "tiny_text", "tiny_visual"];
    assert_eq!(entries(&repository.path), names);
    assert_eq!(entries(&model("tiny_visual")), ["1", "config.pbtxt"]);
}

#[test]
fn repositories_and_model_folders_lie_apart() {
    let work = Work::new();
    let folder = work.export("model", options("tiny"));
    for path in ["model", "model/repository", "."] {
        let path = std::path::absolute(work.path(path)).unwrap();
        let repository = Repository { path, ..work.repository() };
        let error = repository.add(&folder).unwrap_err();
        assert!(matches!(error, Error::TritonNested { .. }), "{error}");
    }
    let error = work.repository().check(&folder, &options("模型")).unwrap_err();
    assert!(matches!(error, Error::TritonName { .. }) && error.to_string().contains("模型"), "{error}");
}

#[test]
fn the_command_adds_models_or_says_what_is_in_the_way() {
    let work = Work::new();
    std::fs::write(work.path("labels.txt"), "red car\nroad\n").unwrap();
    let run = |arguments: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clip-export"));
        command.current_dir(work.0.path()).args(["checkpoint", "-o"]).args(arguments.split(' '));
        let output = command.output().unwrap();
        let [said, printed] = [output.stderr, output.stdout].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), said, printed)
    };
    let (code, said, printed) =
        run("model --name tiny --triton repository --triton-device cpu --labels labels.txt --classifier");
    assert_eq!(code, Some(0), "{said}");
    let models = ["repository/tiny_visual", "repository/tiny_text", "repository/tiny_classifier"];
    assert_eq!(printed.lines().collect::<Vec<_>>(), [&["model"], &models[..]].concat());
    assert_eq!(fields(&work.config("tiny_text"), "kind"), ["KIND_CPU"]);
    let (_, _, printed) = run("model --name tiny --triton repository --only visual --force --json");
    let json: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(json["models"], serde_json::json!(["repository/tiny_visual"]));
    for (arguments, status, part) in [
        ("other --name tiny --triton repository", 1, "give another --name, or replace it with --force"),
        ("other --name 模型 --triton repository", 1, "give one with --name"),
        ("other --triton other/models", 2, "must not lie in each other"),
        ("other --triton repository --precision fp32,fp16", 2, "--triton takes the model of one precision"),
        ("other --triton-device cpu", 2, "--triton <REPO>"),
        ("other --to hf --triton repository", 2, "cannot be used with"),
    ] {
        let (code, said, _) = run(arguments);
        assert_eq!(code, Some(status), "{said}");
        assert!(said.contains(part), "{said}");
        assert!(!work.path("other").exists(), "{arguments}");
    }
}
