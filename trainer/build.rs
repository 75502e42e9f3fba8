//! Writes libtorch's folder into the trainer's programs and tests (rpath), so that they run without `LD_LIBRARY_PATH`; and collects
//! what the comments say of each setting, for the reference.
//!
//! The folder is found as `torch-sys` finds it: from the Python of `LIBTORCH_USE_PYTORCH`, else `LIBTORCH_LIB`, else
//! `LIBTORCH`, which `.cargo/config.toml` points to `.deps/libtorch`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

#[path = "build/comments.rs"]
mod comments;

fn main() {
    let fail = |reason: String| {
        eprintln!("error: {reason}");
        println!("cargo::error={reason}");
        exit(1)
    };
    if let Err(reason) = comments::collect() {
        fail(reason);
    }
    for name in ["LIBTORCH_USE_PYTORCH", "LIBTORCH_LIB", "LIBTORCH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    match library_folder() {
        Ok(folder) => {
            println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
            // For a tree that was moved after the build: from target/release/ back to the root.
            println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN/../../.deps/libtorch/lib");
        }
        Err(reason) => fail(reason),
    }
}

fn library_folder() -> Result<PathBuf, String> {
    let folder = if env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        python_torch()?.join("lib")
    } else if let Some(root) = env::var_os("LIBTORCH_LIB").or_else(|| env::var_os("LIBTORCH")) {
        Path::new(&root).join("lib")
    } else {
        PathBuf::from("/usr/lib")
    };
    if !folder.join("libtorch_cpu.so").exists() {
        let folder = folder.display();
        return Err(format!("no libtorch_cpu.so in {folder}: run `make .deps/libtorch`, or set LIBTORCH"));
    }
    folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))
}

/// The `torch` package of the Python that `torch-sys` asks.
fn python_torch() -> Result<PathBuf, String> {
    let python = if env::var_os("VIRTUAL_ENV").is_some() { "python" } else { "python3" };
    let script = "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])";
    let output = Command::new(python).args(["-c", script]).output();
    let output =
        output.map_err(|error| format!("LIBTORCH_USE_PYTORCH is set but {python} does not run: {error}"))?;
    if !output.status.success() {
        return Err(format!("LIBTORCH_USE_PYTORCH is set but {python} has no torch package"));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}
