//! How a model folder is opened, and what it runs on.

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::device::{Device, EngineKind};
use crate::plan::Progress;

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
    pub(crate) image_threads: Option<usize>,
    pub(crate) library: Option<PathBuf>,
    pub(crate) tensorrt: Option<PathBuf>,
    pub(crate) max_pixels: Option<u64>,
    pub(crate) trust_unchanged: bool,
    pub(crate) spinning: bool,
    pub(crate) rebuild: bool,
    pub(crate) watch: Option<Watch>,
    pub(crate) fast_decode: bool,
}

/// What is told of a graph how far the build of its plan is.
type Told = dyn Fn(&Path, Progress<'_>) -> ControlFlow<()> + Send + Sync;

/// What is told how far a rebuild is. Two are equal when they are the same.
#[derive(Clone)]
pub(crate) struct Watch(pub Arc<Told>);

impl PartialEq for Watch {
    fn eq(&self, other: &Watch) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Watch {}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

impl Options {
    /// Nothing is set.
    pub fn new() -> Options {
        Options::default()
    }

    /// The engine that runs the model; by default each of its files is run by the one that it was made for. ONNX Runtime also runs a
    /// folder with plans of TensorRT: by the graphs that they were built of. When the engine cannot be had, or has nothing to run,
    /// opening is an error: no other takes its place.
    pub fn engine(self, engine: impl Into<Option<EngineKind>>) -> Options {
        Options { engine: engine.into(), ..self }
    }

    /// The device that is computed on; by default the processor for ONNX Runtime, and the first CUDA device for TensorRT. When an
    /// engine of the model cannot compute there, opening is an error.
    pub fn device(self, device: impl Into<Option<Device>>) -> Options {
        Options { device: device.into(), ..self }
    }

    /// Threads that one call computes with, at most [`MAX_THREADS`]; by default one for each physical core that the process
    /// may use. There are never more than processors that it may use, whatever is asked for: see [`crate::Clip::threads`].
    pub fn threads(self, threads: impl Into<Option<usize>>) -> Options {
        Options { threads: threads.into(), ..self }
    }

    /// Threads that one call computes images with; by default, and at most, as many as [`Options::threads`] says. Who encodes images from several threads at a
    /// time gets more out of them with one each: nothing waits for the slowest of them then. It does not concern TensorRT.
    pub fn image_threads(self, image_threads: impl Into<Option<usize>>) -> Options {
        Options { image_threads: image_threads.into(), ..self }
    }

    /// The file of ONNX Runtime's shared library; by default it is looked for, see [`crate::engine::onnx`]. It is opened once a
    /// process: asking for another one later is an error.
    pub fn library(self, library: impl Into<PathBuf>) -> Options {
        Options { library: Some(library.into()), ..self }
    }

    /// The file of the shared library of TensorRT or TensorRT-RTX, or the folder that it is in; by default the one that the system
    /// finds, of the family that built the model's plans, or else the newest.
    pub fn tensorrt(self, path: impl Into<Option<PathBuf>>) -> Options {
        Options { tensorrt: path.into(), ..self }
    }

    /// Whether threads of ONNX Runtime that wait for work look for it for a moment before they sleep: 50 microseconds, or as long as
    /// versions do that cannot be told (a core is then kept busy for as long as images come now and then). Off by default, so that a model
    /// that waits costs nothing. Where one call follows the other, as in batch work, small models are up to half faster with it.
    pub fn spinning(self, spinning: bool) -> Options {
        Options { spinning, ..self }
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

    /// Whether a plan that does not fit this machine, or is damaged, is built anew of its graph, by this machine's TensorRT; and, where TensorRT is asked
    /// for by [`Options::engine`], also the plan of a graph that has none. That takes minutes. The plan is kept in the user's cache folder
    /// (`libclip/plans` in `$XDG_CACHE_HOME` or `~/.cache`) and found there the next time.
    pub fn rebuild(self, rebuild: bool) -> Options {
        Options { rebuild, ..self }
    }

    /// What is told how far a rebuild is, from several threads: the graph's file, and the progress of its build, which
    /// [`ControlFlow::Break`] cancels.
    pub fn watch_rebuild(
        self,
        watch: impl Fn(&Path, Progress<'_>) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Options {
        Options { watch: Some(Watch(Arc::new(watch))), ..self }
    }

    /// Whether [`crate::Clip::open_image`] and [`crate::Clip::decode_image`] may give images of the model's size, JPEGs of which were decoded at a part of
    /// their own: see [`clip_model::Preprocess::decode_fitted`]. That takes less time for large photos, and gives embeddings that are not quite
    /// those of Pillow's pixels.
    pub fn fast_decode(self, fast_decode: bool) -> Options {
        Options { fast_decode, ..self }
    }
}
