//! examples/python: libclip by ctypes.
#![allow(clippy::unwrap_used, clippy::panic)]

mod programs;

use std::path::PathBuf;
use std::process::Command;

use programs::{alone, another_model, built, colours, compiler, is_emulated, repository, run, write_bmp};

/// A Python that has NumPy: that of `make .deps/python`, else the system's.
fn python() -> Option<PathBuf> {
    if is_emulated() {
        println!("skipped: this machine's Python does not load another's library");
        return None;
    }
    let all = [repository().join(".deps/venv/bin/python"), "python3".into()];
    let found = all.into_iter().find(|python| {
        let output = Command::new(python).args(["-c", "import numpy"]).output();
        output.is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        println!("skipped: no Python with NumPy (python3-numpy)");
    }
    found
}

/// A script that finds libclip.so and examples/python/clip.py, and writes no files beside that.
fn script(python: &PathBuf, path: &str) -> Command {
    let mut command = alone(python);
    command.env("CLIP_LIBRARY", built().join("libclip.so")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("PYTHONPATH", repository().join("examples/python")).arg(repository().join(path));
    command
}

#[test]
fn the_module_is_what_the_library_is() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("blue.bmp");
    write_bmp(&picture, [0, 9, 255]);
    let mut check = script(&python, "ffi/tests/python/check.py");
    let output = run(check.arg(colours()).arg(repository().join("ffi/abi.txt")).arg(&picture));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "all is well\n");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn the_script_prints_what_the_c_program_prints() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("classify");
    let mut cc = compiler("CC", "cc");
    cc.arg("-I").arg(repository().join("include")).arg(repository().join("examples/c/classify.c"));
    cc.arg("-o").arg(&program).arg("-L").arg(built()).arg("-lclip");
    run(cc.arg(format!("-Wl,-rpath,{}", built().display())));
    let names = folder.path().join("labels.txt");
    std::fs::write(&names, "red\n\ngreen\r\nblue").unwrap();
    let blue = folder.path().join("blue.bmp");
    write_bmp(&blue, [0, 9, 255]);
    let images = repository().join("examples/images");
    let pictures = [blue, images.join("apple.png"), images.join("house.jpg"), images.join("sun.jpg")];
    let stored = another_model();
    for (model, labels) in [(colours(), names), (stored.path().to_owned(), "-".into())] {
        let by_c = run(alone(&program).arg(&model).arg(&labels).args(&pictures));
        let by_python =
            run(script(&python, "examples/python/classify.py").arg(&model).arg(&labels).args(&pictures));
        let text = String::from_utf8(by_c.stdout).unwrap();
        assert!(text.contains("%  blue"), "{text}");
        assert_eq!(String::from_utf8(by_python.stdout).unwrap(), text);
    }
}

#[test]
fn the_script_says_what_failed() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (names, corrupt) = (folder.path().join("labels.txt"), folder.path().join("corrupt.jpg"));
    std::fs::write(&names, "red\nblue\n").unwrap();
    std::fs::write(&corrupt, b"\xff\xd8\xff\xe0").unwrap();
    let apple = repository().join("examples/images/apple.png");
    let classify = || script(&python, "examples/python/classify.py");
    let output = classify().arg(colours()).arg(&names).arg(&corrupt).arg(&apple).output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(stdout.starts_with(apple.to_str().unwrap()), "{stdout}");
    assert!(stderr.contains("cannot decode") && stderr.contains("(CLIP_ERROR_IMAGE)"), "{stderr}");
    assert_eq!(output.status.code(), Some(1));
    let output = classify().arg(folder.path()).arg(&names).arg(&apple).output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("clip.json"));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(classify().output().unwrap().status.code(), Some(2));
}
