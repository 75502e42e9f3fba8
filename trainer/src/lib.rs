//! Trains CLIP models with libtorch: `clip-train`.
//!
//! [`train`] is the loop and [`step`] one step of it; [`network`] is the network of `clip-model` over libtorch;
//! `clip-data` turns shards into batches; [`state`] is the output folder; [`log`], [`diagnosis`] and [`curves`] tell how it
//! goes. The checkpoints that come out are in OpenCLIP's hub layout. Only this crate links libtorch; its types stay inside.

pub mod average;
pub mod curves;
pub mod device;
pub mod diagnosis;
mod error;
pub mod events;
pub mod formats;
pub mod gradients;
pub mod init;
pub mod inputs;
pub mod job;
pub mod log;
pub mod memory;
pub mod mixture;
pub mod network;
mod norm;
mod number;
pub mod objective;
pub mod optimizer;
pub mod parameters;
pub mod presets;
pub mod scaler;
pub mod schedule;
pub mod settings;
pub mod start;
pub mod state;
pub mod step;
pub mod tower;
pub mod train;
pub mod treatment;
pub mod validate;

pub use error::{Error, Result};
pub use formats::Precision;
pub use job::Job;
pub use network::Network;
pub use settings::Settings;
