//! The manifest of a model folder: what is written is read back, and what is wrong is refused by name.

#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::path::Path;

use clip_model::frame::{Color, FrameLayout, PixelFormat, Rect, View};
use clip_model::manifest::{
    Build, Camera, Classifier, Combined, DataFile, Element, Encoder, Engine, FILE, Graph, Input, LabelsFile,
    Layout, Plan, Precision, SCHEMA, SCHEMAS, Sizes, TokenizerFile, Values, verified,
};
use clip_model::orientation::Orientation;
use clip_model::tokenizer::{self, Cleaning};
use clip_model::{Error, Manifest, Preprocess, Tokenizer, files};
use serde_json::{Value, json};

fn manifest() -> Manifest {
    let encoder = |file: &str, input: &str, element| Encoder {
        file: file.into(),
        sha256: "0".repeat(64),
        data: Vec::new(),
        engine: Engine::Onnx {},
        precision: Precision::Fp32,
        input: Input::new(input, element),
        batch: None,
        output: "embedding".into(),
    };
    Manifest {
        schema: SCHEMA,
        producer: "test 1".into(),
        model: "tiny".into(),
        embed_dim: 16,
        logit_scale: 100.0,
        logit_bias: None,
        preprocess: Preprocess::default(),
        tokenizer: Some(TokenizerFile {
            file: "tokenizer.json".into(),
            sha256: "0".repeat(64),
            context_length: 77,
            padded: false,
            clean: None,
        }),
        image: Some(encoder("visual.onnx", "image", Element::Float32)),
        text: Some(encoder("text.onnx", "ids", Element::Int32)),
        labels: None,
        combined: None,
        classifier: None,
        camera: None,
    }
}

/// A camera that is seen from a quarter to the left.
fn camera() -> Camera {
    let input = Input { name: "y".into(), layout: Layout::Planes, element: Element::Uint8 };
    let encoder = Encoder { file: "camera.onnx".into(), input, ..manifest().image.unwrap() };
    let layout = FrameLayout::new(PixelFormat::Nv12, 1280, 720).unwrap();
    let crop = Some(Rect { left: 280, top: 0, width: 720, height: 720 });
    let view = View { crop, orientation: Orientation::TurnedRight };
    Camera { encoder, inputs: vec!["y".into(), "uv".into()], layout, view }
}

/// A classifier of the model's labels.
fn classifier() -> Classifier {
    let encoder = Encoder {
        file: "classifier.onnx".into(),
        output: "probabilities".into(),
        ..manifest().image.unwrap()
    };
    let text = |file: &str| DataFile { file: file.into(), sha256: "4".repeat(64) };
    let settings = vec![text("classifier.onnx.modelinfo")];
    Classifier { encoder, values: Values::Pixels, labels: text("labels.txt"), settings }
}

/// Everything that a manifest can say.
fn full_manifest() -> Manifest {
    let mut full = manifest();
    let data = |file: &str| vec![DataFile { file: file.into(), sha256: "1".repeat(64) }];
    let image = full.image.as_mut().unwrap();
    (image.precision, image.batch) = (Precision::Int8, Some(4));
    image.input = Input::new("image", Element::Uint8);
    image.data = data("visual.onnx.data");
    full.text.as_mut().unwrap().precision = Precision::Fp16;
    full.labels = Some(LabelsFile { file: "labels.safetensors".into(), sha256: "2".repeat(64), count: 3 });
    let (file, sha256) = ("clip.onnx".into(), "3".repeat(64));
    full.combined = Some(Combined { file, sha256, data: data("clip.onnx.data") });
    full.classifier = Some(classifier());
    full.camera = Some(camera());
    full
}

type Change = fn(&mut Value);

