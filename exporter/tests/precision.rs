//! fp16 and INT8 exports through `clip-export`: verified, or refused and gone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checkpoint;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clip_checkpoint::WeightFormat;
use clip_model::Manifest;
use clip_model::manifest::Precision;
use clip_runtime::Clip;

const CHECKPOINT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/emoji-tiny");
const PICTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/images");
const TEXTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/emoji-tiny/everyday-100.txt");

struct Work(tempfile::TempDir);

impl Work {
    fn new() -> Work {
        Work(tempfile::tempdir().unwrap())
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("model")
    }

    fn export(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clip-export"));
        command.arg(CHECKPOINT).arg("-o").arg(self.folder()).args(arguments);
        command.output().unwrap()
    }

    fn done(&self, arguments: &[&str]) -> PathBuf {
        let output = self.export(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.folder()
    }

    /// The export fails with this status, says something with these words, and leaves nothing.
    fn refused(&self, status: i32, arguments: &[&str], words: &str) {
        let output = self.export(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(words), "{said}");
        assert_eq!(std::fs::read_dir(self.0.path()).unwrap().count(), 0, "something was left");
    }
}

/// The export of a network whose residual stream a change takes far out.
#[test]
fn a_number_beyond_half_precision_is_named() {
    let root = tempfile::tempdir().unwrap();
    let biases = |tower: &'static str| {
        move |values: &mut clip_testkit::Values| {
            // Each fits float16, their sum does not.
            if values.name.starts_with(tower) && values.name.ends_with("mlp.c_proj.bias") {
                values.data[3] = 42_500.0;
            }
        }
    };
    for (tower, file) in [("visual", "visual.onnx"), ("transformer", "text.onnx")] {
        let checkpoint = checkpoint::tiny(root.path(), WeightFormat::Fp32, biases(tower));
        let export = |more: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_clip-export"));
            command.arg(&checkpoint).arg("-o").arg(root.path().join("model")).args(more).output().unwrap()
        };
        let output = export(&["--precision", "fp16", "--batch", "2"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        for words in
            ["float16 ends at 65504", file, "mlp.c_proj.bias)", " gives 8", "--precision fp32 or int8"]
        {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert!(!said.contains("damaged"), "{said}");
        assert_eq!(checkpoint::entries(root.path()), ["checkpoint"]);
        assert!(export(&[]).status.success());
        ["model", "checkpoint"]
            .iter()
            .for_each(|name| std::fs::remove_dir_all(root.path().join(name)).unwrap());
    }
}

const INT8: [&str; 6] =
    ["--precision", "int8", "--calibration-images", PICTURES, "--calibration-texts", TEXTS];

fn size(folder: &Path, file: &str) -> u64 {
    folder.join(file).metadata().unwrap().len()
}

fn report(folder: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(folder.join("report.json")).unwrap()).unwrap()
}

#[test]
fn narrower_formats_are_smaller_and_close() {
    let single = Work::new();
    let single = single.done(&[]).join("visual.onnx").metadata().unwrap().len();
    for (arguments, precision, share, cosine) in [
        (&["--precision", "fp16"][..], Precision::Fp16, 0.52, 0.9999),
        (&INT8[..], Precision::Int8, 0.45, 0.995),
    ] {
        let work = Work::new();
        let folder = work.done(arguments);
        let manifest = Manifest::read(&folder).unwrap();
        assert_eq!(manifest.image.unwrap().precision, precision);
        assert_eq!(manifest.text.unwrap().precision, precision);
        let visual = size(&folder, "visual.onnx") as f64 / single as f64;
        assert!(visual < share, "{precision:?}: {visual} of fp32");
        let report = report(&folder);
        for encoder in ["images", "texts"] {
            let found = report[encoder]["mean_cosine"].as_f64().unwrap();
            assert!(found > cosine, "{precision:?} {encoder}: {found}");
            assert!(report[encoder]["max_difference"].as_f64().unwrap() > 0.0, "nothing was rounded");
        }
        assert!(report["failures"].as_array().unwrap().is_empty());
        // It is a model folder like any other, and replaced like one.
        let clip = Clip::open(&folder).unwrap();
        assert_eq!(clip.encode_texts(&["cat"]).unwrap().len(), 1);
        drop(clip);
        work.done(&[arguments, &["--force"]].concat());
    }
}

#[test]
fn both_dialects_every_method_and_input_work_together() {
    let with = |more: &[&str]| {
        let work = Work::new();
        // Of eight pictures two are left to compare by: one that looks like two labels alike would be half of them.
        let folder = work.done(&[&INT8[..], more, &["--min-top1", "0"]].concat());
        let clip = Clip::open(&folder).unwrap();
        let image = clip.manifest().preprocess.open(&Path::new(PICTURES).join("apple.png")).unwrap();
        clip.encode_images(&[image]).unwrap();
    };
    with(&["--dialect", "trt", "--calibration-method", "min-max"]);
    with(&["--uint8-input", "--calibration-method", "percentile", "--batch", "3"]);
    with(&["--external-data", "--only", "visual", "--smoothing", "0"]);
}

#[test]
fn several_formats_are_several_folders() {
    let work = Work::new();
    let folder = work.done(&["--precision", "fp32,fp16"]);
    for (name, precision) in [("fp32", Precision::Fp32), ("fp16", Precision::Fp16)] {
        let manifest = Manifest::read(folder.join(name)).unwrap();
        assert_eq!(manifest.image.unwrap().precision, precision);
    }
}

#[test]
fn what_misses_a_threshold_is_refused_with_its_numbers() {
    Work::new().refused(
        1,
        &["--precision", "fp16", "--min-cosine", "1"],
        "the exported fp16 model was not kept: the lowest cosine of 8 images is",
    );
    for wrong in ["nan", "inf", "1.5"] {
        Work::new().refused(
            2,
            &["--precision", "fp16", "--min-cosine", wrong],
            "expected a number from -1 to 1",
        );
    }
    Work::new().done(&["--precision", "fp16", "--min-cosine", "-1"]);
    // Nor is the folder that was to hold several kept, whichever of them is refused.
    for several in ["fp16,fp32", "fp32,fp16"] {
        Work::new().refused(1, &["--precision", several, "--min-cosine", "1"], "the lowest cosine");
    }
    Work::new().refused(1, &[&INT8[..], &["--min-mean-cosine", "1"]].concat(), "at least 1 was asked for");
}

#[test]
fn int8_asks_for_what_it_needs() {
    Work::new().refused(2, &["--precision", "int8"], "none are there: give --calibration-images");
    let images = ["--precision", "int8", "--calibration-images", PICTURES];
    Work::new().refused(2, &images, "give --calibration-texts");
    Work::new().refused(2, &[&INT8[..], &["--combined"]].concat(), "a combined graph is not quantized");
    let several = [&["--precision", "fp16,int8", "--combined"], &INT8[2..]].concat();
    Work::new().refused(2, &several, "a combined graph is not quantized");
    Work::new().refused(2, &[&INT8[..], &["--smoothing", "2"]].concat(), "choose 0 to 1");
    let one = [&INT8[..], &["--calibration-count", "1"]].concat();
    Work::new().refused(2, &one, "2 at least, to calibrate on and to verify with, and 1 is there");
    let nothing = tempfile::tempdir().unwrap();
    let nothing = nothing.path().to_str().unwrap();
    Work::new().refused(
        1,
        &["--precision", "fp16", "--calibration-images", nothing],
        "there is no picture in it",
    );
}

/// Who calibrates and forgets to ask for int8 is not to get fp32.
#[test]
fn what_would_have_no_effect_is_refused() {
    let refused = |arguments: &[&str], words| Work::new().refused(2, arguments, words);
    refused(&["--calibration-images", PICTURES], "--calibration-images is about fp16 and int8");
    refused(&["--min-top1", "0.5"], "--min-top1 is about fp16 and int8");
    refused(&["--precision", "fp16", "--dialect", "trt"], "--dialect is about int8");
    refused(&[&INT8[..], &["--percentile", "99"]].concat(), "--percentile is about");
    refused(&["--precision", "fp16,fp32,fp16"], "--precision names fp16 twice");
}

fn verify(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clip-export"));
    let output = command.arg("verify").arg(folder).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].map(|s| String::from_utf8_lossy(&s).into_owned());
    (output.status.code(), said.join(""))
}

