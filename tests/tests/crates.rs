//! The crates of the workspace use each other as docs/crates.md says, and what a C program links stays small.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Packages by name, each with the names of those that it is built with.
type Arrows = BTreeMap<String, BTreeSet<String>>;

fn metadata(arguments: &[&str]) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--offline"]).args(arguments).current_dir(root);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The arrows between the crates of the workspace.
fn built() -> Arrows {
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeSet<String> = packages.iter().map(|package| text(&package["name"])).collect();
    let used = |package: &Value| {
        let needed = package["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"].is_null());
        needed.map(|d| text(&d["name"])).filter(|name| names.contains(name)).collect()
    };
    packages.iter().map(|package| (text(&package["name"]), used(package))).collect()
}

/// The arrows of docs/crates.md.
fn drawn() -> Arrows {
    let lines = include_str!("../../docs/crates.md").lines().filter_map(|line| line.split_once(" ->"));
    lines
        .map(|(from, to)| (from.trim().to_owned(), to.split_whitespace().map(str::to_owned).collect()))
        .collect()
}

/// All that is built into the package `name`, build scripts and tests left aside.
fn linked(name: &str) -> BTreeSet<String> {
    let metadata = metadata(&["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let nodes: BTreeMap<String, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (text(&node["id"]), node))
        .collect();
    let names: BTreeMap<String, String> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let mut open: Vec<String> = names.iter().filter(|(_, n)| *n == name).map(|(id, _)| id.clone()).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        for dependency in nodes[&id]["deps"].as_array().unwrap() {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            if kinds.iter().any(|kind| kind["kind"].is_null()) {
                open.push(text(&dependency["pkg"]));
            }
        }
    }
    seen.into_iter().map(|id| names[&id].clone()).collect()
}

#[test]
fn the_drawing_of_the_crates_is_true() {
    assert_eq!(drawn(), built(), "docs/crates.md says the left, Cargo.toml files the right");
}

#[test]
fn what_c_programs_link_reads_no_checkpoints_and_no_command_line() {
    let linked = linked("clip-ffi");
    assert!(linked.contains("clip-runtime") && linked.contains("tokenizers"), "{linked:?}");
    for absent in [
        "anyhow",
        "clap",
        "clip-checkpoint",
        "clip-data",
        "clip-program",
        "clip-testkit",
        "indicatif",
        "tar",
        "ureq",
        "zip",
    ] {
        assert!(!linked.contains(absent), "{absent} is linked into libclip.so");
    }
    // The same look at a program finds them.
    let program = self::linked("clip-exporter");
    assert!(["anyhow", "clap", "zip"].iter().all(|&present| program.contains(present)), "{program:?}");
}
