//! Turns a checkpoint into a model folder: both towers as ONNX graphs, the tokenizer, and the manifest `clip.json`.
//!
//! ```no_run
//! use clip_exporter::{Options, export};
//! use clip_checkpoint::Checkpoint;
//!
//! let checkpoint = Checkpoint::open("models/emoji-tiny")?;
//! let options = Options { model: "emoji-tiny".to_owned(), ..Options::default() };
//! export(&checkpoint, "emoji", &options, &mut |_| {})?;
//! # Ok::<(), clip_exporter::Error>(())
//! ```
//!
//! The way of a checkpoint is told in `export.rs`: its towers become graphs (`graph`, of `onnx` operators), in 8-bit
//! integers if asked for (`int8`); they are written with all else that a folder holds (`contents`), compared with single
//! precision ([`compare`]), and run once ([`run`]), in this process or in another one. Graphs hold standard operators of one
//! operator set (17 unless another is asked for) alone, so that any engine can run them. The network itself is
//! `clip-model`'s. For programs that do without our runtime there are one graph from pictures to probabilities
//! ([`Options::classifier`]), and models of a server ([`triton`]).
//!
//! Checkpoints of the Hugging Face hub are fetched by [`clip_checkpoint::hub`]. This crate neither trains nor prints, and knows no command
//! line.

mod camera;
pub mod compare;
mod component;
mod contents;
mod error;
mod export;
mod graph;
mod int8;
pub mod layout;
mod onnx;
mod options;
pub mod plans;
pub mod run;
mod step;
#[cfg(test)]
mod testing;
mod tower;
pub mod triton;

pub use camera::Camera;
pub use component::Component;
pub use contents::destination::check as check_destination;
pub use error::{Conflict, Error, Missed, Result};
pub use export::{export, export_each, lay_out};
pub use graph::Form;
pub use int8::{Dialect, Int8, Method, Sensitive};
pub use onnx::OPSETS;
pub use options::{Numbers, Options};
pub use run::Labels;
pub use step::Step;
pub use tower::Tower;