/// What reading gives after `change` was done to a good manifest.
fn read_changed(folder: &Path, change: impl FnOnce(&mut Value)) -> Result<Manifest, Error> {
    let mut value = serde_json::to_value(manifest()).unwrap();
    change(&mut value);
    std::fs::write(folder.join(FILE), value.to_string()).unwrap();
    Manifest::read(folder)
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut only_image = manifest();
    (only_image.text, only_image.tokenizer) = (None, None);
    let only_text = Manifest { image: None, ..manifest() };
    for manifest in [manifest(), full_manifest(), only_image, only_text] {
        manifest.write(folder.path()).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), manifest);
    }
}

#[test]
fn all_files_are_known() {
    let known = ["clip.json", "report.json", ".checked.json", "visual.onnx", "text.onnx", "tokenizer.json"];
    let mut found = manifest().files().into_iter().map(str::to_owned).collect::<Vec<_>>();
    found.sort();
    let mut expected = known.to_vec();
    expected.sort();
    assert_eq!(found, expected);
    let full = full_manifest();
    let more = ["visual.onnx.data", "labels.safetensors", "clip.onnx", "clip.onnx.data"];
    for file in
        more.into_iter().chain(["classifier.onnx", "labels.txt", "classifier.onnx.modelinfo", "camera.onnx"])
    {
        assert!(full.files().contains(&file), "{file}");
    }
}

/// The words of a file as they are promised to other programs.
#[test]
fn an_encoder_is_written_in_these_words() {
    let written = serde_json::to_value(manifest()).unwrap();
    let expected = |file, name, layout, element| {
        json!({
            "file": file,
            "sha256": "0".repeat(64),
            "engine": { "name": "onnx" },
            "precision": "fp32",
            "input": { "name": name, "layout": layout, "element": element },
            "output": "embedding",
        })
    };
    assert_eq!(written["schema"], 4);
    assert_eq!(written["image"], expected("visual.onnx", "image", "nchw", "float32"));
    assert_eq!(written["text"], expected("text.onnx", "ids", "tokens", "int32"));
    let bytes = serde_json::to_value(full_manifest()).unwrap();
    assert_eq!(bytes["image"]["input"], json!({ "name": "image", "layout": "nhwc", "element": "uint8" }));
    let mut encoder = expected("classifier.onnx", "image", "nchw", "float32");
    encoder["output"] = json!("probabilities");
    let text = |file| json!({ "file": file, "sha256": "4".repeat(64) });
    let (labels, settings) = (text("labels.txt"), json!([text("classifier.onnx.modelinfo")]));
    let classifier =
        json!({ "encoder": encoder, "values": "pixels", "labels": labels, "settings": settings });
    assert_eq!(bytes["classifier"], classifier);
    let mut encoder = expected("camera.onnx", "y", "planes", "uint8");
    encoder["output"] = json!("embedding");
    let camera = json!({
        "encoder": encoder,
        "inputs": ["y", "uv"],
        "layout": {
            "format": "nv12", "width": 1280, "height": 720, "strides": [1280, 1280, 0],
            "color": { "matrix": "bt709", "range": "limited" }, "levels": [0, 65535],
        },
        "view": { "crop": { "left": 280, "top": 0, "width": 720, "height": 720 }, "orientation": "turned_right" },
    });
    assert_eq!(bytes["camera"], camera);
}

fn with_plan() -> Manifest {
    let mut manifest = manifest();
    let image = manifest.image.as_mut().unwrap();
    let graph = Graph {
        data: vec![DataFile { file: "visual.onnx.data".into(), sha256: "5".repeat(64) }],
        ..image.graph()
    };
    image.file = "visual.plan".into();
    image.engine = Engine::TensorRt(Box::new(Plan {
        family: "10".into(),
        version: "10.3.0".into(),
        compute_capabilities: vec![87],
        device: Some("Orin".into()),
        batch: Sizes { min: 1, opt: 8, max: 32 },
        length: None,
        build: Build {
            level: None,
            workspace: Some(1 << 30),
            version_compatible: false,
            hardware_compatible: false,
            milliseconds: 61_000,
            peak_memory: 1 << 31,
        },
        graph,
        verified: true,
    }));
    manifest
}

