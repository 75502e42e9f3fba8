//! Opening ONNX Runtime's shared library, once a process.

use std::error::Error as _;
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clip_model::{files, memory};
use ort::environment::Environment;

use super::search;
use crate::error::{Error, Result};

/// The engine's name.
pub const NAME: &str = "ONNX Runtime";

/// The oldest version that serves, by its second number.
const OLDEST: u32 = ort::MINOR_VERSION;

/// How to come by a library.
const HELP: &str = "run `make .deps/onnxruntime` in the source tree, or unpack the wheel onnxruntime==1.31.0 from PyPI, \
                    and put its libonnxruntime.so beside the program or name it in ORT_DYLIB_PATH";

/// The environment variable that names the library.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The environment variable that keeps ONNX Runtime from sending usage data.
const NO_TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";

/// Bytes that ONNX Runtime takes besides its file when it starts (7 MB were measured), and some for what is not counted:
/// where it gets none, its initialisers print, or end the process.
const MEMORY: usize = 32 << 20;

/// What glibc's dynamic linker says when a library's parts find no room in memory.
const NO_ADDRESS_SPACE: [&str; 2] = ["failed to map segment", "cannot allocate memory"];

/// A library that is open.
#[derive(Debug, Clone)]
pub struct Library {
    pub path: PathBuf,
    /// Its version, as `1.31.0`.
    pub version: String,
}

impl Library {
    /// The second number of its version, of which the first is 1.
    pub fn minor(&self) -> u32 {
        self.version.split('.').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
    }
}

/// A library is never closed again, since ONNX Runtime has threads and state of its own.
static LOADED: Mutex<Option<(Library, Environment)>> = Mutex::new(None);

/// The process's ONNX Runtime, and what sessions are made from: opened at the first call, from `asked` or else by search.
pub fn load(asked: Option<&Path>) -> Result<(Library, Environment)> {
    let mut slot = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = &*slot {
        let open = &loaded.0.path;
        let other = asked.filter(|asked| std::fs::canonicalize(asked).ok().as_ref() != Some(open));
        return match other {
            None => Ok(loaded.clone()),
            Some(asked) => {
                Err(Error::LibraryLoaded { engine: NAME, asked: asked.to_owned(), loaded: open.clone() })
            }
        };
    }
    if std::env::var_os(NO_TELEMETRY).is_none() {
        // SAFETY: done once a process, under the lock above. The standard library's own accesses are locked, too; of C's,
        // only changes at this very moment could meet this one, as the module's documentation says.
        unsafe { std::env::set_var(NO_TELEMETRY, "1") };
    }
    let library = match asked {
        Some(path) => open_file(path)?,
        None => find()?,
    };
    let failed = |reason: String| {
        let file = library.path.clone();
        Error::Engine { engine: NAME, action: "start", file, reason }
    };
    let environment = ort::init_from(&library.path)
        .map_err(|e| failed(e.to_string()))?
        .with_name("clip")
        .with_telemetry(false) // for builds that know the call, not the variable
        // Nothing is printed: what fails is returned as an error.
        .with_logger(Arc::new(|_, _, _, _, _| {}))
        .build()
        .map_err(|e| failed(e.to_string()))?;
    // The logger above only discards; below this level messages are not even composed.
    environment.set_log_level(ort::logging::LogLevel::Fatal);
    Ok(slot.insert((library, environment)).clone())
}

fn find() -> Result<Library> {
    if let Some(named) = std::env::var_os(VARIABLE).filter(|v| !v.is_empty()) {
        return open_file(Path::new(&named)).map_err(|e| match e {
            Error::LibraryUnusable { path, reason, .. } => {
                unusable(&path, format!("{reason} (it is named by {VARIABLE})"))
            }
            other => other,
        });
    }
    first_of(search::candidates())
}

/// The first that can be used.
fn first_of(candidates: Vec<PathBuf>) -> Result<Library> {
    let mut tried = Vec::new();
    for path in candidates {
        let found = if path.is_absolute() { open_file(&path) } else { open(&path) };
        match found {
            Ok(library) => return Ok(library),
            Err(Error::LibraryUnusable { reason, .. }) => tried.push((path, reason)),
            // The next file would need as much.
            Err(error @ Error::Model(clip_model::Error::Memory { .. })) => return Err(error),
            Err(other) => tried.push((path, other.to_string())),
        }
    }
    Err(Error::LibraryNotFound { engine: NAME, tried, help: HELP })
}

