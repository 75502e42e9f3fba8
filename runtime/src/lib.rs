//! Opens a model folder that `clip-export` wrote and runs it: images and texts to embeddings, images to labels.
//!
//! ```no_run
//! use clip_runtime::Clip;
//!
//! let clip = Clip::open("emoji".as_ref())?;
//! let labels = clip.label_set(&["cat", "dog", "bicycle"], &["a photo of a {}.".parse()?])?;
//! let image = clip.manifest().preprocess.open("photo.jpg".as_ref())?;
//! for found in clip.classify(&image, &labels, 3)? {
//!     println!("{:5.1} %  {}", 100.0 * found.probability, labels.labels()[found.index]);
//! }
//! # Ok::<(), clip_runtime::Error>(())
//! ```
//!
//! Everything runs in ONNX Runtime, a shared library that is found and opened at run time ([`library`]). This crate
//! neither trains nor exports, prints nothing, and does not panic on bad input.

mod checked;
mod clip;
mod embeddings;
mod encoder;
mod error;
pub mod graph;
mod images;
mod labels;
pub mod library;
mod texts;
mod thread;

pub use clip::{Clip, MAX_THREADS, Options};
pub use clip_model::preprocess::Image;
pub use clip_model::templates::Template;
pub use clip_model::{Manifest, Preprocess};
pub use embeddings::Embeddings;
pub use error::{Error, Part, Result};
pub use labels::{LabelSet, Match};
