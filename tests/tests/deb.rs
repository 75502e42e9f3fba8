//! Debian's packages are in order, and work in a system that has nothing else of ours.
//!
//! The tests are left out of `make test`, since what is packaged is built by itself: `make test-install`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use clip_tests::{has, outside_of_cargo, repository, run};

/// The packages of this machine's architecture; none, and a sentence, where it makes none.
static PACKAGES: LazyLock<Option<Vec<PathBuf>>> =
    LazyLock::new(|| has_all("scripts/deb.sh").then(|| packages(None)));

/// What a script needs of the machine.
fn has_all(script: &str) -> bool {
    let missing = Command::new(repository().join(script)).arg("missing").output().unwrap();
    if !missing.status.success() {
        println!("skipped: this machine lacks {}", String::from_utf8_lossy(&missing.stdout).trim());
    }
    missing.status.success()
}

/// Makes the packages of an architecture.
fn packages(architecture: Option<&str>) -> Vec<PathBuf> {
    let mut deb = Command::new(repository().join("scripts/deb.sh"));
    deb.env_remove("ARCH").envs(architecture.map(|name| ("ARCH", name)));
    let files: Vec<PathBuf> = run(outside_of_cargo(&mut deb))
        .lines()
        .filter(|line| line.ends_with(".deb"))
        .map(PathBuf::from)
        .collect();
    assert_eq!(files.len(), 3, "{files:?}");
    files
}

#[track_caller]
fn lintian_is_silent_about(packages: &[PathBuf]) {
    if has("lintian", "lintian") {
        let mut lintian = Command::new("lintian");
        let said = run(lintian.args(["--allow-root", "--fail-on", "error,warning"]).args(packages));
        assert!(said.trim().is_empty(), "{said}");
    }
}

#[test]
#[ignore = "builds what is packaged: make test-install"]
fn lintian_finds_nothing_to_say() {
    if let Some(packages) = &*PACKAGES {
        lintian_is_silent_about(packages);
    }
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

/// Installs the packages in a new system, with an ONNX Runtime beside them, and gives back the lines that tests/install/clean-root.sh
/// says there; none where there can be no such system.
fn in_a_clean_root(packages: &[PathBuf], onnxruntime: &str, options: &[&str]) -> Option<Vec<String>> {
    if !has("mmdebstrap", "mmdebstrap") {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &Path, to: &str| {
        let to = folder.path().join("clip").join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        run(Command::new("cp").args(["--recursive", "--dereference"]).arg(repository().join(from)).arg(to));
    };
    for path in
        ["examples/c/classify.c", "examples/cpp/classify.cpp", "runtime/tests/colours", "tests/install"]
    {
        copy(Path::new(path), path);
    }
    copy(Path::new("tests/install/clean-root.sh"), "clean-root.sh");
    copy(Path::new(onnxruntime), "libonnxruntime.so");
    for package in packages {
        copy(package, package.file_name().unwrap().to_str().unwrap());
    }
    // What the packages were built on.
    let suite = run(Command::new("sh").args(["-c", ". /etc/os-release && echo \"$VERSION_CODENAME\""]));
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap.args(["--variant=minbase", "--format=null", "--aptopt=Acquire::Languages \"none\""]);
    mmdebstrap.args(options);
    mmdebstrap.arg(format!("--customize-hook=copy-in \"{}\" /opt", folder.path().join("clip").display()));
    mmdebstrap.arg("--customize-hook=echo there is a system; chroot \"$1\" /opt/clip/clean-root.sh");
    let output = mmdebstrap.arg(suite.trim()).arg("/dev/null").output().unwrap();
    // What the script says comes between what mmdebstrap says.
    let log = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    let Some((_, said)) = log.split_once("there is a system\n") else {
        assert!(!output.status.success(), "{log}");
        println!("skipped: mmdebstrap makes no system here: {}", log.lines().last().unwrap_or_default());
        return None;
    };
    assert!(output.status.success(), "{log}");
    let said = said.lines().take_while(|line| !line.starts_with("I: "));
    // ONNX Runtime does not know an emulated processor.
    Some(said.filter(|line| !line.starts_with("onnxruntime cpuid_info")).map(str::to_owned).collect())
}

#[test]
#[ignore = "builds what is packaged: make test-install"]
fn programs_are_compiled_and_run_in_a_clean_root() {
    let Some(packages) = &*PACKAGES else { return };
    let options = ["--include=gcc,g++,make,cmake,pkg-config"];
    let onnxruntime = ".deps/onnxruntime/lib/libonnxruntime.so";
    let Some(said) = in_a_clean_root(packages, onnxruntime, &options) else { return };
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
    assert_eq!(said, expected);
}

#[test]
#[ignore = "builds what is packaged: make test-install"]
fn programs_for_arm64_run_in_a_clean_root() {
    if !has_all("scripts/deb.sh") || !has_all("scripts/aarch64.sh") || !has("arch-test", "arch-test") {
        return;
    }
    let Some(own) = &*PACKAGES else { return };
    let packages = packages(Some("arm64"));
    lintian_is_silent_about(&packages);
    // Packages of both may be installed side by side, so what they have in common must be the same.
    let library = |files: &[PathBuf]| {
        let file = files.iter().find(|file| file.to_string_lossy().contains("/libclip0_")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("dpkg-deb").arg("--extract").arg(file).arg(folder.path()));
        std::fs::read(folder.path().join("usr/share/doc/libclip0/THIRD-PARTY.txt.gz")).unwrap()
    };
    assert!(library(own) == library(&packages), "the licences of others differ between architectures");

    run(Command::new(repository().join("scripts/deps.sh")).arg("onnxruntime-aarch64"));
    // ONNX Runtime needs C++'s library; compilers would be emulated, too, and those programs run in `make test-aarch64`.
    let options = ["--architectures=arm64", "--include=libstdc++6"];
    let onnxruntime = ".deps/onnxruntime-aarch64/lib/libonnxruntime.so";
    let Some(said) = in_a_clean_root(&packages, onnxruntime, &options) else { return };
    assert_eq!(said, ["== without ONNX Runtime", "== with it", "purged"]);
}