#[test]
fn a_plan_is_written_with_what_it_depends_on_and_with_its_graph() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = with_plan();
    manifest.write(folder.path()).unwrap();
    assert_eq!(Manifest::read(folder.path()).unwrap(), manifest);
    let written = serde_json::to_value(&manifest).unwrap();
    let engine = &written["image"]["engine"];
    assert_eq!((&engine["name"], &engine["family"]), (&json!("tensorrt"), &json!("10")));
    assert_eq!(engine["compute_capabilities"], json!([87]));
    assert_eq!(engine["batch"], json!({ "min": 1, "opt": 8, "max": 32 }));
    assert_eq!(engine["graph"]["file"], "visual.onnx");
    // A folder holds both, and what runs is one of them.
    let image = manifest.image.as_ref().unwrap();
    assert_eq!(image.files().map(|(file, _)| file).collect::<Vec<_>>(), ["visual.plan"]);
    assert_eq!(
        image.graph().files().map(|(file, _)| file).collect::<Vec<_>>(),
        ["visual.onnx", "visual.onnx.data"]
    );
    let all = ["visual.plan", "visual.onnx", "visual.onnx.data", "text.onnx"];
    assert!(all.iter().all(|file| manifest.files().contains(file)), "{:?}", manifest.files());
    let graph = image.without_plan();
    assert_eq!((graph.file.as_str(), &graph.engine, graph.data.len()), ("visual.onnx", &Engine::Onnx {}, 1));
    assert_eq!(graph.input, image.input);
}

#[test]
fn plans_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |change: &dyn Fn(&mut Plan)| {
        let mut manifest = with_plan();
        let Engine::TensorRt(plan) = &mut manifest.image.as_mut().unwrap().engine else { panic!() };
        change(plan);
        manifest.write(folder.path()).unwrap_err().to_string()
    };
    for sizes in [(0, 1, 1), (2, 1, 3), (1, 4, 3), (1, 1, 1 << 20)] {
        let (min, opt, max) = sizes;
        let said = refused(&|plan| plan.batch = Sizes { min, opt, max });
        assert!(said.contains("sizes that make no sense"), "{said}");
    }
    let said = refused(&|plan| plan.graph.file = "../visual.onnx".into());
    assert!(said.contains("not a plain file name"), "{said}");
}

#[test]
fn schema_2_says_what_later_ones_say_but_for_plans() {
    let folder = tempfile::tempdir().unwrap();
    let found = read_changed(folder.path(), |m| m["schema"] = json!(2)).unwrap();
    assert_eq!(found, manifest());
}

#[test]
fn an_unknown_schema_version_is_refused_before_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    for version in [0, SCHEMA + 1, u64::MAX] {
        let other = read_changed(folder.path(), |m| {
            m["schema"] = json!(version);
            m["something new"] = json!(true);
            m["image"] = json!(["of", "another", "type"]);
            m["embed_dim"] = json!("16");
        });
        let error = other.unwrap_err();
        assert!(
            matches!(&error, Error::SchemaVersion { found, known, .. } if *found == version && *known == SCHEMAS)
        );
        let said = error.to_string();
        assert!(
            said.contains(&format!("schema version {version}; this build reads versions 1 to 4")),
            "{said}"
        );
    }
}

