//! scripts/gpu-check.sh without a GPU: what it refuses, and that what it packs comes out again.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clip_tests::repository;

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn refused(arguments: &[&str], part: &str) {
    // A script that goes on would build with these, and fail otherwise.
    let mut command = Command::new(repository().join("scripts/gpu-check.sh"));
    let output = command.args(arguments).envs([("MAKE", "false"), ("CARGO", "false")]).output().unwrap();
    let message = said(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.starts_with("error: ") && message.contains(part), "{message:?}");
    assert!(output.stdout.is_empty());
}

#[test]
fn without_a_gpu_it_says_so_and_builds_nothing() {
    if Path::new("/dev/nvidiactl").exists() {
        println!("skipped: there is an NVIDIA GPU");
        return;
    }
    refused(&["cuda:0"], "no NVIDIA GPU here");
    refused(&["--json"], "no NVIDIA GPU here");
    refused(&[], "no NVIDIA GPU here");
}

#[test]
fn unknown_devices_and_a_pack_without_a_folder_are_refused() {
    refused(&["gpu"], "device 'gpu' is not known, expected cuda:N or cpu");
    refused(&["pack"], "usage: ");
    refused(&["record"], "usage: ");
    refused(&["run"], "nothing was unpacked here");
}

/// Python 3.11 or newer, which the scripts need; or else a line that says so.
fn python() -> Option<PathBuf> {
    let own = repository().join(".deps/venv/bin/python");
    let found = [own, PathBuf::from("python3")].into_iter().find(|python| {
        let version = "import sys; sys.exit(sys.version_info < (3, 11))";
        Command::new(python).args(["-c", version]).output().is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        println!("skipped: no Python 3.11 or newer; `make .deps/python` says what it needs");
    }
    found
}

/// A folder with two bundles, one of which needs several parts: bytes that cannot be compressed.
fn stage(folder: &Path) -> Vec<u8> {
    let mut state = 1_u64;
    let noise = (0..2_500_000).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    let noise: Vec<u8> = noise.collect();
    fs::create_dir_all(folder.join("large/lib")).unwrap();
    fs::create_dir_all(folder.join("base/programs")).unwrap();
    // Large files are linked; the parts hold the files themselves.
    let library = folder.with_extension("library");
    fs::write(&library, &noise).unwrap();
    std::os::unix::fs::symlink(library, folder.join("large/lib/library.so")).unwrap();
    fs::copy("/bin/true", folder.join("base/programs/true")).unwrap();
    noise
}

struct Packed {
    _temporary: tempfile::TempDir,
    python: PathBuf,
    folder: PathBuf,
    noise: Vec<u8>,
}

impl Packed {
    fn new() -> Option<Packed> {
        let python = python()?;
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().to_owned();
        let noise = stage(&folder.join("stage"));
        let packed = Packed { _temporary: temporary, python, folder, noise };
        packed.pack();
        Some(packed)
    }

    fn run(&self, arguments: &[&Path]) -> Output {
        let script = repository().join("tests/gpu/parts.py");
        Command::new(&self.python).arg(script).args(arguments).output().unwrap()
    }

    fn pack(&self) {
        let (stage, to) = (self.folder.join("stage"), self.folder.join("parts"));
        let output = self.run(&["pack".as_ref(), &stage, &to, "--mib".as_ref(), "1".as_ref()]);
        assert!(output.status.success(), "{}", said(&output.stderr));
    }

    /// Those of a bundle, in order.
    fn parts(&self, bundle: &str) -> Vec<PathBuf> {
        let files = fs::read_dir(self.folder.join("parts")).unwrap().map(|entry| entry.unwrap().path());
        let of_bundle = |file: &PathBuf| file.file_name().unwrap().to_string_lossy().starts_with(bundle);
        let mut parts: Vec<PathBuf> = files.filter(of_bundle).collect();
        parts.sort();
        parts
    }

    fn there(&self) -> PathBuf {
        self.folder.join("there")
    }

    fn unpack(&self, parts: &[PathBuf]) -> Output {
        let there = self.there();
        let mut arguments: Vec<&Path> = vec!["unpack".as_ref(), "--to".as_ref(), &there];
        arguments.extend(parts.iter().map(PathBuf::as_path));
        self.run(&arguments)
    }

    #[track_caller]
    fn unpacked(&self, parts: &[PathBuf]) -> String {
        let output = self.unpack(parts);
        assert!(output.status.success(), "{}", said(&output.stderr));
        said(&output.stdout)
    }
}

#[test]
fn a_pack_comes_out_again_part_by_part_in_any_order() {
    let Some(packed) = Packed::new() else { return };
    let parts = packed.parts("large");
    assert_eq!((parts.len(), packed.parts("base").len()), (3, 1));
    let largest = parts.iter().map(|part| fs::metadata(part).unwrap().len()).max();
    assert_eq!(largest, Some(1 << 20));

    assert!(packed.unpacked(&parts[2..]).contains("1 of 3 parts are here, missing: 1, 2"));
    assert!(packed.unpacked(&parts[2..]).contains("1 of 3 parts are here, missing: 1, 2"));
    assert!(!packed.there().join("large").exists());
    assert!(packed.unpacked(&packed.parts("base")).contains("base: unpacked into"));
    assert!(Command::new(packed.there().join("base/programs/true")).status().unwrap().success());
    assert!(packed.unpacked(&parts[..2]).contains("large: unpacked into"));
    assert_eq!(fs::read(packed.there().join("large/lib/library.so")).unwrap(), packed.noise);
    // What came out needs no more room, and coming again changes nothing.
    assert_eq!(fs::read_dir(packed.there().join("parts")).unwrap().count(), 0);
    assert!(packed.unpacked(&parts).contains("large: unpacked already"));

    // What has not changed keeps its parts, and what has gets others in their place.
    let base = packed.parts("base");
    fs::write(packed.folder.join("stage/base/more"), "more").unwrap();
    packed.pack();
    assert_eq!(packed.parts("large"), parts);
    assert_eq!(packed.parts("base").len(), 1);
    assert_ne!(packed.parts("base"), base);
    packed.unpacked(&packed.parts("base"));
    assert_eq!(fs::read(packed.there().join("base/more")).unwrap(), b"more");
}

#[test]
fn a_damaged_part_is_refused_and_nothing_of_the_call_is_kept() {
    let Some(packed) = Packed::new() else { return };
    let parts = packed.parts("large");
    let whole = fs::read(&parts[1]).unwrap();
    let mut changed = whole.clone();
    changed[1000] ^= 1;
    for bytes in [&changed, &whole[..whole.len() - 1], &[]] {
        fs::write(&parts[1], bytes).unwrap();
        let output = packed.unpack(&parts);
        let message = said(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.starts_with("error: ") && message.contains("is damaged"), "{message}");
        assert!(!packed.there().exists());
    }
    fs::write(&parts[1], &whole).unwrap();
    assert!(packed.unpacked(&parts).contains("large: unpacked into"));

    let missing = packed.unpack(&[parts[0].with_file_name("large.part")]);
    assert!(said(&missing.stderr).contains("is not named like a part"));
    fs::remove_file(&parts[0]).unwrap();
    assert!(said(&packed.unpack(&parts[..1]).stderr).contains("does not exist"));
}

#[test]
fn parts_are_never_larger_than_they_may_be() {
    let Some(packed) = Packed::new() else { return };
    let (stage, to) = (packed.folder.join("stage"), packed.folder.join("parts"));
    let output = packed.run(&["pack".as_ref(), &stage, &to, "--mib".as_ref(), "61".as_ref()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output.stderr).contains("--mib 61 is not between 1 and 60"));
}
