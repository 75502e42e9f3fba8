//! What CLIP *is* (Radford et al. 2021, arXiv 2103.00020): the configuration of its two towers, the network
//! written once over a small set of operations, checkpoints, the tokenizer, image preprocessing, and the
//! manifest of an exported model folder.
//!
//! This crate computes nothing with weights: training (libtorch) and inference (ONNX Runtime) live in the
//! crates that depend on it. It links neither.

#[doc(hidden)]
pub mod cases;
pub mod checkpoint;
pub mod clip;
pub mod config;
mod error;
mod excerpt;
pub mod files;
mod formats;
#[doc(hidden)]
pub mod fuzzing;
pub mod infer;
pub mod labels;
pub mod manifest;
pub mod memory;
pub mod openclip;
pub mod ops;
pub mod parallel;
pub mod preprocess;
pub mod shapes;
pub mod templates;
pub mod temporary;
pub mod tokenizer;
mod weights;

pub use checkpoint::Checkpoint;
pub use config::Config;
pub use error::{Error, Result};
pub use excerpt::{excerpt, shown};
pub use manifest::Manifest;
pub use preprocess::Preprocess;
pub use tokenizer::Tokenizer;
