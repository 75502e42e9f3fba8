//! How a manifest describes an engine that TensorRT has built.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::graph::Graph;

/// A plan: an engine that TensorRT or TensorRT-RTX has built of a graph, and what it depends on. It runs with the versions and
/// on the GPUs that are named here, and nowhere else; the graph it was built of lies beside it, so that it can be built anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The family of versions that the library is of: `10`, `11`, `rtx-1.3-1.4`, `rtx-1.5-1.7`.
    pub family: String,
    /// The exact version that built it, as `10.3.0`.
    pub version: String,
    /// The compute capabilities of the GPUs that run it, as 87 for 8.7; none when it is portable among RTX cards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compute_capabilities: Vec<u32>,
    /// Name of the GPU that it was built on, if it was built on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Images or texts in a run.
    pub batch: Sizes,
    /// Tokens of a text, where the encoder takes texts of any length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<Sizes>,
    /// How it was built.
    pub build: Build,
    /// The ONNX graph that it was built of.
    pub graph: Graph,
    /// Whether it was compared with the graph on a GPU, and found to give the same embeddings.
    pub verified: bool,
}

impl Plan {
    /// Whether TensorRT-RTX runs it, and not TensorRT.
    pub fn is_of_rtx(&self) -> bool {
        self.family.starts_with("rtx")
    }
}

/// The sizes that an engine is built for: any from the least to the greatest, fastest at the usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// The least.
    pub min: usize,
    /// The usual one.
    pub opt: usize,
    /// The greatest.
    pub max: usize,
}

impl Sizes {
    /// One size and no other.
    pub fn fixed(size: usize) -> Sizes {
        Sizes { min: size, opt: size, max: size }
    }

    /// Whether they are in order, and all of them in `allowed`.
    pub fn are_valid(&self, allowed: RangeInclusive<usize>) -> bool {
        self.min <= self.opt
            && self.opt <= self.max
            && allowed.contains(&self.min)
            && allowed.contains(&self.max)
    }
}

/// How a plan was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// Optimization level, 0 to 5, where another one than TensorRT's own was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// Bytes of GPU memory that a layer could use to compute in, where that was limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<u64>,
    /// Whether later versions of TensorRT run it, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub version_compatible: bool,
    /// Whether later GPUs, from Ampere on, run it, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hardware_compatible: bool,
    /// How long it took.
    pub milliseconds: u64,
    /// The most memory of the host that the building process had, bytes.
    pub peak_memory: u64,
}
