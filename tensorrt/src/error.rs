//! The one error type of this crate.

use std::path::PathBuf;

use crate::family::{KNOWN, RTX_TARGETS};
use crate::shape::{Range, Shape};
use crate::version::Version;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong between a graph and what an engine computes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No library was found.
    #[error(
        "{what} was not found: {}. Install it, JetPack has it, or say in which folder it is",
        list(tried)
    )]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Each file or name that was tried, and why it was not taken.
        tried: Vec<(PathBuf, String)>,
    },
    /// A file cannot be opened as the library that it should be.
    #[error("{} is not used: {reason}", path.display())]
    Unusable {
        /// The library.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A version whose virtual tables are not known.
    #[error("{} is version {found} ({number}), and known are {KNOWN}", path.display())]
    UnknownVersion {
        /// The library.
        path: PathBuf,
        /// Its version.
        found: Version,
        /// The same as the library says it.
        number: i32,
    },
    /// The library is another one than was asked for.
    #[error("{} is {found}, and not {wanted}", path.display())]
    OtherKind {
        /// The library.
        path: PathBuf,
        /// What was asked for.
        wanted: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// The library only runs engines.
    #[error("{} cannot build engines: {reason}", path.display())]
    NoBuilder {
        /// The library.
        path: PathBuf,
        /// What it lacks.
        reason: String,
    },
    /// There is no CUDA driver.
    #[error("there is no NVIDIA driver: libcuda.so.1 cannot be opened")]
    NoDriver,
    /// The driver is older than what is needed.
    #[error("the NVIDIA driver serves CUDA {found}, and {needed} or newer is needed")]
    DriverTooOld {
        /// The newest version of CUDA that it serves.
        found: String,
        /// The oldest that is enough.
        needed: String,
    },
    /// There is no GPU, or none of that number.
    #[error("there is no CUDA device {index}: {}", match count { 0 => "the driver finds no GPU".to_owned(), n => format!("the driver finds {n}, counted from 0") })]
    NoDevice {
        /// The number that was asked for.
        index: u32,
        /// How many there are.
        count: u32,
    },
    /// The CUDA driver refused something.
    #[error("CUDA cannot {action}: {reason}")]
    Cuda {
        /// What was to be done.
        action: &'static str,
        /// The driver's name of the error, and its number.
        reason: String,
    },
    /// More memory was asked for than the GPU has.
    #[error("{what} of {wanted} bytes is more than the {device} bytes that the GPU has")]
    TooMuchMemory {
        /// What it was for.
        what: &'static str,
        /// Bytes that were asked for.
        wanted: u64,
        /// Bytes of the GPU.
        device: u64,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// TensorRT's parser does not take a graph.
    #[error("{} {version} does not take {}: {reason}", name(*version), path.display())]
    Parse {
        /// Version of the library.
        version: Version,
        /// The graph.
        path: PathBuf,
        /// The parser's words.
        reason: String,
    },
    /// A GPU that this library builds no engines for.
    #[error(
        "TensorRT-RTX {version} builds no engines for compute capability {}.{}: it builds for {}; on a Jetson or on a GPU of a data \
         centre, build with TensorRT itself, on the device",
        sm / 10, sm % 10, targets()
    )]
    Target {
        /// Version of the library.
        version: Version,
        /// The compute capability, ten times its first number and its second.
        sm: u32,
    },
    /// A build option that this library does not have.
    #[error("{what} is not possible: {reason}")]
    Option {
        /// The option.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// An engine could not be built.
    #[error("{} {version} cannot build an engine of {}: {reason}", name(*version), path.display())]
    Build {
        /// Version of the library.
        version: Version,
        /// The graph.
        path: PathBuf,
        /// TensorRT's words.
        reason: String,
    },
    /// A build was cancelled.
    #[error("the build was cancelled")]
    Cancelled,
    /// A plan is not taken.
    #[error("{} {version} does not take the plan: {reason}", name(*version))]
    Plan {
        /// Version of the library.
        version: Version,
        /// TensorRT's words.
        reason: String,
    },
    /// An engine finds no room on the GPU.
    #[error("the GPU has {free} bytes free, and the engine's plan alone has {bytes}: {reason}")]
    NoRoom {
        /// Bytes of the GPU's memory that nobody uses.
        free: u64,
        /// Bytes of the plan.
        bytes: u64,
        /// TensorRT's words.
        reason: String,
    },
    /// An engine failed.
    #[error("TensorRT cannot {action}: {reason}")]
    Run {
        /// What was to be done.
        action: &'static str,
        /// TensorRT's words.
        reason: String,
    },
    /// An input that the engine was not built for.
    #[error("input {input:?} has shape {found:?}, and the engine was built for {range}")]
    OutsideProfile {
        /// Its name.
        input: String,
        /// Its shape.
        found: Shape,
        /// What the engine was built for.
        range: Range,
    },
    /// An input that the engine does not have, or that is missing or of another type or size.
    #[error("the engine's input {input:?} {reason}")]
    Input {
        /// Its name.
        input: String,
        /// What is wrong.
        reason: String,
    },
}

/// The versions of TensorRT-RTX begin with 1.
fn name(version: Version) -> &'static str {
    if version.major == 1 { "TensorRT-RTX" } else { "TensorRT" }
}

fn list(tried: &[(PathBuf, String)]) -> String {
    tried.iter().map(|(path, reason)| format!("{} ({reason})", path.display())).collect::<Vec<_>>().join(", ")
}

fn targets() -> String {
    let name = |sm: &u32| format!("{}.{}", sm / 10, sm % 10);
    RTX_TARGETS.iter().map(name).collect::<Vec<_>>().join(", ")
}
