//! The double of libnvbufsurface, which needs no headers.

use std::path::PathBuf;
use std::process::Command;

use super::compile;

/// Compiles `tests/doubles/nvbufsurface.c`; gives the library's file.
pub fn surface_library() -> PathBuf {
    let root = compile::root();
    std::fs::create_dir_all(&root).unwrap();
    let source = compile::sources().join("nvbufsurface.c");
    // Compiling takes as long as to see whether that was done; under its name it is always whole.
    let temporary = root.join(format!("new-{}.so", std::process::id()));
    let library = root.join("libnvbufsurface.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c11", "-O1", "-Wall", "-Wextra", "-shared", "-fPIC", "-fvisibility=hidden"]);
    let output = compiler.arg(&source).arg("-o").arg(&temporary).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&temporary, &library).unwrap();
    library
}
