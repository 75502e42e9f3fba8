//! Stand-ins for TensorRT and for CUDA's driver, compiled on demand from `tests/doubles/` and TensorRT's headers: with them the whole
//! way runs on a machine without a GPU. Programs find them by the loader's search path, so tests run programs of their own:
//!
//! ```no_run
//! # use std::process::Command;
//! let Some(doubles) = clip_testkit::doubles::build() else { return };
//! let mut command = Command::new("target/release/clip-run");
//! doubles.environment(&mut command).env("DOUBLE_CUDA_SM", "87").env("DOUBLE_TENSORRT_LOG", "calls.jsonl");
//! # command.status().unwrap();
//! for call in clip_testkit::doubles::calls("calls.jsonl".as_ref()) {
//!     println!("{}::{} {}", call.class, call.method, call.arguments["name"]);
//! }
//! ```
//!
//! What the environment can ask of them stands in `tests/doubles/README.md`.

mod compile;
mod missing;
mod surface;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use compile::{Product, compile};
pub use surface::surface_library;

const CUDA: [&str; 4] = ["cuda.cpp", "cuda_copies.cpp", "cuda_work.cpp", "cuda_symbols.cpp"];

/// The folder with the three libraries, under the names by which they are looked for.
#[derive(Debug, Clone)]
pub struct Doubles {
    pub folder: PathBuf,
    /// The headers that they were compiled from.
    pub include: PathBuf,
}

/// The doubles of the newest TensorRT whose headers are here, and of CUDA's driver. Without headers, `None` and a line that says
/// what brings them.
pub fn build() -> Option<Doubles> {
    let newest = |include: &PathBuf| include.ends_with("TRT-Enterprise-11.4");
    let include = header_sets().into_iter().find(newest)?;
    Some(build_from(&include))
}

/// The doubles of the TensorRT whose headers lie in `include`: of family 10, 11 or for RTX.
pub fn build_from(include: &Path) -> Doubles {
    let version = Version::read(include);
    let (infer, parser) = version.libraries();
    let folder = compile(
        include,
        &[
            Product { name: "libcuda.so.1", sources: &CUDA },
            Product { name: &infer, sources: &["builder.cpp", "runtime.cpp"] },
            Product { name: &parser, sources: &["parser.cpp"] },
        ],
    );
    Doubles { folder, include: include.to_owned() }
}

/// Every set of TensorRT's headers on this machine: those of `make .deps/tensorrt-headers` (or of the folder TENSORRT_HEADERS),
/// and TENSORRT_INCLUDE_DIR. Where there is none, a line says so.
pub fn header_sets() -> Vec<PathBuf> {
    let root = std::env::var_os("TENSORRT_HEADERS")
        .map_or_else(|| repository().join(".deps/tensorrt-headers"), PathBuf::from);
    let folders = std::fs::read_dir(&root).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut sets: Vec<PathBuf> = folders.collect();
    sets.extend(std::env::var_os("TENSORRT_INCLUDE_DIR").map(PathBuf::from));
    sets.retain(|folder| folder.join("NvInfer.h").exists() && folder.join("NvOnnxParser.h").exists());
    sets.sort();
    if sets.is_empty() {
        eprintln!(
            "skipped: no TensorRT headers in {}; `make .deps/tensorrt-headers` brings them",
            root.display()
        );
    }
    sets
}

/// How the compiler lays out what TensorRT's headers in `include` declare: slots of methods, sizes, values of enumerations.
pub fn slots(include: &Path) -> BTreeMap<String, i64> {
    let folder = compile(include, &[Product { name: "slots", sources: &["slots.cpp"] }]);
    let output = Command::new(folder.join("slots")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| line.rsplit_once(' ').unwrap());
    lines.map(|(name, number)| (name.to_owned(), number.parse().unwrap())).collect()
}

impl Doubles {
    /// Lets `command` find the doubles before any other library of their names, and them ONNX Runtime.
    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let mut path = self.folder.clone().into_os_string();
        if let Some(rest) = std::env::var_os("LD_LIBRARY_PATH").filter(|rest| !rest.is_empty()) {
            path.push(":");
            path.push(rest);
        }
        // The double opens ONNX Runtime itself, which would send usage data.
        command.env("ORT_DISABLE_TELEMETRY", "1");
        command.env("LD_LIBRARY_PATH", path).env("DOUBLE_ONNXRUNTIME", onnxruntime())
    }

    /// libnvinfer, or for RTX libtensorrt_rtx.
    pub fn infer(&self) -> PathBuf {
        self.folder.join(Version::read(&self.include).libraries().0)
    }

    /// The ONNX parser that belongs to it.
    pub fn parser(&self) -> PathBuf {
        self.folder.join(Version::read(&self.include).libraries().1)
    }

    /// The client of `tests/doubles/smoke.cpp`, to be run with this environment.
    pub fn smoke(&self) -> Command {
        let linked =
            [self.infer(), self.parser(), self.folder.join("libcuda.so.1")].map(PathBuf::into_os_string);
        let folder = compile::with_libraries(
            &self.include,
            &[Product { name: "smoke", sources: &["smoke.cpp"] }],
            &linked,
        );
        let mut command = Command::new(folder.join("smoke"));
        self.environment(&mut command);
        command
    }
}

/// A call to a double. Objects are numbers, to be compared with each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub class: String,
    pub method: String,
    pub object: u64,
    pub arguments: Value,
    pub result: Value,
}

/// The calls in a file that DOUBLE_TENSORRT_LOG or DOUBLE_CUDA_LOG named.
pub fn calls(file: &Path) -> Vec<Call> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let call = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        Call {
            class: line["class"].as_str().unwrap().to_owned(),
            method: line["method"].as_str().unwrap().to_owned(),
            object: line["object"].as_u64().unwrap(),
            arguments: line["arguments"].take(),
            result: line["result"].take(),
        }
    };
    text.lines().map(call).collect()
}

/// What NvInferVersion.h says.
struct Version {
    major: u32,
    is_rtx: bool,
}

impl Version {
    fn read(include: &Path) -> Version {
        let file = include.join("NvInferVersion.h");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let number = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix("#define ")?.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let rtx = number("TRT_MAJOR_RTX ");
        // 10.x up to 10.12 wrote the number itself.
        let plain = || number("TRT_MAJOR_ENTERPRISE ").or_else(|| number("NV_TENSORRT_MAJOR "));
        Version { major: rtx.or_else(plain).unwrap(), is_rtx: rtx.is_some() }
    }

    fn libraries(&self) -> (String, String) {
        let Version { major, is_rtx } = self;
        if *is_rtx {
            (format!("libtensorrt_rtx.so.{major}"), format!("libtensorrt_onnxparser_rtx.so.{major}"))
        } else {
            (format!("libnvinfer.so.{major}"), format!("libnvonnxparser.so.{major}"))
        }
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The ONNX Runtime that everything built in this tree uses, see .cargo/config.toml.
fn onnxruntime() -> OsString {
    let named = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty());
    named.unwrap_or_else(|| repository().join(".deps/onnxruntime/lib/libonnxruntime.so").into_os_string())
}
