//! What runs a model, and on what: the engines and devices that there are, and the words for them.

use std::fmt;
use std::str::FromStr;

/// The engines that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineKind {
    /// ONNX Runtime, which runs graphs.
    Onnx,
    /// OpenVINO as a part of ONNX Runtime, which runs graphs on processors, in single precision.
    OpenVino,
    /// The same in bfloat16, where the processor has instructions for that: faster, and with 8 bits of a number instead of 24.
    OpenVinoBf16,
    /// TensorRT, which runs the plans that it has built.
    TensorRt,
    /// TensorRT for RTX, which runs the plans that it has built.
    TensorRtRtx,
}

impl EngineKind {
    /// All of them.
    pub const ALL: [EngineKind; 5] = [
        EngineKind::Onnx,
        EngineKind::OpenVino,
        EngineKind::OpenVinoBf16,
        EngineKind::TensorRt,
        EngineKind::TensorRtRtx,
    ];

    /// The word for it on command lines and in C: `onnx`, `openvino`, `openvino-bf16`, `tensorrt`, `rtx`.
    pub fn name(self) -> &'static str {
        match self {
            EngineKind::Onnx => "onnx",
            EngineKind::OpenVino => "openvino",
            EngineKind::OpenVinoBf16 => "openvino-bf16",
            EngineKind::TensorRt => "tensorrt",
            EngineKind::TensorRtRtx => "rtx",
        }
    }

    /// Whether it runs graphs, and no plans.
    pub fn runs_graphs(self) -> bool {
        matches!(self, EngineKind::Onnx | EngineKind::OpenVino | EngineKind::OpenVinoBf16)
    }

    /// As its maker calls it.
    pub fn full_name(self) -> &'static str {
        match self {
            EngineKind::Onnx => "ONNX Runtime",
            EngineKind::OpenVino => "ONNX Runtime with OpenVINO",
            EngineKind::OpenVinoBf16 => "ONNX Runtime with OpenVINO in bfloat16",
            EngineKind::TensorRt => "TensorRT",
            EngineKind::TensorRtRtx => "TensorRT-RTX",
        }
    }
}

impl FromStr for EngineKind {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<EngineKind, UnknownName> {
        let known = EngineKind::ALL.into_iter().find(|kind| kind.name() == text);
        known.ok_or(UnknownName("\"onnx\", \"openvino\", \"openvino-bf16\", \"tensorrt\" or \"rtx\""))
    }
}

/// What an engine computes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Device {
    /// The processor.
    Cpu,
    /// The CUDA device of that number.
    Cuda(u32),
}

impl Device {
    /// The word for it on command lines and in C: `cpu`, `cuda:0`.
    pub fn name(self) -> String {
        match self {
            Device::Cpu => "cpu".to_owned(),
            Device::Cuda(index) => format!("cuda:{index}"),
        }
    }
}

impl FromStr for Device {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Device, UnknownName> {
        let cuda = text.strip_prefix("cuda:");
        // Not "+1", which is a number for Rust.
        let index = cuda.filter(|index| index.bytes().all(|byte| byte.is_ascii_digit()));
        match index.and_then(|index| index.parse().ok()) {
            Some(index) => Ok(Device::Cuda(index)),
            None if text == "cpu" => Ok(Device::Cpu),
            None => Err(UnknownName("\"cpu\", or \"cuda:0\" for the first CUDA device")),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("CPU"),
            Device::Cuda(index) => write!(f, "CUDA device {index}"),
        }
    }
}

/// A word that stands for no engine, or for no device; it says which words there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct UnknownName(&'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for kind in EngineKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(17)] {
            assert_eq!(device.name().parse(), Ok(device));
        }
        for text in ["", "cuda", "cuda:", "cuda:+1", "cuda:-1", "cuda:0 ", "CPU", "gpu", "cuda:99999999999"] {
            let error = text.parse::<Device>().unwrap_err().to_string();
            assert_eq!(error, "expected \"cpu\", or \"cuda:0\" for the first CUDA device", "{text}");
        }
        let error = "ONNX".parse::<EngineKind>().unwrap_err().to_string();
        assert_eq!(error, "expected \"onnx\", \"openvino\", \"openvino-bf16\", \"tensorrt\" or \"rtx\"");
    }
}
