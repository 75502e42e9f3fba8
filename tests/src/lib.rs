//! Tests of what crosses crates, in `tests/`; this library is what those of installed files and of packages share. `parity/` holds the comparison
//! with the Python reference.
#![allow(clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The source tree.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap_or_else(|e| panic!("{e}"))
}

/// Runs a program that must succeed, and gives back what it prints.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

/// Whether a program is there; where it is not, a sentence says what is left out.
pub fn has(program: &str, package: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: there is no {program} (Debian's package {package})");
    }
    found
}

/// Takes away what the cargo that runs a test has put into the environment: with it another cargo would build everything anew.
pub fn outside_of_cargo(command: &mut Command) -> &mut Command {
    const OF_THE_USER: [&str; 6] = [
        "CARGO_HOME",
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_JOBS",
        "RUSTUP_HOME",
        "RUSTUP_TOOLCHAIN",
        "RUSTFLAGS",
    ];
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_cargos = ["CARGO", "RUST", "CLIP_", "LIBTORCH", "LD_LIBRARY_PATH"]
            .iter()
            .any(|start| text.starts_with(start));
        if is_cargos && !OF_THE_USER.contains(&&*text) {
            command.env_remove(&name);
        }
    }
    command
}
