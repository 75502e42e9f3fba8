//! Models for NVIDIA's Triton Inference Server: a model folder's graphs in a model repository, each with its configuration.
//!
//! A repository holds folders, one a model: `config.pbtxt`, and below the number of a version the file that a backend runs.
//! What is written is `NAME_visual`, `NAME_text` and `NAME_classifier`, as far as the folder has them.

mod config;
mod model;
mod repository;

pub use repository::Repository;

/// What Triton runs the models on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// A GPU where Triton has one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU.
    Gpu,
}
