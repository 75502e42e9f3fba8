//! `clip-export` with the name of a model on the hub.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Output};

use clip_checkpoint::{OpenClip, WEIGHTS};
use clip_model::config::Activation;
use clip_model::{Manifest, Preprocess, tokenizer};
use clip_testkit::hub::{Model, Server};
use clip_testkit::{tensors, vit};

/// A checkpoint that can be exported, as a model of the hub.
fn model(folder: &Path) -> Model {
    let tokenizer = tokenizer::train(["a red car".to_owned()].into_iter(), 515).unwrap();
    let config = vit(8, [16, 8, 16, 1, 8], [8, 515, 16, 2, 1], 2.0, Activation::Gelu);
    let tensors = tensors(&config);
    let preprocess = Preprocess { size: 16, ..Preprocess::default() };
    let openclip = OpenClip { config, preprocess, own_tokenizer: true };
    clip_checkpoint::write(folder, &openclip, &tokenizer, &tensors, 0).unwrap();
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let names = ["open_clip_config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json"];
    Model::new("me/mine", &names.map(|name| (name, read(name))).each_ref().map(|(n, c)| (*n, &c[..])))
}

fn clip_export(home: &Path, endpoint: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_clip-export"))
        .args(arguments)
        .current_dir(home)
        .env("HF_HOME", home.join("hf"))
        .env("HF_ENDPOINT", endpoint)
        .env("HF_TOKEN", "hf_mine")
        .env("NO_PROXY", "127.0.0.1")
        .env_remove("HF_HUB_CACHE")
        .env_remove("HF_HUB_OFFLINE")
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_program_fetches_a_model_by_its_name() {
    let root = tempfile::tempdir().unwrap();
    let model = model(&root.path().join("checkpoint"));
    let hub = Server::start(move |request| model.answer(request));

    let refused = clip_export(root.path(), &hub.url, &["me/mine", "-o", "a", "--offline"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("me/mine is no file or folder here"), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("downloads are off"), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("without --offline"), "{}", stderr(&refused));
    assert!(hub.requests().is_empty());

    let made = clip_export(root.path(), &hub.url, &["me/mine", "-o", "a"]);
    assert!(made.status.success(), "{}", stderr(&made));
    assert_eq!(String::from_utf8(made.stdout.clone()).unwrap(), "a\n");
    assert!(stderr(&made).contains(&format!("downloading {WEIGHTS}: 69.0 kB")), "{}", stderr(&made));
    assert_eq!(Manifest::read(root.path().join("a")).unwrap().model, "me/mine");
    assert!(root.path().join("hf/hub/models--me--mine/refs/main").exists());
    assert!(hub.requests().iter().all(|r| r.authorization.as_deref() == Some("Bearer hf_mine")));

    let again = clip_export(root.path(), &hub.url, &["me/mine", "-o", "b", "--offline", "--name", "b"]);
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!(Manifest::read(root.path().join("b")).unwrap().model, "b");
    assert!(hub.requests().is_empty());
}

#[test]
fn a_mistyped_path_is_said_to_be_none() {
    let root = tempfile::tempdir().unwrap();
    let model = model(&root.path().join("checkpoint"));
    let hub = Server::start(move |request| model.answer(request));
    let refused = clip_export(root.path(), &hub.url, &["runs/mien", "-o", "a"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("runs/mien is no file or folder here"), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("there is no model runs/mien"), "{}", stderr(&refused));
    // What can only be a path is one.
    let refused = clip_export(root.path(), &hub.url, &["./me/mine", "-o", "a"]);
    assert!(stderr(&refused).contains("cannot open ./me/mine"), "{}", stderr(&refused));
}
