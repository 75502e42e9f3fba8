//! What CLIP *is* (Radford et al. 2021, arXiv 2103.00020), and what the runtime needs of it: the configuration of its two towers,
//! the network written once over a small set of operations, the tokenizer, image preprocessing, prompt templates, label sets, and
//! the manifest of an exported model folder.
//!
//! This crate reads no checkpoints and computes nothing with weights: `clip-checkpoint` does the one, training (libtorch) and
//! inference (ONNX Runtime) live in the crates that depend on it. It links neither.

pub mod clip;
pub mod config;
mod error;
mod excerpt;
pub mod files;
pub mod frame;
pub mod labels;
pub mod manifest;
pub mod memory;
pub mod ops;
pub mod orientation;
pub mod parallel;
pub mod preprocess;
pub mod shapes;
pub mod templates;
pub mod temporary;
pub mod tokenizer;

pub use config::Config;
pub use error::{Error, Result};
pub use excerpt::{excerpt, shown};
pub use manifest::Manifest;
pub use preprocess::Preprocess;
pub use tokenizer::Tokenizer;
