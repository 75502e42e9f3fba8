//! What a model folder holds, and how it comes to be: graphs, tokenizer, labels; whole or not at all.

pub mod destination;
mod folder;
pub mod graph_file;
mod labels;
pub mod replacement;

pub use folder::{Folder, draft};
pub use labels::store;
