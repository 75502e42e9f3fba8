//! The network as ONNX graphs: an interpreter of [`Ops`](clip_model::ops::Ops), and the towers written with it.

mod attention;
mod camera;
mod classifier;
mod form;
mod front;
mod integers;
mod interpreter;
mod ops;
mod resampling;
mod towers;

pub use camera::camera;
pub use classifier::{Head, PROBABILITIES, classifier};
pub use form::{EMBEDDING, Form, IDS, IMAGE};
pub use towers::{combined, encoder};

#[cfg(test)]
mod tests;
