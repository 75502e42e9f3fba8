//! Opens a model folder that `clip-export` wrote and runs it: images and texts to embeddings, images to labels.
//!
//! ```no_run
//! use clip_runtime::Clip;
//!
//! let clip = Clip::open("emoji")?;
//! let labels = clip.label_set(&["cat", "dog", "bicycle"], &["a photo of a {}.".parse()?])?;
//! let image = clip.open_image("photo.jpg")?;
//! for found in clip.classify(&image, &labels, 3)? {
//!     println!("{:5.1} %  {}", 100.0 * found.probability, found.label);
//! }
//! # Ok::<(), clip_runtime::Error>(())
//! ```
//!
//! What computes is an [`engine`], a shared library that is found and opened at run time: ONNX Runtime, on the processor or by CUDA, or
//! TensorRT, for the plans of a folder. Each tower has its own. What is asked for and cannot be had is an error: nothing takes its place
//! silently. This crate neither trains nor exports, prints nothing, and does not panic on bad input.

mod cache;
mod checked;
mod clip;
mod device;
mod embeddings;
mod encoder;
pub mod engine;
mod error;
pub mod frames;
mod images;
mod labels;
mod options;
pub mod plan;
mod rebuild;
mod source;
mod texts;
mod thread;

pub use clip::Clip;
pub use clip_model::manifest::Precision;
pub use clip_model::preprocess::Image;
pub use clip_model::templates::Template;
pub use clip_model::{Manifest, Preprocess};
pub use clip_tensorrt::Error as TensorRtError;
pub use device::{Device, EngineKind, UnknownName};
pub use embeddings::Embeddings;
pub use engine::EngineInfo;
pub use error::{Error, Part, Result};
pub use labels::{LabelSet, Match};
pub use options::{MAX_THREADS, Options};
