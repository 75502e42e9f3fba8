//! What a graph looks like from outside: names of inputs and outputs, operator set, batch.

use crate::onnx::{Axis, OPSETS};

/// Input of the image tower: float32 `[batch, 3, S, S]`, normalised pixels, or uint8 `[batch, S, S, 3]`, packed bytes
/// red, green, blue.
pub const IMAGE: &str = "image";

/// Input of the text tower: int32 `[batch, length]`, token ids. What follows CLIP's end-of-text id has no influence; SigLIP's
/// length is always the context length.
pub const IDS: &str = "ids";

/// Output of each tower: float32 `[batch, embed_dim]`, rows of length one.
pub const EMBEDDING: &str = "embedding";

/// The outputs of [`combined`](super::combined): both embeddings, and the scaled cosine (for SigLIP, plus the bias) of each image (rows) with
/// each text.
pub const COMBINED: [&str; 3] = ["image_embedding", "text_embedding", "logits_per_image"];

/// What a graph looks like, beyond the network in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The version of ONNX's operator set, one of [`OPSETS`].
    pub opset: i64,
    /// Images or texts that every run has; any number when it is None.
    pub batch: Option<usize>,
    /// Whether images come in as packed bytes that the graph normalises.
    pub bytes: bool,
    /// Whether the graph is spelled for a CPU's integer kernels: the same network, in the forms that these are fast with.
    pub for_integers: bool,
}

impl Default for Form {
    fn default() -> Form {
        Form { opset: *OPSETS.start(), batch: None, bytes: false, for_integers: false }
    }
}

impl Form {
    /// The batch axis of an input, called `name` where its size varies.
    pub fn batch_axis(self, name: &'static str) -> Axis {
        self.batch.map_or(Axis::Named(name), Axis::Fixed)
    }
}
