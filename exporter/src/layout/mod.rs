//! A model as other programs expect it: the graphs that passed the gate, under those programs' names of files, inputs and
//! outputs, with the descriptions beside them that they read.
//!
//! Each program has a file of its own, all of one shape: which graphs lie where, what they are called inside, and what else is
//! there. The weights and the arithmetic are those of the model folder that was verified; only integers are cast, ports renamed,
//! and both towers put into one graph. Before the folder gets its name, each graph is run, and has to give what the verified
//! one does.

mod described;
mod expected;
mod fastembed;
mod fill;
mod graph;
mod immich;
mod laid;
mod optimum;
mod ports;
mod program;
mod record;
mod source;
mod transformers_js;
mod trial;

pub(crate) use fill::fill;
pub use program::Program;
pub use record::{FILE, Record, check};
pub(crate) use source::Source;
pub use trial::{ARGUMENT, answer};
