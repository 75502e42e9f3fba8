//! The command `clip-run`: what it prints and writes, and what it refuses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../runtime/tests/colours/mod.rs"]
mod colours;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const CLIP_RUN: &str = env!("CARGO_BIN_EXE_clip-run");

/// A folder with pictures of one colour each, called `red.bmp` and so on, and a file that is no picture.
struct Pictures(TempDir);

impl Pictures {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, width, height, rgb) in [
            ("red", 9, 5, [250, 10, 20]),
            ("green", 1, 1, [20, 250, 20]),
            ("blue", 1, 4000, [0, 0, 255]),
            ("black", 8, 8, [0, 0, 0]),
        ] {
            std::fs::write(folder.path().join(format!("{name}.bmp")), bmp(width, height, rgb)).unwrap();
        }
        std::fs::write(folder.path().join("broken.jpg"), b"\xff\xd8\xff\xe0 this is no picture").unwrap();
        Pictures(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// An uncompressed 24-bit bitmap of one colour.
fn bmp(width: u32, height: u32, [r, g, b]: [u8; 3]) -> Vec<u8> {
    let row = [vec![[b, g, r]; width as usize].concat(), vec![0; width as usize % 4]].concat();
    let pixels = row.repeat(height as usize);
    let mut file = b"BM".to_vec();
    // File size, reserved, offset of the pixels; size of this header, width, height, planes and bits, the rest zero.
    let numbers = [54 + pixels.len() as u32, 0, 54, 40, width, height, 1 | 24 << 16, 0, 0, 0, 0, 0, 0];
    file.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
    file.extend(pixels);
    file
}

fn clip_run(arguments: &[&dyn AsRef<OsStr>]) -> Output {
    Command::new(CLIP_RUN).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Exit status 1, a message that holds `parts`, and no panic or output of the engine.
fn refused(output: &Output, parts: &[&str]) {
    assert_eq!(output.status.code(), Some(1), "{}", stderr(output));
    for part in parts {
        assert!(stderr(output).contains(part), "no {part:?} in {}", stderr(output));
    }
    assert!(stderr(output).lines().all(|line| line.starts_with("error: ")), "{}", stderr(output));
}

/// [`refused`], with the exit status of wrong arguments.
fn wrong(output: &Output, parts: &[&str]) {
    assert_eq!(output.status.code(), Some(2), "{}", stderr(output));
    for part in parts {
        assert!(stderr(output).contains(part), "no {part:?} in {}", stderr(output));
    }
    assert!(stderr(output).starts_with("error: ") && output.stdout.is_empty(), "{}", stderr(output));
}

fn json_lines(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_checkpoint_is_told_from_a_model_folder() {
    let checkpoint = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/emoji-tiny");
    let output = clip_run(&[&"info", &checkpoint]);
    refused(&output, &["clip.json", "that is a checkpoint: `clip-export CHECKPOINT -o FOLDER` makes"]);
}

#[test]
fn classify_prints_each_image_with_its_best_labels() {
    let pictures = Pictures::new();
    let (red, blue) = (pictures.path("red.bmp"), pictures.path("blue.bmp"));
    let output = clip_run(&[
        &"classify",
        &colours::folder(),
        &red,
        &blue,
        &"--labels",
        &"red, green,blue",
        &"--top",
        &"2",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    let lines: Vec<&str> = stdout(&output).lines().collect();
    assert_eq!(lines.len(), 6);
    assert_eq!((lines[0], lines[3]), (red.to_str().unwrap(), blue.to_str().unwrap()));
    assert!(lines[1].ends_with(" %  red") && lines[4].ends_with(" %  blue"), "{lines:?}");
}

#[test]
fn a_bad_image_does_not_stop_the_others() {
    let pictures = Pictures::new();
    let paths = ["red.bmp", "missing.png", "green.bmp", "broken.jpg", "blue.bmp"].map(|n| pictures.path(n));
    let labels = pictures.path("labels.txt");
    std::fs::write(&labels, "red\n\ngreen\nblue\n").unwrap();
    let templates = pictures.path("templates.txt");
    std::fs::write(&templates, "a photo of a {}\na {}\n").unwrap();
    let mut arguments: Vec<&dyn AsRef<OsStr>> = vec![&"classify"];
    let folder = colours::folder();
    arguments.push(&folder);
    arguments.extend(paths.iter().map(|p| p as &dyn AsRef<OsStr>));
    arguments.extend([
        &"--labels-file" as &dyn AsRef<OsStr>,
        &labels,
        &"--templates-file",
        &templates,
        &"--template",
        &"{}",
        &"--json",
    ]);
    let output = clip_run(&arguments);
    refused(&output, &["missing.png", "broken.jpg", "2 of 5 images"]);
    let lines = json_lines(&output);
    for ((line, path), best) in
        lines.iter().zip(&paths).zip([Some("red"), None, Some("green"), None, Some("blue")])
    {
        assert_eq!(line["image"], path.to_str().unwrap());
        assert_eq!(line["labels"][0]["label"].as_str(), best);
        assert_eq!(line["error"].is_string(), best.is_none());
    }
    let labels = lines[0]["labels"].as_array().unwrap();
    assert_eq!(labels.len(), 3);
    let sum: f64 = labels.iter().map(|l| l["probability"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5 && labels[0]["similarity"].as_f64().unwrap() > 0.9);
    assert_eq!(lines[2]["labels"][0]["index"], 1);
}

#[test]
fn an_image_can_come_from_standard_input() {
    let mut child = Command::new(CLIP_RUN)
        .arg("classify")
        .arg(colours::folder())
        .args(["-", "--labels", "red,blue", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&bmp(3, 2, [0, 0, 255])).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(json_lines(&output)[0]["labels"][0]["label"], "blue");
    wrong(&clip_run(&[&"classify", &colours::folder(), &"-", &"-", &"--labels", &"red"]), &["2 times"]);
}

#[test]
fn empty_and_useless_lists_are_refused() {
    let pictures = Pictures::new();
    let empty = pictures.path("empty.txt");
    std::fs::write(&empty, "\n \n").unwrap();
    let folder = colours::folder();
    let red = pictures.path("red.bmp");
    for (labels, reason) in [
        ("", "label 1 of 1 is empty"),
        (", ,", "label 1 of 3"),
        ("a,,b", "label 2 of 3"),
        ("a,", "label 2 of 2"),
    ] {
        wrong(&clip_run(&[&"classify", &folder, &red, &"--labels", &labels]), &[reason]);
    }
    refused(&clip_run(&[&"classify", &folder, &red, &"--labels-file", &empty]), &["empty.txt", "no label"]);
    let output = clip_run(&[&"classify", &folder, &red, &"--labels", &"a", &"--templates-file", &empty]);
    refused(&output, &["empty.txt", "no template"]);
}

#[test]
fn stored_labels_are_used_when_none_are_named() {
    let pictures = Pictures::new();
    let red = pictures.path("red.bmp");
    let without = clip_run(&[&"classify", &colours::folder(), &red]);
    refused(&without, &["has no stored labels", "--labels"]);

    let folder = colours::with_labels(&["blue", "red"], &[[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]);
    let output = clip_run(&[&"classify", &folder.path(), &red, &"--json"]);
    assert_eq!(json_lines(&output)[0]["labels"][0]["label"], "red");
    let output = clip_run(&[&"classify", &folder.path(), &red, &"--json", &"--labels", &"green"]);
    refused(&output, &["no text encoder"]);
    assert!(stdout(&clip_run(&[&"info", &folder.path()])).contains("labels       2"));
}

#[test]
fn wrong_arguments_exit_with_2() {
    let folder = colours::folder();
    let wrong: [&[&dyn AsRef<OsStr>]; 22] = [
        &[],
        &[&"classify", &folder],
        &[&"classify", &folder, &"a.png", &"--template", &"a {}"],
        &[&"classify", &folder, &"a.png", &"--labels", &"a", &"--labels-file", &"b"],
        &[&"classify", &folder, &"a.png", &"--labels", &"a", &"--template", &"no place"],
        &[&"classify", &folder, &"a.png", &"--labels", &"a", &"--top", &"0"],
        &[&"embed", &folder, &"-o", &"x.npy"],
        &[&"embed", &folder, &"--texts", &"a", &"--images", &"b", &"-o", &"x.npy"],
        &[&"embed", &folder, &"--texts", &"a", &"-o", &"-", &"--json"],
        &[&"info", &folder, &"--threads", &"0"],
        &[&"info", &folder, &"--threads", &"1025"],
        &[&"classify", &folder, &"a.png", &"--labels", &"a", &"--label-set", &"b"],
        &[&"classify", &folder, &"a.png", &"--label-set", &"b", &"--template", &"a {}"],
        &[&"classify", &folder, &"a.png", &"--labels", &"a", &"--min-probability", &"1.5"],
        &[&"classify", &folder, &"a.png", &"--labels", &"a", &"--min-similarity", &"-2"],
        &[&"classify", &folder, &"a.png", &"--labels", &"a", &"--min-similarity", &"NaN"],
        &[&"labels", &folder, &"--labels", &"a"],
        &[&"labels", &folder, &"--labels", &"a", &"-o", &"-"],
        &[&"labels", &folder, &"--labels", &"a", &"--examples", &"b", &"-o", &"c"],
        &[&"labels", &folder, &"--label-set", &"a", &"--examples", &"b", &"-o", &"c"],
        &[&"calibrate", &folder, &"examples", &"--labels", &"a"],
        &[&"calibrate", &folder, &"-", &"--labels-file", &"-", &"-o", &"c"],
    ];
    for arguments in wrong {
        let output = clip_run(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
    for command in ["classify", "embed", "labels", "calibrate", "info"] {
        assert!(stdout(&clip_run(&[&command, &"--help"])).contains("Usage: clip-run"));
    }
}

/// Shape and numbers of an NPY file, read by what its documentation says.
fn read_npy(path: &Path) -> (String, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(bytes[..8], *b"\x93NUMPY\x01\x00");
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!(start % 64, 0);
    let header = String::from_utf8(bytes[10..start].to_vec()).unwrap();
    let numbers = bytes[start..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    (header.trim_end().to_owned(), numbers.collect())
}

#[test]
fn embed_writes_rows_in_input_order() {
    let pictures = Pictures::new();
    let folder = colours::folder();
    let file = pictures.path("out.npy");
    let (red, blue) = (pictures.path("red.bmp"), pictures.path("blue.bmp"));
    let output = clip_run(&[&"embed", &folder, &"--images", &blue, &red, &blue, &"-o", &file]);
    assert!(output.status.success(), "{}", stderr(&output));
    let (header, rows) = read_npy(&file);
    assert_eq!(header, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }");
    assert_eq!(rows.len(), 12);
    assert!(rows[2] > 0.99 && rows[4] > 0.99 && rows[10] > 0.99, "{rows:?}");
    for row in rows.chunks_exact(4) {
        assert!((row.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    }

    let json = pictures.path("json.npy");
    let output = clip_run(&[&"embed", &folder, &"--images", &red, &"-o", &json, &"--json"]);
    let found = &json_lines(&output)[0];
    assert_eq!((&found["file"], &found["dtype"]), (&json.to_str().unwrap().into(), &"float32".into()));
    assert_eq!((&found["shape"], &found["model"]), (&serde_json::json!([1, 4]), &"colours".into()));

    // An existing file is replaced only when asked to.
    let texts = pictures.path("texts.txt");
    std::fs::write(&texts, "blue\n\nred\n").unwrap();
    let arguments: [&dyn AsRef<OsStr>; 6] = [&"embed", &folder, &"--texts-file", &texts, &"-o", &file];
    refused(&clip_run(&arguments), &["out.npy exists", "--force"]);
    assert_eq!(read_npy(&file).1, rows);
    assert!(clip_run(&[&arguments[..], &[&"--force"]].concat()).status.success());
    let (header, rows) = read_npy(&file);
    assert!(header.contains("(3, 4)"), "{header}");
    assert!(rows[2] > 0.99 && rows[8] > 0.99, "{rows:?}");
}

#[test]
fn a_text_of_ten_thousand_words_is_cut() {
    let pictures = Pictures::new();
    let file = pictures.path("out.npy");
    let long = "red ".repeat(10_000);
    let output = clip_run(&[&"embed", &colours::folder(), &"--texts", &long, &"red", &"-o", &file]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(read_npy(&file).1.len(), 8);
}

#[cfg(unix)]
#[test]
fn embed_replaces_plain_files_alone() {
    let pictures = Pictures::new();
    let (target, link) = (pictures.path("target.npy"), pictures.path("link.npy"));
    std::fs::write(&target, "kept").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    for output in [link.as_path(), Path::new("/dev/full")] {
        let output =
            clip_run(&[&"embed", &colours::folder(), &"--texts", &"red", &"--force", &"-o", &output]);
        refused(&output, &["is not a plain file"]);
    }
    assert!(link.is_symlink());
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "kept");
}

#[test]
fn a_failed_embed_writes_nothing() {
    let pictures = Pictures::new();
    let folder = colours::folder();
    let file = pictures.path("out.npy");
    let names = ["red.bmp", "broken.jpg", "black.bmp", "missing.png"].map(|n| pictures.path(n));
    let output = clip_run(&[&"embed", &folder, &"--images", &names[0], &names[1], &names[3], &"-o", &file]);
    refused(&output, &["broken.jpg", "missing.png", "2 of 3 images", "nothing was written"]);
    // The model gives no number for black.
    let output = clip_run(&[&"embed", &folder, &"--images", &names[0], &names[2], &"-o", &file]);
    refused(&output, &["visual.onnx", "item 1"]);
    // Its number is the one that it has among all.
    let mut many: Vec<&dyn AsRef<OsStr>> = vec![&"embed", &folder, &"-o", &file, &"--images"];
    many.extend(std::iter::repeat_n(&names[0] as &dyn AsRef<OsStr>, 70));
    many.push(&names[2]);
    refused(&clip_run(&many), &["visual.onnx", "item 70"]);
    let empty = pictures.path("empty.txt");
    std::fs::write(&empty, "").unwrap();
    refused(&clip_run(&[&"embed", &folder, &"--texts-file", &empty, &"-o", &file]), &["has no text"]);
    let nowhere = pictures.path("no/such/folder/out.npy");
    refused(
        &clip_run(&[&"embed", &folder, &"--texts", &"red", &"-o", &nowhere]),
        &["cannot write", "out.npy"],
    );
    let left: Vec<_> =
        std::fs::read_dir(pictures.0.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("tmp") || name == "out.npy"), "{left:?}");
}

#[test]
fn damaged_folders_are_refused() {
    let byte = colours::changed(|folder, _| colours::change_a_byte(&folder.join("visual.onnx")));
    refused(&clip_run(&[&"info", &byte.path()]), &["visual.onnx", "sha256"]);
    let schema = colours::changed(|_, manifest| manifest["schema"] = 9.into());
    refused(&clip_run(&[&"info", &schema.path()]), &["clip.json", "schema version 9"]);
    let size = colours::changed(|_, manifest| manifest["preprocess"]["size"] = 32.into());
    refused(&clip_run(&[&"info", &size.path()]), &["visual.onnx", "[*, 3, 32, 32]", "[*, 3, 8, 8]"]);
    refused(&clip_run(&[&"info", &"/no/such/folder"]), &["/no/such/folder/clip.json"]);
}

#[test]
fn what_a_folder_lacks_is_named_with_the_option_that_brings_it() {
    let pictures = Pictures::new();
    let (red, out) = (pictures.path("red.bmp"), pictures.path("out.npy"));
    let without_text = colours::with_labels(&["red"], &[[1.0, 0.0, 0.0, 0.0]]);
    let output = clip_run(&[&"embed", &without_text.path(), &"--texts", &"red", &"-o", &out]);
    refused(&output, &["\"colours\" has no text encoder: ", " (clip-export without --only visual)"]);
    let without_image = colours::changed(|_, manifest| manifest["image"] = Value::Null);
    let output = clip_run(&[&"embed", &without_image.path(), &"--images", &red, &"-o", &out]);
    refused(&output, &["\"colours\" has no image encoder: ", " (clip-export without --only text)"]);
}

/// The ONNX Runtime that these tests use.
fn library() -> PathBuf {
    let output = clip_run(&[&"info", &colours::folder(), &"--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let info: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(info["manifest"]["model"], "colours");
    let runs_on = &info["runs_on"];
    assert_eq!((&runs_on["image"]["device"], &runs_on["text"]["verified"]), (&json!("cpu"), &json!(true)));
    runs_on["image"]["library"].as_str().unwrap().into()
}

/// `clip-run info` of a copy of the program in `folder`, without anything in the environment that names a library.
fn info_from(folder: &Path) -> Output {
    let program = folder.join("clip-run");
    if !program.exists() {
        // By another process: a thread that starts a program while this one holds the copy open for writing would make
        // it "busy".
        assert!(Command::new("cp").arg(CLIP_RUN).arg(&program).status().unwrap().success());
    }
    let mut command = Command::new(program);
    command.arg("info").arg(colours::folder()).env_remove("ORT_DYLIB_PATH").env_remove("LD_LIBRARY_PATH");
    command.output().unwrap()
}

/// The library that a copy of the program in `folder` runs on.
fn library_of(folder: &Path) -> PathBuf {
    let output = info_from(folder);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("library")).unwrap();
    line.trim().into()
}

#[test]
#[cfg(target_os = "linux")]
fn the_library_is_found_where_the_readme_says() {
    let library = library();
    for place in ["bin/libonnxruntime.so", "lib/libonnxruntime.so", "bin/libonnxruntime.so.1"] {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let file = root.join(place);
        std::fs::create_dir(root.join("bin")).unwrap();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::copy(&library, &file).unwrap();
        assert_eq!(library_of(&root.join("bin")), file);
        // What cannot be opened is passed over.
        std::fs::write(&file, "no library").unwrap();
        assert_ne!(library_of(&root.join("bin")), file);
    }
}

/// A library whose initialiser makes the file `marker` when it is opened.
fn plant(file: &Path, marker: &Path) {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let source = file.with_extension("c");
    let code = format!(
        "#include <stdio.h>
         __attribute__((constructor)) static void run(void) {{ fclose(fopen(\"{}\", \"w\")); }}",
        marker.display()
    );
    std::fs::write(&source, code).unwrap();
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    assert!(
        Command::new(cc).args(["-shared", "-fPIC", "-o"]).args([file, &source]).status().unwrap().success()
    );
}

#[test]
#[cfg(target_os = "linux")]
fn libraries_in_folders_above_are_not_opened() {
    let root = tempfile::tempdir().unwrap();
    let program = root.path().join("a/program");
    std::fs::create_dir_all(&program).unwrap();
    let marker = root.path().join("opened");
    for place in [
        ".deps/onnxruntime/lib",
        "a/.deps/onnxruntime/lib",
        "a/program/.deps/onnxruntime/lib",
        "lib",
        "a/lib",
        "a",
    ] {
        plant(&root.path().join(place).join("libonnxruntime.so"), &marker);
    }
    info_from(&program);
    assert!(!marker.exists(), "a planted library was opened");
    // The same, where it may be opened, is.
    plant(&program.join("libonnxruntime.so"), &marker);
    info_from(&program);
    assert!(marker.exists());
}

#[test]
fn no_usage_data_is_collected() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(CLIP_RUN);
    command.arg("info").arg(colours::folder()).env("HOME", home.path());
    command.env_remove("XDG_CACHE_HOME").env_remove("ORT_DISABLE_TELEMETRY");
    assert!(command.output().unwrap().status.success());
    // ONNX Runtime would leave a device id here.
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn a_library_that_does_not_serve_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let info = |path: &Path| {
        let mut command = Command::new(CLIP_RUN);
        command.arg("info").arg(colours::folder()).env("ORT_DYLIB_PATH", path).output().unwrap()
    };
    let missing = folder.path().join("missing.so");
    refused(&info(&missing), &["missing.so", "ORT_DYLIB_PATH"]);
    refused(&info(&colours::folder().join("clip.json")), &["clip.json", "ORT_DYLIB_PATH"]);

    // Libraries with the right entry, of another age.
    let build = |name: &str, version: &str, api: &str| {
        let source = folder.path().join(name).with_extension("c");
        let code = format!(
            "static const void *api(unsigned v) {{ return {api}; }}
             static const char *version(void) {{ return \"{version}\"; }}
             static const struct {{ const void *(*a)(unsigned); const char *(*v)(void); }} base = {{api, version}};
             const void *OrtGetApiBase(void) {{ return &base; }}"
        );
        std::fs::write(&source, code).unwrap();
        let library = folder.path().join(name);
        let cc = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let status =
            Command::new(cc).args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status().unwrap();
        assert!(status.success());
        library
    };
    refused(&info(&build("old.so", "1.16.3", "0")), &["old.so is ONNX Runtime 1.16.3", "1.17"]);
    refused(&info(&build("odd.so", "1.99.0", "0")), &["odd.so", "1.99.0 has no interface 17"]);
}

#[test]
fn a_check_is_recorded_in_the_cache_where_the_folder_takes_no_record() {
    let folder = colours::changed(|_, _| ());
    let home = tempfile::tempdir().unwrap();
    // A folder of that name is in the way, as it would be on a file system that is only read.
    std::fs::create_dir(folder.path().join(".checked.json")).unwrap();
    // Younger files are not trusted.
    std::thread::sleep(std::time::Duration::from_millis(3100));
    let info = || {
        let mut command = Command::new(CLIP_RUN);
        command.arg("info").arg(folder.path()).arg("--trust-unchanged").env("XDG_CACHE_HOME", home.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    };
    info();
    let checked = home.path().join("libclip/checked");
    let records =
        || std::fs::read_dir(&checked).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let [record] = &records()[..] else { panic!("{:?}", records()) };
    let text = std::fs::read_to_string(record).unwrap();
    assert!(text.contains("visual.onnx"), "{text}");
    // Nothing differs, so that nothing is written anew.
    let written = record.metadata().unwrap().modified().unwrap();
    info();
    assert_eq!(records().len(), 1);
    assert_eq!(record.metadata().unwrap().modified().unwrap(), written);
}
