//! What a model folder holds, and how it comes to be: graphs, tokenizer, labels; whole or not at all.

mod camera;
mod classifier;
mod deepstream;
mod described;
pub mod destination;
mod folder;
pub mod graph_file;
mod gstreamer;
mod labels;
pub mod replacement;

pub use camera::add_camera;
pub use classifier::add_classifier;
pub use folder::{Folder, draft};
pub use labels::store;
