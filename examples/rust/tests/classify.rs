//! The example program, run on the small model of the runtime's tests.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_picture_gets_its_label() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runtime/tests/colours");
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("green.bmp");
    // A bitmap of one green pixel: file header, picture header, blue, green, red, padding.
    let header = [58, 0, 54, 40, 1, 1, 1 | 24 << 16, 0, 0, 0, 0, 0, 0].map(u32::to_le_bytes).concat();
    std::fs::write(&picture, [&b"BM"[..], &header, &[0, 255, 0, 0]].concat()).unwrap();

    let mut program = Command::new(env!("CARGO_BIN_EXE_clip-example"));
    let output = program.arg(&model).arg(&picture).args(["red", "green", "blue"]).output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stdout.lines().count(), 3);
    assert!(stdout.lines().next().unwrap().ends_with(" %  green"), "{stdout}");

    let none = Command::new(env!("CARGO_BIN_EXE_clip-example")).arg(&model).arg(&picture).output().unwrap();
    assert!(!none.status.success());
    assert!(String::from_utf8(none.stderr).unwrap().contains("the list of labels is empty"));

    #[cfg(target_os = "linux")]
    {
        // A reader that has gone is no error; a full disk is one.
        let mut command = Command::new(env!("CARGO_BIN_EXE_clip-example"));
        command.arg(&model).arg(&picture).args(["red", "green"]).stderr(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr.contains("cannot write to standard output") && !stderr.contains("panicked"),
            "{stderr}"
        );
    }

    let usage = Command::new(env!("CARGO_BIN_EXE_clip-example")).output().unwrap();
    assert!(!usage.status.success());
    assert!(String::from_utf8(usage.stderr).unwrap().contains("usage: clip-example"));
}
