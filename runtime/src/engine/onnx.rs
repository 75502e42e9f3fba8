//! ONNX Runtime, and how it is found.
//!
//! Looked for, in this order, and the first that can be used is taken:
//! 1. the file in the environment variable `ORT_DYLIB_PATH`, and nothing else where that is set;
//! 2. beside the shared library that this code is part of, and beside the program;
//! 3. in `../lib` of a program that is installed in a folder `bin`;
//! 4. in a program that was built in the source tree, the tree's own `.deps/onnxruntime/lib`, where `make .deps/onnxruntime`
//!    puts it: an absolute path, fixed when it is built by `CLIP_ONNXRUNTIME` of `.cargo/config.toml` (a package is built
//!    with that variable empty, or without the file, and has none);
//! 5. where the system looks for shared libraries.
//!
//! Microsoft's builds of ONNX Runtime send usage data from 1.31 on, also on Linux. This is switched off: unless
//! `ORT_DISABLE_TELEMETRY` is in the environment already, it is set to 1 before the library is opened, which
//! is the only way to keep it from writing a device id into the user's cache folder and from looking for its maker's server.
//! A C program whose other threads change the environment should open its first model before it starts them.

mod library;
mod search;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clip_model::memory;
use clip_tensorrt::cuda;
use ort::environment::Environment;
use ort::ep::{CUDA, ExecutionProvider, ExecutionProviderDispatch};
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionInputValue};
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};

use super::{Engine, EngineInfo, Output, Port, Tensor};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::options::Options;
use library::NAME;

/// What a session takes besides weights, and a thread's stack where the system's limit is the usual 8 MB. Where ONNX Runtime
/// gets none for something small, or for a thread of its own, it may end the process.
const SESSION: usize = 24 << 20;
const THREAD: usize = 9 << 20;

#[derive(Debug)]
struct Onnx {
    info: EngineInfo,
    environment: Environment,
}

/// Opens ONNX Runtime, or takes the one that this process has opened already.
pub(super) fn start(options: &Options) -> Result<impl Engine + use<>> {
    let device = options.device.unwrap_or(Device::Cpu);
    let (library, environment) = library::load(options.library.as_deref())?;
    let device_name = match device {
        Device::Cpu => None,
        Device::Cuda(index) => Some(cuda_device(device, index, &library.path)?),
    };
    let (version, library) = (library.version, library.path);
    let info = EngineInfo { name: NAME, version, library, device, device_name };
    Ok(Onnx { info, environment })
}

/// The name of the GPU, after a look whether this ONNX Runtime computes on GPUs. What its provider needs besides, as cuDNN, is found
/// missing when it opens a graph.
fn cuda_device(device: Device, index: u32, library: &Path) -> Result<String> {
    if !CUDA::is_available().unwrap_or(false) {
        let reason =
            format!("{} is built without CUDA; the wheel onnxruntime-gpu has one with it", library.display());
        return Err(Error::Device { engine: NAME, device, reason });
    }
    Ok(cuda::Device::open(index)?.name().to_owned())
}

/// The GPU instead of the processor, where it was asked for; an error where it cannot be had, and never the processor in its place.
fn providers(device: Device) -> Vec<ExecutionProviderDispatch> {
    match device {
        Device::Cpu => Vec::new(),
        Device::Cuda(index) => {
            let index = i32::try_from(index).unwrap_or(i32::MAX);
            vec![CUDA::default().with_device_id(index).build().error_on_failure()]
        }
    }
}

impl Engine for Onnx {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn memory(&self, bytes: usize, threads: usize) -> usize {
        // The file as it is read, and the weights as they are kept.
        bytes.saturating_mul(2).saturating_add(SESSION + threads * THREAD)
    }

    fn open(&self, file: &Path, threads: usize) -> Result<Box<dyn super::Session>> {
        let session = || {
            Session::builder(&self.environment)?
                .with_execution_providers(providers(self.info.device))?
                .with_optimization_level(GraphOptimizationLevel::All)?
                .with_intra_threads(threads)?
                .with_inter_threads(1)?
                // Batches and text lengths vary: plans for each of their shapes would only take memory.
                .with_memory_pattern(false)?
                .commit_from_file(file)
        };
        let session = Mutex::new(session().map_err(|e| failed("open", file, &e))?);
        Ok(Box::new(Opened { file: file.to_owned(), session }))
    }
}

/// A graph. A run uses all of its session's threads anyway, and `ort` asks for exclusive access because not all of ONNX
/// Runtime's backends can do with less.
#[derive(Debug)]
struct Opened {
    file: PathBuf,
    session: Mutex<Session>,
}

impl super::Session for Opened {
    fn inputs(&self) -> Vec<Port> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).inputs().iter().map(port).collect()
    }

    fn outputs(&self) -> Vec<Port> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).outputs().iter().map(port).collect()
    }

    fn run(&self, inputs: &[(&str, &Tensor<'_>)]) -> Result<Vec<Output>> {
        let error = |e: ort::Error| failed("run", &self.file, &e);
        let named = inputs.iter().map(|(name, tensor)| Ok((*name, value(tensor)?)));
        let named: Vec<(&str, SessionInputValue<'_>)> = named.collect::<ort::Result<_>>().map_err(error)?;
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(named).map_err(error)?;
        let output = |(name, value): (&str, ort::value::ValueRef<'_>)| {
            let (shape, values) = value.try_extract_tensor::<f32>().map_err(error)?;
            let shape = shape.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect();
            Ok(Output {
                name: name.to_owned(),
                shape,
                values: memory::copy("the output of a graph", values)?,
            })
        };
        outputs.iter().map(output).collect()
    }
}

fn value<'a>(tensor: &'a Tensor<'_>) -> ort::Result<SessionInputValue<'a>> {
    Ok(match tensor {
        Tensor::Float32(shape, values) => TensorRef::from_array_view((shape.clone(), &values[..]))?.into(),
        Tensor::UInt8(shape, values) => TensorRef::from_array_view((shape.clone(), &values[..]))?.into(),
        Tensor::Int32(shape, values) => TensorRef::from_array_view((shape.clone(), &values[..]))?.into(),
        Tensor::Int64(shape, values) => TensorRef::from_array_view((shape.clone(), &values[..]))?.into(),
    })
}

fn port(outlet: &Outlet) -> Port {
    let (element, shape) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let element = match ty {
                TensorElementType::Float32 => "float32".to_owned(),
                TensorElementType::Uint8 => "uint8".to_owned(),
                TensorElementType::Int32 => "int32".to_owned(),
                TensorElementType::Int64 => "int64".to_owned(),
                other => format!("{other:?}").to_lowercase(),
            };
            // A size that the graph leaves free is -1.
            (element, shape.iter().map(|&n| usize::try_from(n).ok()).collect())
        }
        other => (format!("{other:?}"), vec![]),
    };
    Port { name: outlet.name().to_owned(), element, shape }
}

fn failed(action: &'static str, file: &Path, e: &ort::Error) -> Error {
    Error::Engine { engine: NAME, action, file: file.to_owned(), reason: e.to_string() }
}
