//! 8-bit integer graphs: static quantization with ranges from calibration.
//!
//! Weights are symmetric with a scale per output channel; activations have one scale a value, chosen from what the
//! graph computes on real inputs. The steps: plan which products compute in integers (`plan`), run the float graph on
//! calibration inputs (`calibrate`), move outlier channels into weights (`smooth`), choose ranges (`range`),
//! rewrite the graph (`rewrite`), and leave products in float until its embeddings are good enough ([`search()`]).

mod calibrate;
mod histogram;
mod plan;
mod range;
mod rewrite;
mod search;
mod smooth;
mod weight;

use serde::{Deserialize, Serialize};

pub use calibrate::{Calibrated, Input};
pub use range::{Method, Scheme};
pub use search::{Found, Sensitive, search};

/// How integers are written down, for the engine that will run them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Unsigned activations with a zero point and 32-bit integer biases: what ONNX Runtime and OpenVINO are fast with.
    Cpu,
    /// Signed activations around zero and float biases: what TensorRT's parser takes.
    Trt,
}

impl Dialect {
    /// The integers of activations.
    pub fn scheme(self) -> Scheme {
        match self {
            Dialect::Cpu => Scheme::Unsigned,
            Dialect::Trt => Scheme::Symmetric,
        }
    }
}

/// How a graph is quantized.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Settings {
    /// How ranges of activations are chosen.
    pub method: Method,
    /// How much of the activations' range between channels moves into weights, 0 (nothing) to 1.
    pub smoothing: f32,
    /// For which engine.
    pub dialect: Dialect,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { method: Method::MinMax, smoothing: 0.5, dialect: Dialect::Cpu }
    }
}

#[cfg(test)]
mod tests;
