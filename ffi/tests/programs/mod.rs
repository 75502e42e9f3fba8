//! What tests of libclip share: where things are, and how programs are compiled and run.

// Each test program is compiled with this file, and none of them needs all of it.
#![allow(dead_code)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub const FFI: &str = env!("CARGO_MANIFEST_DIR");

pub fn repository() -> PathBuf {
    Path::new(FFI).join("..").canonicalize().unwrap()
}

/// Where cargo puts libclip.so and libclip.a before it runs this, `target/release/deps`; or, of another machine's, what the environment says
/// (scripts/aarch64.sh).
pub fn built() -> PathBuf {
    match std::env::var_os("CLIP_TEST_LIBRARY") {
        Some(folder) => folder.into(),
        None => std::env::current_exe().unwrap().parent().unwrap().to_owned(),
    }
}

/// Whether programs are made for another machine, which this one emulates.
pub fn is_emulated() -> bool {
    std::env::var_os("CLIP_TEST_LIBRARY").is_some()
}

pub fn colours() -> PathBuf {
    repository().join("runtime/tests/colours")
}

/// The same model with a byte more in its tokenizer, which makes it another one, and with two stored labels.
pub fn another_model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["visual.onnx", "text.onnx"] {
        std::fs::copy(colours().join(file), folder.path().join(file)).unwrap();
    }
    let mut manifest = clip_model::Manifest::read(colours()).unwrap();
    let tokenizer = std::fs::read_to_string(colours().join("tokenizer.json")).unwrap();
    let sha256 = clip_model::files::write_hashed(
        &folder.path().join("tokenizer.json"),
        format!("{tokenizer} ").as_bytes(),
    );
    manifest.tokenizer.as_mut().unwrap().sha256 = sha256.unwrap();
    let stored = clip_model::labels::StoredLabels {
        labels: vec!["blue".into(), "red".into()],
        embeddings: vec![0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0],
        ..Default::default()
    };
    let file = "labels.safetensors".to_owned();
    let sha256 = stored.write(&folder.path().join(&file), 4).unwrap();
    manifest.labels = Some(clip_model::manifest::LabelsFile { file, sha256, count: 2 });
    manifest.write(folder.path()).unwrap();
    folder
}

#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    output
}

/// The user's compiler, or the one of the machine that programs are made for: cargo's own crates are built by the first.
pub fn compiler(variable: &str, otherwise: &str) -> Command {
    let of_tests = std::env::var_os(format!("CLIP_TEST_{variable}"));
    Command::new(of_tests.or_else(|| std::env::var_os(variable)).unwrap_or(otherwise.into()))
}

/// What checks a program's use of memory: valgrind, or the compiler where there is none.
pub fn has_valgrind() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Runs a program without cargo's search path, in whose first folder an older libclip.so may lie.
pub fn alone(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_remove("LD_LIBRARY_PATH");
    command
}

/// Nothing was printed but what ONNX Runtime has to say of an emulated processor.
#[track_caller]
pub fn is_silent(output: &Output) {
    let text = String::from_utf8_lossy(&output.stderr);
    let mut lines = text.lines().filter(|line| !is_emulated() || !line.starts_with("onnxruntime cpuid_info"));
    assert!(output.stdout.is_empty() && lines.next().is_none(), "{output:?}");
}

/// Has `compiler` make `program`, and gives back how to run it under what checks its use of memory.
pub fn checker(mut compiler: Command, program: &Path) -> Command {
    if is_emulated() {
        run(&mut compiler);
        return alone(program);
    }
    if !has_valgrind() {
        run(compiler.args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]));
        return alone(program);
    }
    run(&mut compiler);
    let mut valgrind = alone("valgrind");
    // Not "possibly lost": a hash map of Rust holds its block by a pointer into the middle, and a map that lives as long
    // as the process, as the tokenizer's do, looks so at the end.
    valgrind.args(["--quiet", "--error-exitcode=99", "--leak-check=full"]);
    valgrind.args(["--show-leak-kinds=definite,indirect", "--errors-for-leak-kinds=definite,indirect"]);
    valgrind.arg(format!("--suppressions={FFI}/tests/c/valgrind.supp"));
    valgrind.arg(program);
    valgrind
}

/// A picture of one colour as a BMP file, 2 x 2 pixels.
pub fn write_bmp(path: &Path, [r, g, b]: [u8; 3]) {
    let rows = [b, g, r, b, g, r, 0, 0].repeat(2);
    let mut file = b"BM".to_vec();
    for field in [54 + rows.len() as u32, 0, 54, 40, 2, 2, 1 | 24 << 16, 0, rows.len() as u32, 0, 0, 0, 0] {
        file.extend(field.to_le_bytes());
    }
    file.extend(rows);
    std::fs::write(path, file).unwrap();
}
