//! TensorRT's shared libraries: found, opened, and told apart.

use std::error::Error as _;
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::family::Family;
use crate::version::Version;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// TensorRT, for data centres and Jetson: builds on the GPU that it will run on.
    TensorRt,
    /// TensorRT for RTX: builds without a GPU, for those of RTX cards and for some others, and finishes on the card.
    Rtx,
}

impl Kind {
    /// As NVIDIA calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::TensorRt => "TensorRT",
            Kind::Rtx => "TensorRT-RTX",
        }
    }

    /// The names of its library and of its parser, newest first.
    fn names(self) -> &'static [[&'static str; 2]] {
        match self {
            Kind::TensorRt => &[
                ["libnvinfer.so.11", "libnvonnxparser.so.11"],
                ["libnvinfer.so.10", "libnvonnxparser.so.10"],
            ],
            Kind::Rtx => &[["libtensorrt_rtx.so.1", "libtensorrt_onnxparser_rtx.so.1"]],
        }
    }

    fn of(family: Family) -> Kind {
        if family.is_rtx() { Kind::Rtx } else { Kind::TensorRt }
    }
}

/// The source tree's own TensorRT-RTX, when this code was built there.
const RTX_OF_THE_SOURCE_TREE: Option<&str> = option_env!("CLIP_TENSORRT_RTX");

pub(crate) type CreateBuilder = unsafe extern "C" fn(*const c_void, i32) -> *mut c_void;
pub(crate) type CreateRuntime = unsafe extern "C" fn(*const c_void, i32) -> *mut c_void;
pub(crate) type CreateParser = unsafe extern "C" fn(*mut c_void, *const c_void, i32) -> *mut c_void;

/// A library that is open. It is never closed: it has threads and state of its own.
#[derive(Debug)]
pub struct Library {
    path: PathBuf,
    family: Family,
    number: i32,
    handle: ManuallyDrop<libloading::Library>,
}

