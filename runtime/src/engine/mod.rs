//! What runs a model's files. An engine is a library that is opened at run time; what it is given and gives are plain tensors,
//! so that nothing above knows which one it is.
//!
//! [`crate::Clip`] is what most programs want. For tools that look into graphs of their own, [`Options::start_engine`] gives
//! the engine itself.
//!
//! [`Options::start_engine`]: crate::Options::start_engine

pub mod onnx;
mod start;
mod tensor;
pub(crate) mod tensorrt;

use std::fmt;
use std::path::{Path, PathBuf};

use clip_model::manifest::Plan;

pub(crate) use start::start;
pub use tensor::{Elements, Output, Target, Tensor, View};

use crate::device::Device;
use crate::error::{Error, Result};

/// The most inputs that [`Session::run_into`] takes.
pub const MOST_INPUTS: usize = 8;

/// An engine that was started on a device.
pub trait Engine: fmt::Debug + Send + Sync {
    /// What it is, and what it computes on.
    fn info(&self) -> &EngineInfo;

    /// Bytes of memory that opening files of `bytes` takes at least, to be run with so many threads.
    fn memory(&self, bytes: usize, threads: usize) -> usize;

    /// Opens the graph in `file`, to be run with so many threads.
    ///
    /// # Errors
    /// [`Error::Engine`] when the engine refuses it; [`Error::NoPlan`] when it runs plans only.
    fn open(&self, file: &Path, threads: usize) -> Result<Box<dyn Session>>;

    /// What of this machine a plan was not built for, a sentence each; nothing when it runs here.
    fn misfits(&self, _plan: &Plan) -> Vec<String> {
        vec![format!("it is a plan of TensorRT, and {} runs graphs", self.info().name)]
    }

    /// Opens the plan in `file`, to be run by so many threads at a time.
    ///
    /// # Errors
    /// [`Error::Misfit`] for one that was built for another machine; [`Error::Plan`] when the engine refuses it.
    fn open_plan(&self, file: &Path, plan: &Plan, _threads: usize) -> Result<Box<dyn Session>> {
        let (file, graph) = (file.to_owned(), plan.graph.file.clone());
        Err(Error::Misfit { file, differs: self.misfits(plan), graph })
    }
}

/// What an engine is, and what it computes on. The number format is not the engine's to choose: it computes in that of the
/// file, which the manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineInfo {
    /// Its name, as `ONNX Runtime`.
    pub name: &'static str,
    /// Its version, as `1.31.0`.
    pub version: String,
    /// The file of its shared library.
    pub library: PathBuf,
    /// The device.
    pub device: Device,
    /// What the device's maker calls it, as `Orin`, where the engine knows.
    pub device_name: Option<String>,
}

/// `ONNX Runtime 1.31.0, CPU`, `TensorRT 10.3.0, CUDA device 0 (Orin)`
impl fmt::Display for EngineInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {}", self.name, self.version, self.device)?;
        self.device_name.as_ref().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

/// A graph that an engine has opened. Any number of threads may run it at the same time; where an engine cannot do that, they take turns.
pub trait Session: fmt::Debug + Send + Sync {
    /// What goes in.
    fn inputs(&self) -> Vec<Port>;

    /// What comes out.
    fn outputs(&self) -> Vec<Port>;

    /// Runs a graph of one output on `inputs`, each with its name, and has it write into `target`. It takes at most
    /// [`MOST_INPUTS`]. Nothing is allocated here when all goes well, but by the engine itself.
    ///
    /// # Errors
    /// [`Error::Engine`] or [`Error::Plan`] when the engine refuses an input or fails, or the output is not float32;
    /// [`Error::Engine`] or [`Error::Mismatch`] when it has another shape.
    fn run_into(&self, inputs: &[(&str, View<'_>)], target: Target<'_>) -> Result<()>;

    /// Runs the graph on `inputs`, each with its name. Returns the outputs in their order.
    ///
    /// # Errors
    /// [`Error::Engine`] or [`Error::Plan`] when the engine refuses an input or fails, or an output is not float32;
    /// [`clip_model::Error::Memory`] when there is no room for an output.
    fn run(&self, inputs: &[(&str, &Tensor)]) -> Result<Vec<Output>>;
}

/// An input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// What its elements are: `float32`, `uint8`, `int32`, `int64`, or what the engine calls something else.
    pub element: String,
    /// Its sizes, outermost axis first; `None` where any size is taken.
    pub shape: Vec<Option<usize>>,
}

/// `"image" float32 [*, 3, 224, 224]`
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |size: &Option<usize>| size.map_or_else(|| "*".to_owned(), |n| n.to_string());
        let sizes: Vec<String> = self.shape.iter().map(size).collect();
        write!(f, "{:?} {} [{}]", self.name, self.element, sizes.join(", "))
    }
}