#[test]
fn a_folder_is_verified_against_its_checkpoint() {
    let work = Work::new();
    let folder = work.done(&["--precision", "fp16"]);
    let (code, said) = verify(&folder, &[]);
    assert!(code == Some(0) && said.contains("hashes are right"), "{said}");
    let against = ["--against", CHECKPOINT, "--images", PICTURES, "--texts", TEXTS];
    let (code, said) = verify(&folder, &against);
    assert!(code == Some(0) && said.contains("  8 images") && said.contains("88 labels"), "{said}");
    let pictures = tempfile::tempdir().unwrap();
    for (name, content) in
        [("apple.png", None), ("broken.jpg", Some("meow")), ("._apple.png", Some("hidden"))]
    {
        let from = || std::fs::read(Path::new(PICTURES).join("apple.png")).unwrap();
        std::fs::write(pictures.path().join(name), content.map_or_else(from, |text| text.into())).unwrap();
    }
    let some = ["--against", CHECKPOINT, "--images", pictures.path().to_str().unwrap()];
    let (code, said) = verify(&folder, &some);
    assert!(code == Some(0) && said.contains("  1 images"), "{said}");
    assert!(said.contains("1 of 2 pictures cannot be read and are left out: "), "{said}");
    assert!(said.contains("broken.jpg: ") && !said.contains("._apple"), "{said}");
    let (code, said) = verify(&folder, &[&against[..], &["--min-cosine", "1", "--json"]].concat());
    assert!(code == Some(1) && said.contains("\"failures\": [") && said.contains("at least 1 was"), "{said}");
    let mut graph = std::fs::read(folder.join("visual.onnx")).unwrap();
    graph[1000] ^= 1;
    std::fs::write(folder.join("visual.onnx"), graph).unwrap();
    let (code, said) = verify(&folder, &[]);
    assert!(code == Some(1) && said.contains("visual.onnx"), "{said}");
}

#[test]
fn what_is_no_model_folder_is_said_to_be_what_it_is() {
    let (code, said) = verify(Path::new(CHECKPOINT), &[]);
    assert!(
        code == Some(1) && said.contains("is a checkpoint and no model folder yet: export it first"),
        "{said}"
    );
    let (code, said) = verify(Path::new(PICTURES), &[]);
    assert!(code == Some(1) && said.contains("is no model folder: it has no clip.json"), "{said}");
    let (code, said) = verify(Path::new("nowhere"), &[]);
    assert_eq!((code, said.as_str()), (Some(1), "error: there is no nowhere\n"));
}