/// A folder of schema 1 as clip-export wrote it, with all that it could say.
const SCHEMA_1: &str = r#"{
  "schema": 1,
  "producer": "clip-export 0.1.0",
  "model": "camera",
  "embed_dim": 16,
  "logit_scale": 100.0,
  "logit_bias": -10.0,
  "preprocess": {
    "size": 224,
    "resize_mode": "shortest",
    "interpolation": "bicubic",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "background": [255, 255, 255],
    "apply_exif_orientation": true,
    "max_pixels": 178956970
  },
  "tokenizer": { "file": "tokenizer.json", "sha256": "a", "context_length": 64, "padded": true, "clean": "canonicalize" },
  "image": {
    "file": "visual.onnx",
    "sha256": "b",
    "data": [{ "file": "visual.onnx.data", "sha256": "c" }],
    "engine": "onnx",
    "precision": "int8",
    "input": "pixels",
    "element": "uint8",
    "batch": 4,
    "output": "embedding"
  },
  "text": {
    "file": "text.onnx",
    "sha256": "d",
    "engine": "onnx",
    "precision": "fp16",
    "input": "ids",
    "element": "int32",
    "output": "features"
  },
  "labels": { "file": "labels.safetensors", "sha256": "e", "count": 3 },
  "combined": { "file": "clip.onnx", "sha256": "f" }
}"#;

#[test]
fn a_folder_of_schema_1_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let read = |json: &str| {
        std::fs::write(folder.path().join(FILE), json).unwrap();
        Manifest::read(folder.path())
    };
    let found = read(SCHEMA_1).unwrap();
    assert_eq!((found.schema, found.logit_bias, found.preprocess.size), (SCHEMA, Some(-10.0), 224));
    let tokenizer = found.tokenizer.as_ref().unwrap();
    assert_eq!((tokenizer.padded, tokenizer.clean), (true, Some(Cleaning::Canonicalize)));
    let image = Encoder {
        file: "visual.onnx".into(),
        sha256: "b".into(),
        data: vec![DataFile { file: "visual.onnx.data".into(), sha256: "c".into() }],
        engine: Engine::Onnx {},
        precision: Precision::Int8,
        input: Input { name: "pixels".into(), layout: Layout::Nhwc, element: Element::Uint8 },
        batch: Some(4),
        output: "embedding".into(),
    };
    assert_eq!(found.image.as_ref(), Some(&image));
    let text = found.text.as_ref().unwrap();
    assert_eq!((text.file.as_str(), text.output.as_str(), text.batch), ("text.onnx", "features", None));
    assert_eq!(text.input, Input { name: "ids".into(), layout: Layout::Tokens, element: Element::Int32 });
    assert!(found.labels.is_some() && found.combined.is_some());
    // It is written as one of today.
    found.write(folder.path()).unwrap();
    assert_eq!(Manifest::read(folder.path()).unwrap(), found);

    // Older ones do not say how texts are cleaned, and may have one encoder.
    let older = read(&SCHEMA_1.replace(r#", "clean": "canonicalize""#, "")).unwrap();
    assert_eq!(older.tokenizer.unwrap().clean, None);
    let mut only_image: Value = serde_json::from_str(SCHEMA_1).unwrap();
    only_image["text"] = Value::Null;
    only_image.as_object_mut().unwrap().remove("tokenizer");
    let only_image = read(&only_image.to_string()).unwrap();
    assert!(only_image.text.is_none() && only_image.image == Some(image));
}

/// All that schema 2 could say is said in the same words today.
#[test]
fn a_folder_of_schema_2_is_read_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let read = |manifest: &Manifest| {
        let mut value = serde_json::to_value(manifest).unwrap();
        value["schema"] = json!(2);
        std::fs::write(folder.path().join(FILE), value.to_string()).unwrap();
        Manifest::read(folder.path())
    };
    let full = Manifest { classifier: None, camera: None, ..full_manifest() };
    for manifest in [manifest(), full] {
        assert_eq!(read(&manifest).unwrap(), manifest);
    }
    let error = read(&Manifest { camera: None, ..full_manifest() }).unwrap_err();
    let Error::Json { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "unknown field `classifier`, read as schema 2");
}

/// Nor does schema 3 know a camera; all else that it says is said so today.
#[test]
fn a_folder_of_schema_3_is_read_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let read = |manifest: &Manifest| {
        let mut value = serde_json::to_value(manifest).unwrap();
        value["schema"] = json!(3);
        std::fs::write(folder.path().join(FILE), value.to_string()).unwrap();
        Manifest::read(folder.path())
    };
    let full = Manifest { camera: None, ..full_manifest() };
    for manifest in [full, with_plan()] {
        assert_eq!(read(&manifest).unwrap(), manifest);
    }
    let Error::Json { source, .. } = read(&full_manifest()).unwrap_err() else { panic!() };
    assert_eq!(source.to_string(), "unknown field `camera`, read as schema 3");
}

