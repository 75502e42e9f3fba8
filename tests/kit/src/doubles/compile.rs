//! Compiles the C++ of `tests/doubles/`, once for each state of sources and headers.

use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::missing;

/// The types of CUDA's runtime that TensorRT's headers name.
const CUDA_RUNTIME_API: &str = "#pragma once
typedef struct CUevent_st *cudaEvent_t;
typedef struct CUstream_st *cudaStream_t;
";

/// A shared library, where its name has `.so` in it, or else a program.
pub struct Product<'a> {
    pub name: &'a str,
    pub sources: &'a [&'a str],
}

/// A folder with the products, compiled against the headers in `include`.
pub fn compile(include: &Path, products: &[Product]) -> PathBuf {
    with_libraries(include, products, &[])
}

/// The same, linked with `libraries`.
pub fn with_libraries(include: &Path, products: &[Product], libraries: &[OsString]) -> PathBuf {
    let root = root();
    fs::create_dir_all(&root).unwrap();
    let name = format!("{}-{:016x}", products[0].name, hash(&(include, libraries)));
    let (folder, state) = (root.join(name), state(include, products).to_string());
    // Tests run in several processes: one compiles, the others wait.
    let lock = File::create(root.join("lock")).unwrap();
    lock.lock().unwrap();
    if fs::read_to_string(folder.join("state")).is_ok_and(|before| before == state) {
        return folder;
    }
    let temporary = tempfile::Builder::new().prefix("new-").tempdir_in(&root).unwrap();
    fs::write(temporary.path().join("cuda_runtime_api.h"), CUDA_RUNTIME_API).unwrap();
    let headers = finish(preprocess(include, temporary.path()));
    fs::write(temporary.path().join("missing_classes.h"), missing::classes(&headers)).unwrap();
    let running: Vec<_> =
        products.iter().map(|product| start(include, product, libraries, temporary.path())).collect();
    for child in running {
        finish(child);
    }
    fs::write(temporary.path().join("state"), state).unwrap();
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::rename(temporary.keep(), &folder).unwrap();
    folder
}

/// Writes the headers' own text, without comments and what their conditions leave out.
fn preprocess(include: &Path, to: &Path) -> Child {
    fs::write(to.join("headers.cpp"), "#include \"NvInfer.h\"\n#include \"NvOnnxParser.h\"\n").unwrap();
    let mut compiler = Command::new(compiler());
    compiler.args(["-std=c++17", "-E", "-P"]).arg("-isystem").arg(to).arg("-isystem").arg(include);
    compiler.arg(to.join("headers.cpp"));
    compiler
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{compiler:?}: {e}"))
}

/// What it wrote.
fn finish(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn start(include: &Path, product: &Product, libraries: &[OsString], to: &Path) -> Child {
    let mut compiler = Command::new(compiler());
    compiler.args(["-std=c++17", "-O1", "-g", "-Wall", "-Wextra", "-Wno-deprecated-declarations"]);
    // In older headers some of the methods are not there, and in none all parameters are used.
    compiler.args(["-Wno-unused-parameter", "-Wno-invalid-offsetof", "-Wno-delete-non-virtual-dtor"]);
    if product.name.contains(".so") {
        compiler.args(["-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-z,defs"]);
        compiler.arg(format!("-Wl,-soname,{}", product.name));
    }
    compiler.arg("-isystem").arg(to).arg("-isystem").arg(include);
    compiler.args(product.sources.iter().map(|source| sources().join(source))).args(libraries);
    compiler.arg("-o").arg(to.join(product.name)).args(["-ldl", "-lpthread"]);
    compiler.stderr(Stdio::piped()).spawn().unwrap_or_else(|e| panic!("{compiler:?}: {e}"))
}

/// As the crate cc chooses it.
fn compiler() -> OsString {
    let target = format!("CXX_{}_unknown_linux_gnu", std::env::consts::ARCH);
    std::env::var_os(target).or_else(|| std::env::var_os("CXX")).unwrap_or_else(|| "c++".into())
}

pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../doubles").canonicalize().unwrap()
}

/// Beside what cargo built: `target/release/doubles`.
pub fn root() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let built = program.ancestors().find(|folder| folder.join("deps").is_dir()).unwrap();
    built.join("doubles")
}

/// A number that changes with what goes into the products: the compiler, the sources, the headers.
fn state(include: &Path, products: &[Product]) -> u64 {
    let mut files: Vec<_> = fs::read_dir(sources()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "h"));
    files.extend(products.iter().flat_map(|product| product.sources).map(|source| sources().join(source)));
    files.extend(["NvInferVersion.h", "NvInferImpl.h", "NvOnnxParser.h"].map(|file| include.join(file)));
    files.sort();
    let read = |file: &PathBuf| fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let texts: Vec<_> = files.iter().map(read).collect();
    hash(&(compiler(), include_str!("compile.rs"), include_str!("missing.rs"), texts))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
