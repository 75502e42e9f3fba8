//! `clip-run labels` and `calibrate`, and what `classify` does with their files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../runtime/tests/colours/mod.rs"]
mod colours;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn clip_run(arguments: &[&dyn AsRef<OsStr>]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_clip-run")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[track_caller]
fn works(output: Output) -> String {
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

/// Exit status 1, and a message that holds `parts`.
#[track_caller]
fn refused(output: &Output, parts: &[&str]) {
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    for part in parts {
        assert!(text(&output.stderr).contains(part), "no {part:?} in {}", text(&output.stderr));
    }
}

/// A picture of one colour, as a PPM file.
fn write_picture(path: &Path, colour: [u8; 3]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, [b"P6 2 2 255\n".as_slice(), &colour.repeat(4)].concat()).unwrap();
}

#[test]
fn a_file_of_labels_serves_without_the_text_encoder() {
    let work = tempfile::tempdir().unwrap();
    let (file, red) = (work.path().join("pets.safetensors"), work.path().join("red.ppm"));
    write_picture(&red, [250, 9, 0]);
    let names = [&"labels" as &dyn AsRef<OsStr>, &colours::folder(), &"--labels", &"blue,red", &"-o", &file];
    let said = works(clip_run(&names));
    assert_eq!(said, format!("{}: 2 labels\n", file.display()));
    refused(&clip_run(&names), &["pets.safetensors exists", "--force"]);
    let said = works(clip_run(&[&names[..], &[&"--force", &"--json", &"--background", &"green"]].concat()));
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&said["labels"], &said["background"], &said["model"]),
        (&2.into(), &1.into(), &"colours".into())
    );

    let device = colours::with_labels(&["green"], &[[0.0, 1.0, 0.0, 0.0]]);
    let classify = |picture: &Path| {
        let output = clip_run(&[
            &"classify",
            &device.path(),
            &picture,
            &"--label-set",
            &file,
            &"--json",
            &"--top",
            &"1",
        ]);
        serde_json::from_str::<Value>(&works(output)).unwrap()
    };
    let found = classify(&red);
    assert_eq!((&found["labels"][0]["label"], &found["shows"]), (&"red".into(), &"red".into()));
    let green = work.path().join("green.ppm");
    write_picture(&green, [0, 240, 9]);
    let found = classify(&green);
    assert_eq!((&found["labels"][0]["label"], &found["shows"]), (&"green".into(), &Value::Null));

    let other = colours::changed(|folder, manifest| {
        let tokenizer = std::fs::read_to_string(folder.join("tokenizer.json")).unwrap();
        colours::replace(folder, manifest, "tokenizer", format!("{tokenizer} ").as_bytes());
    });
    let output = clip_run(&[&"classify", &other.path(), &red, &"--label-set", &file]);
    refused(&output, &["pets.safetensors", "encode the labels again"]);
    let output = clip_run(&[&"classify", &other.path(), &red, &"--label-set", &red]);
    refused(&output, &["red.ppm", "not a well-formed safetensors file"]);
}

#[test]
fn an_image_may_show_none_of_the_labels() {
    let work = tempfile::tempdir().unwrap();
    let red = work.path().join("red.ppm");
    write_picture(&red, [250, 9, 0]);
    let labels = [&"classify" as &dyn AsRef<OsStr>, &colours::folder(), &red, &"--labels", &"green,blue"];
    let classify = |more: &[&dyn AsRef<OsStr>]| works(clip_run(&[&labels[..], more].concat()));
    assert!(!classify(&[]).contains("none of the labels"));
    for more in [["--background", "red"], ["--min-similarity", "0.9"], ["--min-probability", "0.999"]] {
        let said = classify(&[&more[0], &more[1]]);
        assert_eq!(said.lines().nth(1), Some("           none of the labels"), "{more:?}: {said}");
    }
    assert!(!classify(&[&"--min-similarity", &"-0.9"]).contains("none of"));
    let json: Value = serde_json::from_str(&classify(&[&"--json"])).unwrap();
    assert_eq!(json.get("shows"), None);
}