#[test]
fn a_camera_that_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    type Change = fn(&mut Camera);
    let refused = |change: Change| {
        let mut other = full_manifest();
        other.camera.iter_mut().for_each(change);
        other.write(folder.path()).unwrap_err().to_string()
    };
    let cases: [(Change, &str); 6] = [
        (|c| c.inputs.truncate(1), "inputs are [\"y\"], expected 2, \"y\" the first"),
        (|c| c.encoder.input.name = "u".into(), "expected 2, \"u\" the first"),
        (|c| c.encoder.input.layout = Layout::Nhwc, "input is not planes of uint8"),
        (|c| c.layout.strides[1] = 1279, "the stride of plane 1 is 1279"),
        (|c| c.view.crop = Some(Rect { left: 1, top: 0, width: 1280, height: 2 }), "does not lie in a frame"),
        (|c| c.encoder.batch = Some(0), "the camera's batch is Some(0)"),
    ];
    for (change, words) in cases {
        let said = refused(change);
        assert!(said.contains(words), "{said}");
    }
    let without = Manifest { image: None, classifier: None, ..full_manifest() };
    assert!(
        without
            .write(folder.path())
            .unwrap_err()
            .to_string()
            .contains("no image encoder that it would be of")
    );
}

#[test]
fn a_camera_takes_frames_that_are_like_its_own() {
    let camera = camera();
    let (layout, view) = (camera.layout, camera.view);
    assert!(camera.takes(&layout, &view));
    // What says nothing about such frames.
    assert!(camera.takes(&FrameLayout { strides: [1280, 1280, 7], levels: (3, 4), ..layout }, &view));
    assert!(!camera.takes(&FrameLayout { strides: [1280, 1344, 0], ..layout }, &view));
    assert!(!camera.takes(&FrameLayout { color: Color::assumed(480), ..layout }, &view));
    assert!(!camera.takes(&FrameLayout { format: PixelFormat::Nv21, ..layout }, &view));
    assert!(!camera.takes(&layout, &View { crop: None, ..view }));
    assert!(!camera.takes(&layout, &View { orientation: Orientation::TurnedLeft, ..view }));
    let whole = Camera { view: View::default(), ..camera.clone() };
    let crop = Some(Rect { left: 0, top: 0, width: 1280, height: 720 });
    assert!(whole.takes(&layout, &View { crop, ..View::default() }), "all of it is all of it");
    assert_eq!(camera.planes(), [[720, 1280], [360, 1280]]);
}

#[test]
fn the_words_of_one_schema_are_none_of_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let newer = |m: &mut Value| m["schema"] = json!(1);
    assert!(matches!(read_changed(folder.path(), newer), Err(Error::Json { .. })));
    for (old, new) in [
        ("\"schema\": 1", "\"schema\": 2"),
        ("\"engine\": \"onnx\"", "\"engine\": {\"name\": \"onnx\"}"),
        ("\"engine\": \"onnx\"", "\"engine\": \"abacus\""),
        ("\"element\": \"uint8\"", "\"element\": \"float64\""),
        ("\"batch\": 4", "\"surprise\": 4"),
    ] {
        let changed = SCHEMA_1.replacen(old, new, 1);
        assert_ne!(changed, SCHEMA_1);
        std::fs::write(folder.path().join(FILE), changed).unwrap();
        assert!(matches!(Manifest::read(folder.path()), Err(Error::Json { .. })), "{new}");
    }
}

