//! Compiles the doubles of TensorRT and of CUDA's driver, and prints the folder that they are in: for scripts/gpu-check.sh.

#![allow(clippy::print_stdout, reason = "it is a program")]

use std::process::ExitCode;

fn main() -> ExitCode {
    match clip_testkit::doubles::build() {
        Some(doubles) => {
            println!("{}", doubles.folder.display());
            ExitCode::SUCCESS
        }
        None => ExitCode::FAILURE,
    }
}
