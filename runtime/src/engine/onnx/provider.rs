//! What computes inside ONNX Runtime: itself on the processor, CUDA, or OpenVINO.

use std::path::Path;

use clip_tensorrt::cuda;
use ort::ep::{
    ArbitrarilyConfigurableExecutionProvider, CUDA, ExecutionProvider, ExecutionProviderDispatch, OpenVINO,
};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::library::NAME;
use crate::device::{Device, EngineKind};
use crate::error::{Error, Result};

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    Processor,
    Cuda(u32),
    OpenVino { bf16: bool },
}

/// What ONNX Runtime says when a provider leaves nodes over.
const NODES_LEFT: &str = "fallback to CPU EP has been explicitly disabled";

impl Provider {
    /// What was asked for, and the name of its device, after a look whether `library` has it. What it needs besides, as cuDNN, is found
    /// missing when it opens a graph.
    pub fn choose(kind: EngineKind, device: Device, library: &Path) -> Result<(Provider, Option<String>)> {
        let openvino = matches!(kind, EngineKind::OpenVino | EngineKind::OpenVinoBf16);
        match device {
            Device::Cpu if openvino => match OpenVINO::is_available() {
                Ok(true) => Ok((Provider::OpenVino { bf16: kind == EngineKind::OpenVinoBf16 }, None)),
                _ => Err(Error::LibraryUnusable {
                    engine: kind.full_name(),
                    path: library.to_owned(),
                    reason: "it is built without OpenVINO; the libonnxruntime.so of the wheel onnxruntime-openvino has it, and the \
                             libraries that lie beside it there have to lie beside it"
                        .to_owned(),
                }),
            },
            Device::Cuda(_) if openvino => {
                let reason = "it computes on the processor".to_owned();
                Err(Error::Device { engine: kind.full_name(), device, reason })
            }
            Device::Cpu => Ok((Provider::Processor, None)),
            Device::Cuda(index) => {
                if !CUDA::is_available().unwrap_or(false) {
                    let reason = format!(
                        "{} is built without CUDA; the wheel onnxruntime-gpu has one with it",
                        library.display()
                    );
                    return Err(Error::Device { engine: NAME, device, reason });
                }
                Ok((Provider::Cuda(index), Some(cuda::Device::open(index)?.name().to_owned())))
            }
        }
    }

    /// Has it compute a graph, by so many threads of the processor. Where it cannot be had, or, with OpenVINO, does not compute all of
    /// the graph, opening that is an error: the processor never takes its place.
    pub fn register(self, builder: SessionBuilder, threads: usize) -> ort::Result<SessionBuilder> {
        let all = GraphOptimizationLevel::All;
        let only = |provider: ExecutionProviderDispatch| [provider.error_on_failure()];
        Ok(match self {
            Provider::Processor => builder.with_optimization_level(all)?,
            Provider::Cuda(index) => {
                let index = i32::try_from(index).unwrap_or(i32::MAX);
                let provider = CUDA::default().with_device_id(index).build();
                builder.with_optimization_level(all)?.with_execution_providers(only(provider))?
            }
            Provider::OpenVino { bf16 } => {
                let precision = if bf16 { "bf16" } else { "f32" };
                let provider = OpenVINO::default()
                    .with_device_type("CPU")
                    .with_num_threads(threads)
                    .with_arbitrary_config(
                        "load_config",
                        format!(r#"{{"CPU": {{"INFERENCE_PRECISION_HINT": "{precision}"}}}}"#),
                    );
                builder
                    // It optimises graphs itself; nodes of ONNX Runtime's own it may not know.
                    .with_optimization_level(GraphOptimizationLevel::Disable)?
                    .with_disable_cpu_fallback()?
                    .with_execution_providers(only(provider.build()))?
            }
        })
    }

    /// Why a graph was refused.
    pub fn reason(self, error: &ort::Error) -> String {
        let reason = error.to_string();
        match self {
            Provider::OpenVino { .. } if reason.contains(NODES_LEFT) => {
                "OpenVINO does not compute all of its nodes; export the model again if that was done by an older version".to_owned()
            }
            _ => reason,
        }
    }
}
