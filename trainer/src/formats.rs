//! The number formats that a run chooses.

use serde::{Deserialize, Serialize};
use tch::Kind;

/// Number format of convolutions and matrix products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE single precision.
    #[default]
    Fp32,
    /// bfloat16 operands, fp32 accumulation.
    Bf16,
    /// IEEE half precision operands, fp32 accumulation. Gradients are scaled, so that small ones do not vanish.
    Fp16,
}

impl Precision {
    /// The numbers that a product multiplies.
    pub(crate) fn operands(self) -> Kind {
        match self {
            Precision::Fp32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
            Precision::Fp16 => Kind::Half,
        }
    }
}

/// Number format of the optimiser's running means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Moment {
    /// IEEE single precision.
    #[default]
    Fp32,
    /// bfloat16, rounded stochastically: it has the range of fp32, so that squares of small gradients do not vanish.
    Bf16,
}
