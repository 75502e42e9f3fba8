//! How much memory `clip-export` takes itself.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checkpoint;

use std::process::{Command, Stdio};
use std::time::Duration;

/// The most memory that process `id` has held so far, bytes; None once it has ended.
fn peak(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10)
}

#[test]
fn the_exporter_never_holds_the_model() {
    let root = tempfile::tempdir().unwrap();
    // Twelve matrices of the width squared to a block, and two blocks.
    let checkpoint = checkpoint::wide(root.path(), 1408);
    let size = std::fs::metadata(checkpoint.join(clip_checkpoint::WEIGHTS)).unwrap().len();
    assert!(size > 180 << 20, "{size}");
    // Pictures that say nothing are near each other, and weights that are a formula's far from trained ones.
    let half = ["--precision", "fp16", "--min-cosine", "0.9", "--min-mean-cosine", "0.9", "--min-top1", "0"];
    let labels = root.path().join("labels.txt");
    std::fs::write(&labels, "cat\ndog\n").unwrap();
    let labels = ["--labels", labels.to_str().unwrap()];
    let together = [&half[..], &["--external-data"], &labels].concat();
    for options in [&[][..], &["--external-data"], &half, &labels, &together] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clip-export"));
        command.arg(&checkpoint).arg("-o").arg(root.path().join("model")).arg("--force").args(options);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut most = 0;
        while child.try_wait().unwrap().is_none() {
            most = most.max(peak(child.id()).unwrap_or(0));
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(child.wait().unwrap().success());
        // What is there besides is the program, its buffers and the tokenizer.
        assert!(most > 0 && most < size / 4, "{most} bytes for {size} of weights, {options:?}");
    }
}
