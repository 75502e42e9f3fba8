//! What scripts/gpu.sh says where its checks cannot run.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

#[track_caller]
fn refused(argument: &str, part: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/gpu.sh");
    // A script that goes on would build with these, and fail otherwise.
    let output =
        Command::new(script).arg(argument).envs([("MAKE", "false"), ("CARGO", "false")]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
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
    refused("cuda:0", "no NVIDIA GPU here");
}

#[test]
fn unknown_devices_and_a_pack_without_a_folder_are_refused() {
    refused("gpu", "device 'gpu' is not known, expected cuda:N or cpu");
    refused("pack", "usage: ");
}
