//! How a model folder is opened, and what it runs on.

use std::fmt;
use std::path::PathBuf;

/// The largest number of [`Options::threads`] that is accepted.
pub const MAX_THREADS: usize = 1024;

/// How a model folder is opened. What is not set is as [`crate::Clip::open`] has it.
///
/// ```
/// use clip_runtime::{Device, Options};
///
/// let options = Options::new().threads(2).device(Device::Cpu).trust_unchanged(true);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    pub(crate) engine: Option<EngineKind>,
    pub(crate) device: Option<Device>,
    pub(crate) threads: Option<usize>,
    pub(crate) library: Option<PathBuf>,
    pub(crate) max_pixels: Option<u64>,
    pub(crate) trust_unchanged: bool,
}

impl Options {
    /// Nothing is set.
    pub fn new() -> Options {
        Options::default()
    }

    /// The engine that runs the model; by default the one that its files were made for. When it cannot be had, opening is an
    /// error: no other takes its place.
    pub fn engine(self, engine: impl Into<Option<EngineKind>>) -> Options {
        Options { engine: engine.into(), ..self }
    }

    /// The device that the engine computes on; by default the engine's usual one, see [`crate::EngineInfo`]. When the engine
    /// cannot compute there, opening is an error.
    pub fn device(self, device: impl Into<Option<Device>>) -> Options {
        Options { device: device.into(), ..self }
    }

    /// Threads that one call computes with, at most [`MAX_THREADS`]; by default one for each physical core that the process
    /// may use. There are never more than processors that it may use, whatever is asked for: see [`crate::Clip::threads`].
    pub fn threads(self, threads: impl Into<Option<usize>>) -> Options {
        Options { threads: threads.into(), ..self }
    }

    /// The file of the engine's shared library; by default it is looked for, see [`crate::engine::onnx`]. It is opened once a
    /// process: asking for another one later is an error.
    pub fn library(self, library: impl Into<PathBuf>) -> Options {
        Options { library: Some(library.into()), ..self }
    }

    /// Pixels of the largest image that is decoded, where that is fewer than the folder allows.
    pub fn max_pixels(self, max_pixels: impl Into<Option<u64>>) -> Options {
        Options { max_pixels: max_pixels.into(), ..self }
    }

    /// Whether a file of the folder is taken for checked when its size and times are those that it had when it was last
    /// found to have the right hash, with this option too. What was found is kept in the folder, in `.checked.json`, or, where
    /// that cannot be written to, in the user's cache folder. By default all files are hashed whenever a folder is opened.
    pub fn trust_unchanged(self, trust_unchanged: bool) -> Options {
        Options { trust_unchanged, ..self }
    }
}

/// The engines that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineKind {
    /// ONNX Runtime.
    Onnx,
}

/// What an engine computes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Device {
    /// The processor.
    Cpu,
    /// The CUDA device of that number.
    Cuda(u32),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("CPU"),
            Device::Cuda(index) => write!(f, "CUDA device {index}"),
        }
    }
}