fn unusable(path: &Path, reason: String) -> Error {
    Error::LibraryUnusable { engine: NAME, path: path.to_owned(), reason }
}

/// Opens a file that must exist.
fn open_file(path: &Path) -> Result<Library> {
    open(&std::fs::canonicalize(path).map_err(|e| unusable(path, e.to_string()))?)
}

/// Opens a file, or a bare name that the system searches for, and asks which ONNX Runtime it is. `ort` would panic
/// or print where this returns an error.
fn open(path: &Path) -> Result<Library> {
    let bytes = files::size(path);
    memory::available(NAME, bytes.saturating_add(MEMORY))?;
    // SAFETY: opening a library runs its initialisers; that is what the user asks for with this file.
    let library = unsafe { libloading::Library::new(path) }.map_err(|e| {
        // The dynamic linker's own words, where there are some.
        let reason = e.source().map_or_else(|| e.to_string(), ToString::to_string);
        match NO_ADDRESS_SPACE.iter().any(|words| reason.contains(words)) {
            true => clip_model::Error::Memory { what: format!("{NAME} ({reason})"), bytes }.into(),
            false => unusable(path, reason),
        }
    })?;
    // SAFETY: the symbol has this type in every ONNX Runtime since 1.0.
    let base =
        unsafe { library.get::<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase") }
            .map(|symbol| *symbol)
            .map_err(|_| unusable(path, "it has no function OrtGetApiBase".to_owned()))?;
    // A library with threads of its own is better not closed, whatever else happens.
    std::mem::forget(library);
    // SAFETY: the function takes nothing and returns a pointer to a static, or null.
    let Some(api) = (unsafe { base().as_ref() }) else {
        return Err(unusable(path, "OrtGetApiBase returned nothing".to_owned()));
    };
    // SAFETY: the version is a static string that ends with a zero.
    let version = unsafe { CStr::from_ptr((api.GetVersionString)()) }.to_string_lossy().into_owned();
    let path = if path.is_absolute() {
        path.to_owned()
    } else {
        clip_tensorrt::mapped_file(base as usize).unwrap_or(path.into())
    };
    let mut numbers = version.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < (1, OLDEST) {
        let needed = format!("1.{OLDEST}");
        return Err(Error::LibraryTooOld { engine: NAME, path, found: version, needed, help: HELP });
    }
    // SAFETY: any version number may be asked for; null says that it is not there.
    if unsafe { (api.GetApi)(OLDEST) }.is_null() {
        return Err(unusable(&path, format!("version {version} has no interface {OLDEST}")));
    }
    Ok(Library { path, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_no_onnx_runtime_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("libonnxruntime.so");
        std::fs::write(&text, "not a library").unwrap();
        for (path, reason) in
            [(text.as_path(), "file too short"), (Path::new("/no/such/file.so"), "No such file")]
        {
            let error = open_file(path).unwrap_err();
            assert!(matches!(&error, Error::LibraryUnusable { .. }), "{error}");
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
            assert!(error.to_string().contains(reason), "{error}");
        }
        // A library, but another one.
        #[cfg(target_os = "linux")]
        {
            let error = open(Path::new("libc.so.6")).unwrap_err().to_string();
            assert!(error.contains("no function OrtGetApiBase"), "{error}");
        }
    }

    #[test]
    fn what_does_not_serve_is_listed_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("libonnxruntime.so");
        std::fs::write(&text, "not a library").unwrap();
        let candidates = vec!["/no/such/file.so".into(), text.clone(), "libno-such-library.so".into()];
        let error = first_of(candidates).unwrap_err();
        assert!(matches!(&error, Error::LibraryNotFound { tried, .. } if tried.len() == 3), "{error}");
        let error = error.to_string();
        for part in [
            "/no/such/file.so (No such file or directory",
            &format!("{} (file too short)", text.display()),
            "libno-such-library.so (cannot open shared object file: No such file or directory)",
            "make .deps/onnxruntime",
            "onnxruntime==1.31.0",
            "ORT_DYLIB_PATH",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
