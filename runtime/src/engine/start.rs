//! Which engine runs a model.

use super::{Engine, onnx};
use crate::error::Result;
use crate::options::{EngineKind, Options};

impl Options {
    /// Starts the engine that was asked for on its device, ONNX Runtime when none was.
    ///
    /// # Errors
    /// The `Library` variants when the engine cannot be had; [`crate::Error::Device`] when it does not compute on the device.
    pub fn start_engine(&self) -> Result<Box<dyn Engine>> {
        match self.engine.unwrap_or(EngineKind::Onnx) {
            EngineKind::Onnx => Ok(Box::new(onnx::start(self)?)),
        }
    }
}
