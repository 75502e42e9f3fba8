//! The manifest of a model folder: what is written is read back, and what is wrong is refused by name.

#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::path::Path;

use clip_model::manifest::{
    Combined, DataFile, Element, Encoder, Engine, FILE, LabelsFile, Precision, SCHEMA, TokenizerFile,
    verified,
};
use clip_model::tokenizer::{self, Cleaning};
use clip_model::{Error, Manifest, Preprocess, Tokenizer, files};
use serde_json::{Value, json};

fn manifest() -> Manifest {
    let encoder = |file: &str, input: &str, element| Encoder {
        file: file.into(),
        sha256: "0".repeat(64),
        data: Vec::new(),
        engine: Engine::Onnx,
        precision: Precision::Fp32,
        input: input.into(),
        element,
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
    }
}

/// Everything that a manifest can say.
fn full_manifest() -> Manifest {
    let mut full = manifest();
    let data = |file: &str| vec![DataFile { file: file.into(), sha256: "1".repeat(64) }];
    let image = full.image.as_mut().unwrap();
    (image.precision, image.element, image.batch) = (Precision::Int8, Element::Uint8, Some(4));
    image.data = data("visual.onnx.data");
    full.text.as_mut().unwrap().precision = Precision::Fp16;
    full.labels = Some(LabelsFile { file: "labels.safetensors".into(), sha256: "2".repeat(64), count: 3 });
    let (file, sha256) = ("clip.onnx".into(), "3".repeat(64));
    full.combined = Some(Combined { file, sha256, data: data("clip.onnx.data") });
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
    for file in ["visual.onnx.data", "labels.safetensors", "clip.onnx", "clip.onnx.data"] {
        assert!(full.files().contains(&file), "{file}");
    }
}

#[test]
fn an_unknown_schema_version_is_refused_before_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    let later = read_changed(folder.path(), |m| {
        m["schema"] = json!(SCHEMA + 1);
        m["something new"] = json!(true);
    });
    assert!(matches!(later, Err(Error::SchemaVersion { found, known: SCHEMA, .. }) if found == SCHEMA + 1));
}

#[test]
fn what_is_not_a_manifest_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Manifest::read(folder.path()), Err(Error::Io { action: "open", .. })));
    std::fs::write(folder.path().join(FILE), "{\"schema\": 1,").unwrap();
    assert!(matches!(Manifest::read(folder.path()), Err(Error::Json { .. })));
    let changes: [Change; 7] = [
        |m| m["surprise"] = json!(1),
        |m| m["preprocess"]["surprise"] = json!(1),
        |m| m["image"]["engine"] = json!("abacus"),
        |m| m["preprocess"]["resize_mode"] = json!("stretch"),
        |m| m["image"]["element"] = json!("float16"),
        |m| m["image"]["precision"] = json!("int4"),
        |m| drop(m["image"].as_object_mut().unwrap().remove("element")),
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

#[test]
fn values_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let changes: [(&str, Change); 18] = [
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
        ("image encoder takes Int32", |m| m["image"]["element"] = json!("int32")),
        ("text encoder takes Uint8", |m| m["text"]["element"] = json!("uint8")),
        ("batch is Some(0)", |m| m["image"]["batch"] = json!(0)),
        ("no label", |m| m["labels"] = json!({ "file": "l", "sha256": "", "count": 0 })),
        ("a/data", |m| m["image"]["data"] = json!([{ "file": "a/data", "sha256": "" }])),
        ("a/clip", |m| m["combined"] = json!({ "file": "a/clip", "sha256": "" })),
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
