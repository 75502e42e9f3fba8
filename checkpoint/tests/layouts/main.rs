//! Checkpoints of every layout, read and written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod hugging_face;
mod ours;
mod states;
