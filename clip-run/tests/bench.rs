//! The command `clip-run bench`: the shape of what it says, and what it refuses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../runtime/tests/colours/mod.rs"]
mod colours;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// `clip-run bench FOLDER`, as short as it can be.
fn bench(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clip-run"));
    command.arg("bench").arg(folder).args(["--seconds", "0.05", "--rounds", "2", "--size", "64x48"]);
    command.args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::str::from_utf8(&output.stdout).unwrap()
}

fn refused(output: &Output, status: i32, part: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(stderr.contains(part) && output.stdout.is_empty(), "no {part:?} in {stderr}");
}

/// Finite, and greater than zero.
fn number(value: &Value) -> f64 {
    let number = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    assert!(number.is_finite() && number > 0.0, "{number}");
    number
}

#[test]
fn everything_is_measured_and_told_as_json() {
    let arguments =
        ["--json", "--batch", "1,3", "--callers", "1,2", "--formats", "rgb,nv12", "--labels", "5"];
    let output = bench(&colours::folder(), &arguments);
    let report: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(stdout(&output).lines().count(), 1);

    let rows = report["measurements"].as_array().unwrap();
    let name = |row: &Value| {
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        (text("what"), text("input"), row["batch"].as_u64().unwrap(), row["callers"].as_u64().unwrap())
    };
    let mut expected = Vec::new();
    for (what, input) in
        [("encode", "8x8 rgb"), ("picture", "64x48 jpeg"), ("frames", "64x48 rgb"), ("frames", "64x48 nv12")]
    {
        for (batch, callers) in [(1, 1), (1, 2), (3, 1), (3, 2)] {
            expected.push((what.to_owned(), input.to_owned(), batch, callers));
        }
    }
    expected.extend([1, 2].map(|callers| ("texts".to_owned(), "labels".to_owned(), 5, callers)));
    assert_eq!(rows.iter().map(name).collect::<Vec<_>>(), expected);
    for row in rows {
        let ms = ["min", "p50", "p95", "p99", "max"].map(|key| number(&row["milliseconds"][key]));
        assert!(ms.is_sorted(), "{ms:?}");
        let rates = ["min", "median", "max"].map(|key| number(&row["per_second"][key]));
        assert!(rates.is_sorted(), "{rates:?}");
        // In each round every caller has called at least once.
        assert!(row["calls"].as_u64().unwrap() >= 2 * row["callers"].as_u64().unwrap(), "{row}");
    }

    let start = &report["start"];
    assert_eq!(start["processes"], 2);
    let parts = ["open_ms", "labels_ms", "first_ms"].map(|key| number(&start[key]));
    assert!(number(&start["total_ms"]) > parts[0], "{start}");
    for tower in ["image", "text"] {
        let runs_on = &report["runs_on"][tower];
        assert_eq!((&runs_on["engine"], &runs_on["device"]), (&"ONNX Runtime".into(), &"cpu".into()));
        assert_eq!(runs_on["precision"], "fp32");
        assert!(runs_on["version"].is_string());
    }
    number(&report["runs_on"]["threads"]);
    assert_eq!(report["runs_on"]["spinning"], false);
    assert!(!report["machine"]["cpu"].as_str().unwrap().is_empty());
    assert_eq!((&report["settings"]["seconds"], &report["settings"]["rounds"]), (&0.05.into(), &2.into()));
    if cfg!(target_os = "linux") {
        for process in ["start", "all"] {
            number(&report["peak_memory_bytes"][process]);
        }
    }
}

#[test]
fn what_is_left_out_is_not_measured() {
    let folder = colours::with_labels(&["blue", "red"], &[[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]);
    let output = bench(folder.path(), &["--batch", "2", "--formats", "all", "--threads", "1", "--spin"]);
    let text = stdout(&output);
    let rows = |kind: &str| text.lines().filter(|line| line.starts_with(kind)).count();
    assert_eq!((rows("encode"), rows("picture"), rows("frames"), rows("texts")), (1, 1, 12, 0), "{text}");
    assert!(text.contains("threads      1, which spin") && text.contains("start  "), "{text}");
    assert!(!text.contains("three labels") && text.contains("image        fp32, ONNX Runtime"), "{text}");

    let output = bench(&colours::folder(), &["--only", "texts", "--labels", "3", "--json"]);
    let report: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert!(report["start"].is_null());
    assert_eq!(report["measurements"].as_array().unwrap().len(), 1);
}

#[test]
fn a_picture_can_be_given() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("one.ppm");
    std::fs::write(&picture, b"P6 2 1 255 abcdef").unwrap();
    let given = ["--only", "picture", "--batch", "1", "--image", picture.to_str().unwrap()];
    assert!(stdout(&bench(&colours::folder(), &given)).contains("picture  one.ppm"));

    std::fs::write(&picture, b"P6 2 1 255 abc").unwrap();
    refused(&bench(&colours::folder(), &given), 1, "one.ppm: ");
    let missing = bench(&colours::folder(), &["--image", "no/such/picture.jpg"]);
    refused(&missing, 1, "picture.jpg");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let images_alone = colours::with_labels(&["red"], &[[1.0, 0.0, 0.0, 0.0]]);
    refused(&bench(images_alone.path(), &["--only", "start,texts"]), 1, "has no text encoder");
    refused(&bench(Path::new("no/such/folder"), &[]), 1, "no/such/folder/clip.json");
    for (option, value, part) in [
        ("--batch", "0", "0"),
        ("--batch", "1,x", "x"),
        ("--callers", "5000", "5000"),
        ("--formats", "rgb,rgb24", "\"rgb24\": expected one of rgb, bgr"),
        ("--image", "", "value"),
        ("--labels", "0", "0"),
        ("--only", "speed", "encode"),
        ("--threads", "0", "0"),
    ] {
        refused(&bench(&colours::folder(), &[option, value]), 2, part);
    }
    for (option, value, part) in
        [("--seconds", "0", "0.001"), ("--seconds", "NaN", "0.001"), ("--size", "0x5", "WIDTHxHEIGHT")]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clip-run"));
        let output = command.arg("bench").arg(colours::folder()).args([option, value]).output().unwrap();
        refused(&output, 2, part);
    }
}