impl Library {
    /// Opens a library of that kind: the file `path`, or the newest one in the folder `path`, or where that is `None` the
    /// newest one that the system's search finds. (For TensorRT-RTX a program that was built in the source tree looks there
    /// first.)
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::Unusable`]; [`Error::UnknownVersion`] for one that nobody has looked at: calling it
    /// would be a matter of luck; [`Error::OtherKind`].
    pub fn open(kind: Kind, path: Option<&Path>) -> Result<Library> {
        let candidates: Vec<PathBuf> = match path {
            Some(path) if path.is_dir() => kind.names().iter().map(|[name, _]| path.join(name)).collect(),
            Some(path) => return Library::open_file(kind, path),
            None => {
                let tree = RTX_OF_THE_SOURCE_TREE.filter(|_| kind == Kind::Rtx).map(Path::new);
                let own = tree.map(|folder| folder.join(kind.names()[0][0]));
                own.into_iter().chain(kind.names().iter().map(|[name, _]| name.into())).collect()
            }
        };
        let mut tried = Vec::new();
        for candidate in candidates {
            match Library::open_file(kind, &candidate) {
                Ok(library) => return Ok(library),
                Err(Error::Unusable { path, reason }) => tried.push((path, reason)),
                // It is there, and nothing is taken in its place silently.
                Err(other) => return Err(other),
            }
        }
        Err(Error::NotFound { what: kind.name(), tried })
    }

    fn open_file(kind: Kind, path: &Path) -> Result<Library> {
        let handle = open(path)?;
        // SAFETY: the function has this type since TensorRT 5.
        let version = unsafe { handle.get::<unsafe extern "C" fn() -> i32>(b"getInferLibVersion") };
        let Ok(version) = version.map(|symbol| *symbol) else {
            let reason = format!("it is not {}: it has no function getInferLibVersion", kind.name());
            return Err(Error::Unusable { path: path.to_owned(), reason });
        };
        let path = match path.is_absolute() {
            true => path.to_owned(),
            false => mapped_file(version as usize).unwrap_or_else(|| path.to_owned()),
        };
        // SAFETY: it takes nothing, and gives a number.
        let number = unsafe { version() };
        let Some(family) = Family::of(number) else {
            return Err(Error::UnknownVersion { path, found: Version::of(number), number });
        };
        if Kind::of(family) != kind {
            let [wanted, found] = [kind, Kind::of(family)].map(Kind::name);
            return Err(Error::OtherKind { path, wanted, found });
        }
        Ok(Library { path, family, number, handle })
    }

    /// Which of the two it is.
    pub fn kind(&self) -> Kind {
        Kind::of(self.family)
    }

    /// Its version.
    pub fn version(&self) -> Version {
        Version::of(self.number)
    }

    /// The family of its version.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The file that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its version as its own functions take it.
    pub(crate) fn number(&self) -> i32 {
        self.number
    }

    /// What makes builders.
    pub(crate) fn create_builder(&self) -> Result<CreateBuilder> {
        // SAFETY: the function has this type in all families.
        unsafe { self.handle.get::<CreateBuilder>(b"createInferBuilder_INTERNAL") }.map(|symbol| *symbol).map_err(|_| {
            Error::NoBuilder {
                path: self.path.clone(),
                reason: "it has no function createInferBuilder_INTERNAL; it is one of the libraries that only run engines"
                    .to_owned(),
            }
        })
    }

    /// What makes runtimes.
    pub(crate) fn create_runtime(&self) -> Result<CreateRuntime> {
        // SAFETY: the function has this type in all families.
        unsafe { self.handle.get::<CreateRuntime>(b"createInferRuntime_INTERNAL") }
            .map(|symbol| *symbol)
            .map_err(|_| Error::Unusable {
                path: self.path.clone(),
                reason: "it has no function createInferRuntime_INTERNAL".to_owned(),
            })
    }

    /// What makes parsers: from the library beside this one, or else by its name.
    pub(crate) fn create_parser(&self) -> Result<CreateParser> {
        let names = self.kind().names();
        let [_, name] = match self.family {
            Family::TensorRt10 => names[names.len() - 1],
            _ => names[0],
        };
        let beside = self.path.with_file_name(name);
        let parser = match beside.is_file() {
            true => open(&beside),
            false => open(Path::new(name)),
        };
        let no_builder = |reason: String| Error::NoBuilder { path: self.path.clone(), reason };
        let parser = parser.map_err(|e| no_builder(format!("of its parser, {e}")))?;
        // SAFETY: the function has this type in all families.
        unsafe { parser.get::<CreateParser>(b"createNvOnnxParser_INTERNAL") }
            .map(|symbol| *symbol)
            .map_err(|_| no_builder(format!("{name} has no function createNvOnnxParser_INTERNAL")))
    }
}

/// Opens a file, or a bare name that the system searches for. It is not closed again.
fn open(path: &Path) -> Result<ManuallyDrop<libloading::Library>> {
    // SAFETY: opening a library runs its initialisers; that is what the user asks for.
    match unsafe { libloading::Library::new(path) } {
        Ok(library) => Ok(ManuallyDrop::new(library)),
        Err(error) => {
            // The dynamic linker's own words, where there are some, without the path that stands before them.
            let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            let own = format!("{}: ", path.display());
            let reason = reason.strip_prefix(&own).unwrap_or(&reason).to_owned();
            Err(Error::Unusable { path: path.to_owned(), reason })
        }
    }
}

/// The file that is mapped at an address of this process. `/proc` gives its absolute path, where `dladdr` gives the name it was
/// opened by, which says nothing once the working folder has changed.
pub fn mapped_file(address: usize) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        // start-end permissions offset device inode path
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
        let path = &line[line.find('/')?..];
        range.contains(&address).then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_that_of_a_file_or_of_none() {
        let program = std::env::current_exe().unwrap();
        assert_eq!(mapped_file(mapped_file as *const () as usize), Some(program));
        assert_eq!(mapped_file(0), None);
    }
}
