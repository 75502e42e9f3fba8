//! The manifest of a model folder: what is written is read back, and what is wrong is refused by name.

#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::path::Path;

use clip_model::manifest::{Encoder, Engine, FILE, Precision, SCHEMA, TokenizerFile, verified};
use clip_model::{Error, Manifest, Preprocess, files};
use serde_json::{Value, json};

fn manifest() -> Manifest {
    let encoder = |file: &str, input: &str| Encoder {
        file: file.into(),
        sha256: "0".repeat(64),
        engine: Engine::Onnx,
        precision: Precision::Fp32,
        input: input.into(),
        output: "embedding".into(),
    };
    Manifest {
        schema: SCHEMA,
        producer: "test 1".into(),
        model: "tiny".into(),
        embed_dim: 16,
        logit_scale: 100.0,
        preprocess: Preprocess::default(),
        tokenizer: TokenizerFile {
            file: "tokenizer.json".into(),
            sha256: "0".repeat(64),
            context_length: 77,
        },
        image: encoder("visual.onnx", "image"),
        text: encoder("text.onnx", "ids"),
    }
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
    manifest().write(folder.path()).unwrap();
    assert_eq!(Manifest::read(folder.path()).unwrap(), manifest());
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
    assert!(matches!(Manifest::read(folder.path()), Err(Error::Io { action: "read", .. })));
    std::fs::write(folder.path().join(FILE), "{\"schema\": 1,").unwrap();
    assert!(matches!(Manifest::read(folder.path()), Err(Error::Json { .. })));
    let changes: [Change; 5] = [
        |m| m["surprise"] = json!(1),
        |m| m["preprocess"]["surprise"] = json!(1),
        |m| m["image"]["engine"] = json!("abacus"),
        |m| m["preprocess"]["resize_mode"] = json!("stretch"),
        |m| drop(m.as_object_mut().unwrap().remove("text")),
    ];
    for change in changes {
        assert!(matches!(read_changed(folder.path(), change), Err(Error::Json { .. })));
    }
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let changes: [(&str, Change); 8] = [
        ("../visual.onnx", |m| m["image"]["file"] = json!("../visual.onnx")),
        ("/etc/passwd", |m| m["text"]["file"] = json!("/etc/passwd")),
        ("\"..\"", |m| m["tokenizer"]["file"] = json!("..")),
        ("logit_scale", |m| m["logit_scale"] = json!(-1.0)),
        ("embed_dim", |m| m["embed_dim"] = json!(0)),
        ("context_length", |m| m["tokenizer"]["context_length"] = json!(2)),
        ("size is 0", |m| m["preprocess"]["size"] = json!(0)),
        ("std", |m| m["preprocess"]["std"] = json!([1, 0, 1])),
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
