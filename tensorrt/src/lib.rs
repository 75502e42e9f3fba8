//! TensorRT 10 and 11 and TensorRT-RTX 1.3 to 1.7, opened at run time: ONNX graphs become engines, and engines run.
//!
//! ```no_run
//! use clip_tensorrt::{BuildOptions, Kind, Library};
//!
//! let library = Library::open(Kind::TensorRt, None)?;
//! println!("TensorRT {} in {}", library.version(), library.path().display());
//! let built = library.build("visual.onnx".as_ref(), &BuildOptions::default(), &mut |_| std::ops::ControlFlow::Continue(()))?;
//! std::fs::write("visual.plan", &built.plan)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing of NVIDIA's is needed to compile this crate, neither headers nor a C++ compiler: a board has the TensorRT of its
//! JetPack, a server another one, and one program serves them all. TensorRT's interface is a handful of C functions that give
//! out C++ objects, whose methods are called through their virtual tables. Where in its table a method stands is told by the
//! tables in `family/`, one for each [`Family`] of versions; `docs/decisions/012-tensorrt.md` says why, and what guards them.
//!
//! The GPU is reached through [`cuda`], which has the CUDA driver opened at run time, too.

mod builder;
mod context;
pub mod cuda;
mod engine;
mod error;
mod execution;
mod family;
mod library;
mod logger;
mod monitor;
mod object;
mod parser;
mod port;
mod shape;
mod version;

pub use builder::{BuildOptions, Built, Plan};
pub use engine::{Element, Engine, Io};
pub use error::{Error, Result};
pub use execution::{DeviceInput, Execution, Input};
pub use family::Family;
pub use library::{Kind, Library, mapped_file};
pub use monitor::{Progress, Watch};
pub use port::Output;
pub use shape::{Range, Shape};
pub use version::Version;
