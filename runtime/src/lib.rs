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
mod calibration;
mod checked;
mod clip;
mod comparison;
mod device;
mod embeddings;
mod encode_frames;
mod encoder;
pub mod engine;
mod error;
mod examples;
pub mod frame_memory;
mod heap;
mod images;
mod input;
mod label_sources;
mod labels;
mod options;
pub mod plan;
mod pool;
mod rebuild;
mod rule;
mod scores;
mod slot;
mod source;
pub mod stream;
mod texts;
mod thread;
mod workers;

pub use clip::Clip;
pub use clip_model::frame::{self, Frame, FrameLayout, PixelFormat};
pub use clip_model::labels::Logits;
pub use clip_model::manifest::{ModelId, Precision};
pub use clip_model::orientation::Orientation;
pub use clip_model::preprocess::Image;
pub use clip_model::templates::Template;
pub use clip_model::{Manifest, Preprocess};
pub use clip_tensorrt::Error as TensorRtError;
pub use device::{Device, EngineKind, UnknownName};
pub use embeddings::Embeddings;
pub use engine::EngineInfo;
pub use error::{Error, Part, Result};
pub use examples::Examples;
pub use labels::LabelSet;
pub use options::{MAX_THREADS, Options};
pub use rule::Rule;
pub use scores::{Match, Score};
pub use slot::LabelSlot;
