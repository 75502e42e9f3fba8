//! Which engine runs a model.

use clip_tensorrt::Kind;

use super::{Engine, onnx, tensorrt};
use crate::device::EngineKind;
use crate::error::Result;
use crate::options::Options;

impl Options {
    /// Starts the engine that was asked for on its device, ONNX Runtime when none was.
    ///
    /// # Errors
    /// The `Library` variants and [`crate::Error::TensorRt`] when the engine cannot be had; [`crate::Error::Device`] when it does not
    /// compute on the device.
    pub fn start_engine(&self) -> Result<Box<dyn Engine>> {
        start(self.engine.unwrap_or(EngineKind::Onnx), self, None)
    }
}

/// Starts an engine; for plans of that `family` of TensorRT's versions, where there are some.
pub(crate) fn start(kind: EngineKind, options: &Options, family: Option<&str>) -> Result<Box<dyn Engine>> {
    match kind {
        EngineKind::Onnx | EngineKind::OpenVino | EngineKind::OpenVinoBf16 => {
            Ok(Box::new(onnx::start(kind, options)?))
        }
        EngineKind::TensorRt => Ok(Box::new(tensorrt::start(Kind::TensorRt, options, family)?)),
        EngineKind::TensorRtRtx => Ok(Box::new(tensorrt::start(Kind::Rtx, options, family)?)),
    }
}
