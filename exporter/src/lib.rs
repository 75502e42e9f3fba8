//! Turns a checkpoint into a model folder: both towers as ONNX graphs, the tokenizer, and the manifest `clip.json`.
//!
//! ```no_run
//! use clip_exporter::{Options, export};
//! use clip_checkpoint::Checkpoint;
//!
//! let checkpoint = Checkpoint::open("models/emoji-tiny")?;
//! let options = Options { model: "emoji-tiny".to_owned(), ..Options::default() };
//! export(&checkpoint, "emoji".as_ref(), &options, &mut |_| {})?;
//! # Ok::<(), clip_exporter::Error>(())
//! ```
//!
//! The network itself is `clip-model`'s; here is only its interpreter that writes ONNX ([`tower`]). Graphs
//! hold standard operators of one operator set (17 unless another is asked for) alone, so that any engine can run them.
//! This crate neither trains nor prints; it runs a model once,
//! through `clip-runtime`, to see that it works, in this process or [`apart`] from it.

pub mod apart;
mod destination;
mod error;
pub mod evaluation;
mod export;
pub mod gate;
pub mod int8;
mod interpreter;
mod labels;
pub mod onnx;
mod options;
mod overflow;
pub mod samples;
#[cfg(test)]
mod testing;
pub mod tower;
pub mod trial;
mod write;

pub use destination::check as check_destination;
pub use error::{Error, Result};
pub use export::{Progress, export, export_each};
pub use labels::Labels;
pub use options::{Numbers, Only, Options};
