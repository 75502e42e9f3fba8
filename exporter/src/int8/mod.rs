//! 8-bit integer graphs: static quantization with ranges from calibration.
//!
//! Weights are symmetric with a scale per output channel; activations have one scale a value, chosen from what the
//! graph computes on real inputs. The steps: plan which products compute in integers ([`plan`]), run the float graph on
//! calibration inputs ([`calibrate`]), move outlier channels into weights ([`smooth`]), choose ranges ([`range`]), and
//! rewrite the graph ([`rewrite`]).

mod calibrate;
mod histogram;
mod plan;
mod range;
mod rewrite;
mod smooth;
mod weight;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

pub use calibrate::quantize;
pub use clip_runtime::graph::Input;
pub use plan::Plan;
pub use range::{Method, Scheme};

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
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How ranges of activations are chosen.
    pub method: Method,
    /// How much of the activations' range between channels moves into weights, 0 (nothing) to 1.
    pub smoothing: f32,
    /// For which engine.
    pub dialect: Dialect,
    /// Names of products that stay in float.
    pub float: HashSet<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { method: Method::Mse, smoothing: 0.5, dialect: Dialect::Cpu, float: HashSet::new() }
    }
}

#[cfg(test)]
mod tests;
