//! The example program against a server of the test's own, which runs the models of a repository that the exporter wrote.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use clip_checkpoint::Checkpoint;
use clip_exporter::triton::{Device, Repository};
use clip_exporter::{Labels, Options, export};
use clip_model::config::Activation;
use clip_model::manifest::Values;
use clip_runtime::Clip;
use clip_runtime::engine::Tensor;
use clip_testkit::hub::{Reply, Request, Server};
use clip_testkit::vit;
use serde_json::{Value, json};
use tempfile::TempDir;

/// As much of Triton as the program talks to: the models of a repository, each run as its configuration says.
fn triton(repository: PathBuf) -> Server {
    let engine = Mutex::new(clip_runtime::Options::new().start_engine().unwrap());
    Server::start(move |request| {
        let refused = |status, reason: &str| Reply::new(status, json!({ "error": reason }).to_string());
        let path = request.path.strip_prefix("/v2/models/").and_then(|path| path.split_once('/'));
        let Some((model, action)) = path else { return refused(404, "no such path") };
        let folder = repository.join(model);
        if !folder.exists() {
            return refused(400, &format!("Request for unknown model: '{model}' is not found"));
        }
        match (request.method.as_str(), action) {
            ("GET", "ready") => Reply::new(200, ""),
            ("POST", "infer") => {
                let session = engine.lock().unwrap().open(&folder.join("1/model.onnx"), 1).unwrap();
                let (name, tensor) = tensor(request);
                let outputs = session.run(&[(&name, &tensor)]).unwrap();
                let outputs: Vec<Value> = outputs
                    .iter()
                    .map(|output| {
                        let shape = &output.shape;
                        json!({ "name": output.name, "datatype": "FP32", "shape": shape, "data": output.values })
                    })
                    .collect();
                let answer = json!({ "model_name": model, "model_version": "1", "outputs": outputs });
                Reply::new(200, answer.to_string())
            }
            _ => refused(404, "no such path"),
        }
    })
}

/// The input of a request: JSON, and its numbers behind that.
fn tensor(request: &Request) -> (String, Tensor) {
    let length: usize = request.header("inference-header-content-length").unwrap().parse().unwrap();
    let (head, bytes) = request.body.split_at(length);
    let head: Value = serde_json::from_slice(head).unwrap();
    let input = &head["inputs"][0];
    assert_eq!(input["parameters"]["binary_data_size"], bytes.len());
    let shape: Vec<usize> = serde_json::from_value(input["shape"].clone()).unwrap();
    let tensor = match input["datatype"].as_str().unwrap() {
        "FP32" => {
            let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
            Tensor::Float32(shape, bytes.chunks_exact(4).map(number).collect::<Vec<_>>())
        }
        "UINT8" => Tensor::UInt8(shape, bytes.to_vec()),
        other => panic!("{other}"),
    };
    (input["name"].as_str().unwrap().to_owned(), tensor)
}

/// A model folder, and its models in a repository.
struct Work {
    root: TempDir,
    picture: PathBuf,
}

impl Work {
    fn new(siglip: bool, classifier: Option<Values>) -> Work {
        let root = tempfile::tempdir().unwrap();
        let checkpoint = if siglip {
            clip_testkit::siglip::checkpoint(root.path())
        } else {
            let config = vit(16, [16, 8, 32, 2, 16], [8, 49408, 16, 2, 1], 2.0, Activation::QuickGelu);
            clip_testkit::checkpoint(root.path(), &config)
        };
        let labels = ["cab", "abc", "a cab, a cab", "b"].map(str::to_owned).to_vec();
        let options = Options {
            model: "tiny".into(),
            labels: Some(Labels { labels, templates: vec![] }),
            classifier,
            ..Options::default()
        };
        let folder = root.path().join("model");
        export(&Checkpoint::open(checkpoint).unwrap(), &folder, &options, &mut |_| {}).unwrap();
        let repository = root.path().join("repository");
        Repository { path: repository, device: Device::Cpu, replace: false }.add(&folder).unwrap();
        let picture = root.path().join("gradient.ppm");
        let pixels = (0..30 * 20 * 3).map(|i| (i * 7 % 256) as u8);
        std::fs::write(&picture, b"P6 30 20 255\n".iter().copied().chain(pixels).collect::<Vec<_>>())
            .unwrap();
        Work { root, picture }
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("model")
    }

    fn run(&self, url: &str, name: &str, folder: &Path) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_clip-triton"));
        program.args([url, name]).arg(folder).arg(&self.picture).output().unwrap()
    }
}

#[test]
fn a_server_gives_the_labels_that_the_runtime_gives() {
    for siglip in [false, true] {
        for classifier in [None, Some(Values::Normalised), Some(Values::Bytes), Some(Values::Pixels)] {
            let work = Work::new(siglip, classifier);
            let server = triton(work.root.path().join("repository"));
            let output = work.run(&server.url, "tiny", &work.folder());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let asked: Vec<String> = server.requests().into_iter().map(|request| request.path).collect();
            let kind = if classifier.is_some() { "classifier" } else { "visual" };
            assert_eq!(asked.last().unwrap(), &format!("/v2/models/tiny_{kind}/infer"));

            let clip = Clip::open(work.folder()).unwrap();
            let image = clip.open_image(&work.picture).unwrap();
            let expected = clip.classify(&image, clip.stored_labels().unwrap(), 5).unwrap();
            let printed = String::from_utf8(output.stdout).unwrap();
            assert_eq!(printed.lines().count(), expected.len());
            for (line, expected) in printed.lines().zip(expected) {
                let (probability, label) = line.split_once(" %  ").unwrap();
                assert_eq!(label, expected.label);
                let probability: f32 = probability.trim().parse().unwrap();
                assert!((probability - 100.0 * expected.probability).abs() < 1e-3, "{line}: {expected:?}");
            }
        }
    }
}

#[test]
fn what_the_server_refuses_is_said() {
    let work = Work::new(false, None);
    let server = triton(work.root.path().join("repository"));
    let said = |url: &str, name: &str, folder: &Path| {
        let output = work.run(url, name, folder);
        assert!(!output.status.success() && output.stdout.is_empty());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("panicked"), "{said}");
        said
    };
    let unknown = said(&server.url, "large", &work.folder());
    assert!(
        unknown.contains("400 Bad Request: Request for unknown model: 'large_visual' is not found"),
        "{unknown}"
    );
    let nobody = said("http://127.0.0.1:9", "tiny", &work.folder());
    assert!(nobody.contains("cannot reach http://127.0.0.1:9/v2/models/tiny_visual/infer"), "{nobody}");
    let colours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runtime/tests/colours");
    assert!(said(&server.url, "tiny", &colours).contains("has no stored labels"));
    let garbled = Server::start(|_| Reply::new(200, "{\"outputs\": []}"));
    assert!(said(&garbled.url, "tiny", &work.folder()).contains("gave no output \"embedding\""));
}