#[test]
fn what_is_wrong_in_an_old_manifest_is_named_without_a_place_in_another_text() {
    let folder = tempfile::tempdir().unwrap();
    let reason = |old: &str, new: &str| {
        let changed = SCHEMA_1.replacen(old, new, 1);
        assert_ne!(changed, SCHEMA_1);
        std::fs::write(folder.path().join(FILE), changed).unwrap();
        let Err(Error::Json { source, .. }) = Manifest::read(folder.path()) else { panic!("{new}") };
        source.to_string()
    };
    assert_eq!(reason("\"element\": \"uint8\",", ""), "missing field `element`, read as schema 1");
    let unknown = reason("\"element\": \"uint8\"", "\"element\": \"float64\"");
    assert!(unknown.starts_with("unknown variant `float64`") && !unknown.contains("line"), "{unknown}");
}

#[test]
fn what_is_not_a_manifest_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Manifest::read(folder.path()), Err(Error::Io { action: "open", .. })));
    for text in ["{\"schema\": 1,", "{\"schema\": 1}", "[1]", "[2]", "{\"schema\": \"2\"}", "{}"] {
        std::fs::write(folder.path().join(FILE), text).unwrap();
        assert!(matches!(Manifest::read(folder.path()), Err(Error::Json { .. })), "{text}");
    }
    let changes: [Change; 11] = [
        |m| m["surprise"] = json!(1),
        |m| m["preprocess"]["surprise"] = json!(1),
        |m| m["image"]["engine"] = json!("onnx"),
        |m| m["image"]["engine"] = json!({ "name": "abacus" }),
        |m| m["image"]["engine"]["surprise"] = json!(1),
        |m| m["image"]["input"]["surprise"] = json!(1),
        |m| m["image"]["input"]["layout"] = json!("chwn"),
        |m| m["preprocess"]["resize_mode"] = json!("stretch"),
        |m| m["image"]["input"]["element"] = json!("float16"),
        |m| m["image"]["precision"] = json!("int4"),
        |m| drop(m["image"]["input"].as_object_mut().unwrap().remove("element")),
    ];
    for change in changes {
        assert!(matches!(read_changed(folder.path(), change), Err(Error::Json { .. })));
    }
}

#[test]
fn the_cleaning_of_texts_is_known_by_name_or_not_said() {
    let folder = tempfile::tempdir().unwrap();
    let clean = |manifest: Manifest| manifest.tokenizer.unwrap().clean;
    for (name, expected) in [
        ("none", Cleaning::None),
        ("whitespace", Cleaning::Whitespace),
        ("lower", Cleaning::Lower),
        ("canonicalize", Cleaning::Canonicalize),
    ] {
        let read = read_changed(folder.path(), |m| m["tokenizer"]["clean"] = json!(name)).unwrap();
        read.write(folder.path()).unwrap();
        assert_eq!(clean(Manifest::read(folder.path()).unwrap()), Some(expected));
    }
    assert_eq!(clean(read_changed(folder.path(), |_| ()).unwrap()), None);
    let error = read_changed(folder.path(), |m| m["tokenizer"]["clean"] = json!("ftfy")).unwrap_err();
    let Error::Json { source, .. } = &error else { panic!("{error:?}") };
    assert!(source.to_string().contains("unknown variant `ftfy`, expected one of `none`"), "{source}");
}

/// Folders that were written before there was the field mean what they did.
#[test]
fn a_folder_that_does_not_say_its_cleaning_keeps_its_meaning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let mut entry = manifest().tokenizer.unwrap();
    let own = tokenizer::train(["a cat".to_owned()].into_iter(), 514).unwrap();
    for (tokenizer, before) in [(Tokenizer::openai(), Cleaning::Lower), (own, Cleaning::None)] {
        std::fs::write(&path, tokenizer.to_json()).unwrap();
        entry.clean = None;
        assert_eq!(entry.open(&path).unwrap().cleaning(), before);
        entry.clean = Some(Cleaning::Whitespace);
        assert_eq!(entry.open(&path).unwrap().cleaning(), Cleaning::Whitespace);
    }
}

