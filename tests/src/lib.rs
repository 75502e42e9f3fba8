//! Tests of what crosses crates, in `tests/`; this library is what they share. `parity/` holds the comparison
//! with the Python reference.
#![allow(clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The source tree.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap_or_else(|e| panic!("{e}"))
}

/// The ONNX Runtime of the source tree, or the user's.
pub fn onnxruntime() -> PathBuf {
    match std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        Some(path) => path.into(),
        None => repository().join(".deps/onnxruntime/lib/libonnxruntime.so"),
    }
}

/// What a program that starts gives, however it ends.
#[track_caller]
pub fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

/// Runs a program that must succeed, and gives back what it prints.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = output(command);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

/// Whether a program is there; where it is not, a sentence says what is left out.
pub fn has(program: &str, package: &str) -> bool {
    succeeds(program, &["--version"], package)
}

/// Whether a command succeeds; where it does not, a sentence says what is left out.
pub fn succeeds(program: &str, arguments: &[&str], package: &str) -> bool {
    let found = Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: `{program} {}` fails (Debian's package {package})", arguments.join(" "));
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
