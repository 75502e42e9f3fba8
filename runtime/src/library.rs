//! Finding and opening ONNX Runtime, once a process.
//!
//! Looked for, in this order, and the first that can be used is taken:
//! 1. the file in the environment variable `ORT_DYLIB_PATH`, and nothing else where that is set;
//! 2. beside the shared library that this code is part of, and beside the program;
//! 3. in `../lib` of a program that is installed in a folder `bin`;
//! 4. in a program that was built in the source tree, the tree's own `.deps/onnxruntime/lib`, where `make .deps/onnxruntime`
//!    puts it: an absolute path, fixed when it is built by `CLIP_ONNXRUNTIME` of `.cargo/config.toml` (a package is built
//!    with that variable empty, or without the file, and has none);
//! 5. where the system looks for shared libraries.
//!
//! Microsoft's builds of ONNX Runtime send usage data from 1.31 on, also on Linux. This is switched off: unless
//! `ORT_DISABLE_TELEMETRY` is in the environment already, it is set to 1 before the library is opened, which
//! is the only way to keep it from writing a device id into the user's cache folder and from looking for its maker's server.
//! A C program whose other threads change the environment should open its first model before it starts them.

mod search;

use std::error::Error as _;
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clip_model::memory;
use ort::environment::Environment;

use crate::error::{Error, Result};

/// The environment variable that names the library.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The environment variable that keeps ONNX Runtime from sending usage data.
const NO_TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";

/// Bytes that ONNX Runtime takes besides its file when it starts (7 MB were measured), and some for what is not counted:
/// where it gets none, its initialisers print, or end the process.
const MEMORY: usize = 32 << 20;

/// What glibc's dynamic linker says when a library's parts find no room in memory.
const NO_ADDRESS_SPACE: [&str; 2] = ["failed to map segment", "cannot allocate memory"];

/// The ONNX Runtime of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// The file.
    pub path: PathBuf,
    /// Its version, as `1.31.0`.
    pub version: String,
}

/// The library, and what sessions are made from.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub library: Library,
    pub environment: Environment,
}

/// A library is never closed again, since ONNX Runtime has threads and state of its own.
static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// The process's ONNX Runtime: opened at the first call, from `asked` or else by search.
pub(crate) fn load(asked: Option<&Path>) -> Result<Loaded> {
    let mut slot = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = &*slot {
        let other =
            asked.filter(|asked| std::fs::canonicalize(asked).ok().as_ref() != Some(&loaded.library.path));
        return match other {
            None => Ok(loaded.clone()),
            Some(asked) => {
                Err(Error::LibraryLoaded { asked: asked.to_owned(), loaded: loaded.library.path.clone() })
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
    let failed = |reason: String| Error::Engine { action: "start", file: library.path.clone(), reason };
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
    Ok(slot.insert(Loaded { library, environment }).clone())
}

fn find() -> Result<Library> {
    if let Some(named) = std::env::var_os(VARIABLE).filter(|v| !v.is_empty()) {
        return open_file(Path::new(&named)).map_err(|e| match e {
            Error::LibraryUnusable { path, reason } => {
                Error::LibraryUnusable { path, reason: format!("{reason} (it is named by {VARIABLE})") }
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
    Err(Error::LibraryNotFound { tried })
}

/// Opens a file that must exist.
fn open_file(path: &Path) -> Result<Library> {
    let unusable =
        |e: std::io::Error| Error::LibraryUnusable { path: path.to_owned(), reason: e.to_string() };
    open(&std::fs::canonicalize(path).map_err(unusable)?)
}

/// Opens a file, or a bare name that the system searches for, and asks which ONNX Runtime it is. `ort` would panic
/// or print where this returns an error.
fn open(path: &Path) -> Result<Library> {
    let unusable = |reason: String| Error::LibraryUnusable { path: path.to_owned(), reason };
    let bytes = path.metadata().map_or(0, |file| usize::try_from(file.len()).unwrap_or(usize::MAX));
    memory::available("ONNX Runtime", bytes.saturating_add(MEMORY))?;
    // SAFETY: opening a library runs its initialisers; that is what the user asks for with this file.
    let library = unsafe { libloading::Library::new(path) }.map_err(|e| {
        // The dynamic linker's own words, where there are some.
        let reason = e.source().map_or_else(|| e.to_string(), ToString::to_string);
        match NO_ADDRESS_SPACE.iter().any(|words| reason.contains(words)) {
            true => {
                Error::from(clip_model::Error::Memory { what: format!("ONNX Runtime ({reason})"), bytes })
            }
            false => unusable(reason),
        }
    })?;
    // SAFETY: the symbol has this type in every ONNX Runtime since 1.0.
    let base =
        unsafe { library.get::<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase") }
            .map(|symbol| *symbol)
            .map_err(|_| unusable("it has no function OrtGetApiBase".to_owned()))?;
    // A library with threads of its own is better not closed, whatever else happens.
    std::mem::forget(library);
    // SAFETY: the function takes nothing and returns a pointer to a static, or null.
    let Some(api) = (unsafe { base().as_ref() }) else {
        return Err(unusable("OrtGetApiBase returned nothing".to_owned()));
    };
    // SAFETY: the version is a static string that ends with a zero.
    let version = unsafe { CStr::from_ptr((api.GetVersionString)()) }.to_string_lossy().into_owned();
    let path = if path.is_absolute() {
        path.to_owned()
    } else {
        search::mapped_file(base as usize).unwrap_or(path.into())
    };
    let mut numbers = version.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < (1, ort::MINOR_VERSION) {
        return Err(Error::LibraryTooOld {
            path,
            found: version,
            needed: format!("1.{}", ort::MINOR_VERSION),
        });
    }
    // SAFETY: any version number may be asked for; null says that it is not there.
    if unsafe { (api.GetApi)(ort::MINOR_VERSION) }.is_null() {
        let reason = format!("version {version} has no interface {}", ort::MINOR_VERSION);
        return Err(Error::LibraryUnusable { path, reason });
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
        assert!(matches!(&error, Error::LibraryNotFound { tried } if tried.len() == 3), "{error}");
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