#[test]
fn labels_are_made_of_examples() {
    let work = tempfile::tempdir().unwrap();
    let examples = work.path().join("examples");
    for (name, colour) in [("warm/a", [250, 0, 0]), ("warm/b", [255, 60, 0]), ("cold/a", [0, 0, 250])] {
        write_picture(&examples.join(name).with_extension("ppm"), colour);
    }
    let file = work.path().join("labels.safetensors");
    works(clip_run(&[&"labels", &colours::folder(), &"--examples", &examples, &"-o", &file]));
    let picture = examples.join("cold/a.ppm");
    let found = works(clip_run(&[&"classify", &colours::folder(), &picture, &"--label-set", &file]));
    assert!(found.lines().nth(1).unwrap().ends_with("%  cold"), "{found}");

    std::fs::write(examples.join("cold/broken.jpg"), "no picture").unwrap();
    let other = work.path().join("other.safetensors");
    let output = clip_run(&[&"labels", &colours::folder(), &"--examples", &examples, &"-o", &other]);
    refused(&output, &["broken.jpg", "1 of 4 images could not be read; nothing was written"]);
    assert!(!other.exists());
}

#[test]
fn probabilities_are_calibrated_by_examples() {
    let work = tempfile::tempdir().unwrap();
    // Pictures between red and green, some of which are called by the colour that they have less of.
    let mut list = "picture,label\n".to_owned();
    for i in 0..40u8 {
        let name = format!("{i}.ppm");
        write_picture(&work.path().join(&name), [255 - 6 * i, 6 * i, 3]);
        let label = if (i < 20) != (i % 5 == 0) { "red" } else { "green" };
        list += &format!("{name},{label}\n");
    }
    let csv = work.path().join("examples.csv");
    std::fs::write(&csv, list).unwrap();
    let file = work.path().join("calibrated.safetensors");
    let folder = colours::folder();
    let run = |more: &[&dyn AsRef<OsStr>]| {
        let arguments: [&dyn AsRef<OsStr>; 7] =
            [&"calibrate", &folder, &csv, &"--labels", &"red,green", &"-o", &file];
        clip_run(&[&arguments[..], more].concat())
    };
    let json: Value = serde_json::from_str(&works(run(&[&"--json"]))).unwrap();
    assert_eq!((&json["examples"], &json["labels"]), (&40.into(), &2.into()));
    let number = |value: &Value| value.as_f64().unwrap();
    assert!((number(&json["accuracy"]) - 0.8).abs() < 0.06, "{json}");
    assert!(number(&json["loss"]["after"]) < number(&json["loss"]["before"]), "{json}");
    assert!(number(&json["temperature"]) > 1.0 && json["logit_bias"].is_null(), "{json}");

    // A clear picture is no longer as good as certain.
    let picture = work.path().join("0.ppm");
    let probability = |more: [&dyn AsRef<OsStr>; 2]| {
        let output = clip_run(
            &[&[&"classify" as &dyn AsRef<OsStr>, &folder, &picture, &"--json"], &more[..]].concat(),
        );
        number(&serde_json::from_str::<Value>(&works(output)).unwrap()["labels"][0]["probability"])
    };
    let (before, after) = (probability([&"--labels", &"red,green"]), probability([&"--label-set", &file]));
    assert!(before > after && after > 0.6 && after < 0.95, "{before} {after}");

    let said = works(run(&[&"--force", &"--independent"]));
    assert!(said.contains("logit scale, bias") && said.contains("calibration error"), "{said}");
    let said = works(run(&[&"--force"]));
    assert!(said.contains("(temperature ") && said.contains(", was "), "{said}");

    refused(&run(&[]), &["calibrated.safetensors exists"]);
    std::fs::write(&csv, "0.ppm,red\n1.ppm,purple\n").unwrap();
    refused(&run(&[&"--force"]), &["1.ppm is said to show \"purple\"", "(red, green)"]);
    std::fs::write(&csv, "0.ppm,red\n39.ppm,green\n").unwrap();
    refused(&run(&[&"--force"]), &["every example is nearest to its own label"]);
    std::fs::write(&csv, "0.ppm,green\n39.ppm,red\n").unwrap();
    refused(&run(&[&"--force"]), &["no nearer to their own labels"]);
    std::fs::write(&csv, "0.ppm\n").unwrap();
    refused(&run(&[&"--force"]), &["examples.csv, line 1"]);
}
