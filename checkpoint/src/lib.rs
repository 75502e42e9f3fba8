//! Reads and writes CLIP's checkpoints: a network's configuration, preprocessing, weights and tokenizer, in every layout that is
//! in use, and fetches them from the Hugging Face hub.
//!
//! ```no_run
//! use clip_checkpoint::{Checkpoint, Layout};
//!
//! let checkpoint = Checkpoint::open("ViT-B-32.pt")?;
//! println!("{} pixels, logit scale {}", checkpoint.config.image.image_size(), checkpoint.logit_scale()?);
//! checkpoint.write_as("ViT-B-32", Layout::HuggingFace)?;
//! # Ok::<(), clip_checkpoint::Error>(())
//! ```
//!
//! Our own checkpoints are in OpenCLIP's hub layout: a folder with `open_clip_config.json`, `open_clip_model.safetensors` and,
//! where the vocabulary is not OpenAI's, `tokenizer.json`. Foreign names are translated in `layout/`, one file for each [`Layout`], and known nowhere
//! else. This crate computes nothing with weights but position embeddings for other
//! sizes ([`Resized`]), and nothing that runs a model needs it.

mod checkpoint;
mod error;
mod found;
pub mod hub;
mod layout;
mod positions;
pub mod siglip_tokenizer;
mod torch;
mod weights;
mod write;

/// What Hugging Face's layout says of a model besides its weights: also for programs that run graphs of it.
pub mod hugging_face {
    pub use crate::layout::hugging_face::{CONFIG, PREPROCESSOR, describe, write_preprocessor};
}

pub use checkpoint::Checkpoint;
pub use error::{Error, Result, TensorMismatch};
pub use layout::TOKENIZER;
pub use layout::open_clip::{CONFIG, OpenClip, WEIGHTS};
pub use positions::{Places, Resized};
pub use safetensors::Dtype;
pub use weights::{TensorRef, Weights};
pub use write::{Layout, Source, WeightFormat, write, write_into, write_weights, write_weights_unsynced};
