//! Debian's packages are in order, and work in a system that has nothing else of ours.
//!
//! The tests are left out of `make test`, since what is packaged is built by itself: `make test-install`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

/// The packages of this machine's architecture; none, and a sentence, where it makes none.
static PACKAGES: LazyLock<Option<Vec<PathBuf>>> = LazyLock::new(|| {
    let script = repository().join("scripts/deb.sh");
    let missing = Command::new(&script).arg("missing").output().unwrap();
    if !missing.status.success() {
        println!("skipped: there is no {}", String::from_utf8_lossy(&missing.stdout).trim());
        return None;
    }
    let mut deb = Command::new(&script);
    // Those of the cargo that runs this are of another build.
    for variable in
        ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CLIP_ONNXRUNTIME", "CLIP_TENSORRT_RTX", "ARCH", "TARGET"]
    {
        deb.env_remove(variable);
    }
    let files: Vec<PathBuf> = run(&mut deb)
        .lines()
        .filter(|line| line.ends_with(".deb"))
        .map(|line| repository().join(line))
        .collect();
    assert_eq!(files.len(), 3, "{files:?}");
    Some(files)
});

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: there is no {program} (Debian's package of that name)");
    }
    found
}

#[test]
#[ignore = "builds what is packaged: make test-install"]
fn lintian_finds_nothing_to_say() {
    let Some(packages) = &*PACKAGES else { return };
    if !has("lintian") {
        return;
    }
    let said =
        run(Command::new("lintian").args(["--allow-root", "--fail-on", "error,warning"]).args(packages));
    assert!(said.trim().is_empty(), "{said}");
}

/// What a program's package needs of Debian is found by debhelper, and holds for a program that was linked with the library, too.
#[test]
#[ignore = "builds what is packaged: make test-install"]
fn packages_say_what_they_need() {
    let Some(packages) = &*PACKAGES else { return };
    let field = |package: &str, field: &str| {
        let file =
            packages.iter().find(|file| file.to_string_lossy().contains(&format!("/{package}_"))).unwrap();
        run(Command::new("dpkg-deb").arg("--field").arg(file).arg(field)).trim().to_owned()
    };
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(field("libclip-dev", "Depends"), format!("libclip0 (= {version})"));
    for package in ["libclip0", "clip-tools"] {
        let needed = field(package, "Depends");
        assert!(needed.contains("libc6 (>= ") && needed.contains("libgcc-s1"), "{needed}");
        assert!(!needed.contains("onnxruntime"), "{needed}");
    }
    let library = packages.iter().find(|file| file.to_string_lossy().contains("/libclip0_")).unwrap();
    let triggers = run(Command::new("dpkg-deb").arg("--info").arg(library).arg("triggers"));
    assert!(triggers.contains("activate-noawait ldconfig"), "{triggers}");
}

#[test]
#[ignore = "builds what is packaged: make test-install"]
fn programs_are_compiled_and_run_in_a_clean_root() {
    let Some(packages) = &*PACKAGES else { return };
    if !has("mmdebstrap") {
        return;
    }
    let onnxruntime = repository().join(".deps/onnxruntime/lib/libonnxruntime.so");
    // What the packages were built on.
    let suite = run(Command::new("sh").args(["-c", ". /etc/os-release && echo \"$VERSION_CODENAME\""]));
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| {
        let to = folder.path().join("clip").join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        run(Command::new("cp").args(["--recursive", "--dereference"]).arg(repository().join(from)).arg(to));
    };
    copy("examples/c/classify.c", "examples/c/classify.c");
    copy("examples/cpp/classify.cpp", "examples/cpp/classify.cpp");
    copy("runtime/tests/colours", "runtime/tests/colours");
    copy("tests/install", "tests/install");
    copy("tests/install/clean-root.sh", "clean-root.sh");
    copy(onnxruntime.to_str().unwrap(), "libonnxruntime.so");
    for package in packages {
        copy(package.to_str().unwrap(), package.file_name().unwrap().to_str().unwrap());
    }
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap.args(["--variant=minbase", "--format=null", "--include=gcc,g++,make,cmake,pkg-config"]);
    mmdebstrap.arg("--aptopt=Acquire::Languages \"none\"");
    mmdebstrap.arg(format!("--customize-hook=copy-in \"{}\" /opt", folder.path().join("clip").display()));
    mmdebstrap.arg("--customize-hook=chroot \"$1\" /opt/clip/clean-root.sh");
    let output = mmdebstrap.arg(suite.trim()).arg("/dev/null").output().unwrap();
    let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() && !said.contains("== without ONNX Runtime") && !log.contains("dpkg: error") {
        println!("skipped: mmdebstrap makes no system here: {}", log.lines().last().unwrap_or_default());
        return;
    }
    assert!(output.status.success(), "{said}\n{log}");
    let said: Vec<&str> = said.lines().collect();
    let expected = [
        "== without ONNX Runtime",
        "== with it",
        "c99: dynamic and static",
        "c11: dynamic and static",
        "c++17: dynamic and static",
        "c++20: dynamic and static",
        "the same by CMake",
        "purged",
    ];
    assert_eq!(said, expected, "{log}");
}