/// Adds a label set and a classifier that `change` was done to.
fn with_classifier(manifest: &mut Value, change: fn(&mut Value)) {
    manifest["labels"] = json!(full_manifest().labels);
    manifest["classifier"] = json!(classifier());
    change(&mut manifest["classifier"]);
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let changes: [(&str, Change); 26] = [
        ("../visual.onnx", |m| m["image"]["file"] = json!("../visual.onnx")),
        ("/etc/passwd", |m| m["text"]["file"] = json!("/etc/passwd")),
        ("\"..\"", |m| m["tokenizer"]["file"] = json!("..")),
        ("logit_scale", |m| m["logit_scale"] = json!(-1.0)),
        ("logit_bias", |m| m["logit_bias"] = json!(1e39)),
        ("embed_dim", |m| m["embed_dim"] = json!(0)),
        ("context_length", |m| m["tokenizer"]["context_length"] = json!(2)),
        ("size is 0", |m| m["preprocess"]["size"] = json!(0)),
        ("std", |m| m["preprocess"]["std"] = json!([1, 0, 1])),
        ("belong together", |m| m["text"] = Value::Null),
        ("belong together", |m| m["tokenizer"] = Value::Null),
        ("neither", |m| {
            ["image", "text", "tokenizer"].iter().for_each(|part| m[part] = Value::Null);
        }),
        ("image encoder takes nchw int32, expected nchw float32 or nhwc uint8", |m| {
            m["image"]["input"]["element"] = json!("int32");
        }),
        ("image encoder takes nchw uint8", |m| m["image"]["input"]["element"] = json!("uint8")),
        ("image encoder takes nhwc float32", |m| m["image"]["input"]["layout"] = json!("nhwc")),
        ("image encoder takes tokens int32", |m| m["image"]["input"] = m["text"]["input"].clone()),
        ("text encoder takes nhwc uint8, expected tokens int32", |m| {
            m["text"]["input"] = json!({ "name": "ids", "layout": "nhwc", "element": "uint8" });
        }),
        ("batch is Some(0)", |m| m["image"]["batch"] = json!(0)),
        ("no label", |m| m["labels"] = json!({ "file": "l", "sha256": "", "count": 0 })),
        ("a/data", |m| m["image"]["data"] = json!([{ "file": "a/data", "sha256": "" }])),
        ("a/clip", |m| m["combined"] = json!({ "file": "a/clip", "sha256": "" })),
        ("no label set that it would be of", |m| m["classifier"] = json!(classifier())),
        ("a/labels", |m| with_classifier(m, |c| c["labels"]["file"] = json!("a/labels"))),
        ("classifier takes bytes as nchw float32", |m| with_classifier(m, |c| c["values"] = json!("bytes"))),
        ("classifier takes pixels as nhwc float32", |m| {
            with_classifier(m, |c| c["encoder"]["input"]["layout"] = json!("nhwc"));
        }),
        ("classifier's batch is Some(0)", |m| with_classifier(m, |c| c["encoder"]["batch"] = json!(0))),
    ];
    for (named, change) in changes {
        match read_changed(folder.path(), change) {
            Err(Error::Config(message)) => assert!(message.contains(named), "{message}"),
            other => panic!("{named}: {other:?}"),
        }
    }
}

#[test]
fn a_changed_byte_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("visual.onnx");
    let mut bytes = vec![7u8; 3_000_000];
    std::fs::write(&path, &bytes).unwrap();
    let hash = files::sha256(&path).unwrap();
    assert_eq!(verified(folder.path(), "visual.onnx", &hash).unwrap(), path);
    bytes[2_999_999] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = verified(folder.path(), "visual.onnx", &hash).unwrap_err();
    assert!(matches!(&error, Error::Hash { expected, .. } if *expected == hash));
    assert!(error.to_string().contains("visual.onnx"), "{error}");
    assert!(matches!(verified(folder.path(), "text.onnx", &hash), Err(Error::Io { .. })));
}
