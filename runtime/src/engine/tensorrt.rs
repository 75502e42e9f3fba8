//! TensorRT and TensorRT-RTX, which run plans on a GPU.

mod fit;
mod pool;
mod values;

use std::path::{Path, PathBuf};

use clip_model::manifest::Plan;
use clip_model::{files, memory};
use clip_tensorrt::{Element, Family, Input, Io, Kind, Library, cuda};

use super::{Engine, EngineInfo, Output, Port, Session, Tensor};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::options::Options;
pub(crate) use pool::Pool;

/// Largest plan that is read, bytes.
const LIMIT: u64 = 1 << 36;

/// What TensorRT takes of the host's memory besides the plan.
const RUNTIME: usize = 64 << 20;

/// CUDA graphs that an execution keeps where only the batch varies, as that of images does: for one image after the other, and
/// for as many as go together. Each takes as much memory of the GPU as the largest run. Where lengths vary, too, as those of texts do, a shape
/// hardly comes back before others have come by, and texts are mostly encoded once: there are none.
const GRAPHS: usize = 2;

#[derive(Debug)]
struct TensorRt {
    info: EngineInfo,
    library: Library,
    device: cuda::Device,
}

/// Opens the library, of that `family` if it can be found, and the GPU.
pub(super) fn start(kind: Kind, options: &Options, family: Option<&str>) -> Result<impl Engine + use<>> {
    let device = options.device.unwrap_or(Device::Cuda(0));
    let Device::Cuda(index) = device else {
        let reason = "it computes on CUDA devices".to_owned();
        return Err(Error::Device { engine: kind.name(), device, reason });
    };
    let library = library(kind, options.tensorrt.as_deref(), family)?;
    let gpu = cuda::Device::open(index)?;
    let info = EngineInfo {
        name: kind.name(),
        version: library.version().to_string(),
        library: library.path().to_owned(),
        device,
        device_name: Some(gpu.name().to_owned()),
    };
    Ok(TensorRt { info, library, device: gpu })
}

/// A machine may have TensorRT 10 beside 11, and a plan runs only with the one that built it.
pub(crate) fn library(kind: Kind, path: Option<&Path>, family: Option<&str>) -> Result<Library> {
    // Of what a manifest says, only a name that is known becomes that of a file.
    let mut families = Family::ALL.iter().filter(|known| !known.is_rtx() && Some(known.name()) == family);
    let known =
        families.next().filter(|_| path.is_none()).map(|known| format!("libnvinfer.so.{}", known.name()));
    match known.map(|name| Library::open(kind, Some(Path::new(&name)))) {
        Some(Ok(library)) => Ok(library),
        _ => Ok(Library::open(kind, path)?),
    }
}

impl Engine for TensorRt {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn memory(&self, bytes: usize, _threads: usize) -> usize {
        // The plan as it is read, and as TensorRT copies it. What it computes with lies on the GPU.
        bytes.saturating_mul(2).saturating_add(RUNTIME)
    }

    fn open(&self, file: &Path, _threads: usize) -> Result<Box<dyn Session>> {
        Err(Error::NoPlan { engine: self.info.name, file: file.to_owned() })
    }

    fn misfits(&self, plan: &Plan) -> Vec<String> {
        fit::misfits(plan, &self.library, &self.device)
    }

    fn open_plan(&self, file: &Path, plan: &Plan, threads: usize) -> Result<Box<dyn Session>> {
        let differs = self.misfits(plan);
        if !differs.is_empty() {
            let (file, graph) = (file.to_owned(), plan.graph.file.clone());
            return Err(Error::Misfit { file, differs, graph });
        }
        let failed = |e| failed("open", file, e);
        let bytes = files::read(file, LIMIT)?;
        // A version-compatible plan holds code for the host. Its hash is that of the manifest, as any library's that is installed.
        let host_code = plan.build.version_compatible;
        let engine = self.library.deserialize(&self.device, &bytes, host_code).map_err(failed)?;
        drop(bytes);
        let inputs = engine.io().iter().filter(|io| io.is_input);
        let lengths_vary = inputs.clone().any(|io| io.shape.iter().skip(1).any(|&n| n < 0));
        let graphs = if lengths_vary { 0 } else { GRAPHS };
        let io = engine.io().to_vec();
        let pool = Pool::new(engine, graphs, threads).map_err(failed)?;
        Ok(Box::new(Opened { file: file.to_owned(), io, pool }))
    }
}

/// A plan on the GPU.
#[derive(Debug)]
struct Opened {
    file: PathBuf,
    io: Vec<Io>,
    pool: Pool,
}

impl Session for Opened {
    fn inputs(&self) -> Vec<Port> {
        self.io.iter().filter(|io| io.is_input).map(|io| port(io, io.element)).collect()
    }

    fn outputs(&self) -> Vec<Port> {
        let given = |element| if element == Element::Float16 { Element::Float32 } else { element };
        self.io.iter().filter(|io| !io.is_input).map(|io| port(io, given(io.element))).collect()
    }

    fn run(&self, inputs: &[(&str, &Tensor<'_>)]) -> Result<Vec<Output>> {
        let failed = |e| failed("run", &self.file, e);
        let shapes: Vec<Vec<i64>> = inputs.iter().map(|(_, tensor)| shape(tensor)).collect();
        let inputs: Vec<Input<'_>> = inputs
            .iter()
            .zip(&shapes)
            .map(|((name, tensor), shape)| Input { name, shape, bytes: values::bytes(tensor) })
            .collect();
        let outputs = self.pool.with(|execution| execution.run(&inputs)).map_err(failed)?;
        let output = |output: clip_tensorrt::Output| {
            let values = numbers(&output, failed)?;
            let shape = output.shape.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect();
            Ok(Output { name: output.name, shape, values })
        };
        outputs.into_iter().map(output).collect()
    }
}

/// The numbers of an output; `failed` says whose it is, where they are none.
pub(crate) fn numbers(
    output: &clip_tensorrt::Output,
    failed: impl Fn(clip_tensorrt::Error) -> Error,
) -> Result<Vec<f32>> {
    let clip_tensorrt::Output { name, element, bytes, .. } = output;
    let mut values = memory::with_capacity("the output of a plan", bytes.len() / element.bytes())?;
    match element {
        Element::Float32 => values.extend(values::singles(bytes)),
        Element::Float16 => values.extend(values::halves(bytes)),
        other => {
            let reason = format!("gives {}, and float32 is expected", other.name());
            return Err(failed(clip_tensorrt::Error::Input { input: name.clone(), reason }));
        }
    }
    Ok(values)
}

fn shape(tensor: &Tensor<'_>) -> Vec<i64> {
    let (Tensor::Float32(shape, _)
    | Tensor::UInt8(shape, _)
    | Tensor::Int32(shape, _)
    | Tensor::Int64(shape, _)) = tensor;
    shape.iter().map(|&n| i64::try_from(n).unwrap_or(i64::MAX)).collect()
}

fn port(io: &Io, element: Element) -> Port {
    // A size that is not fixed is -1.
    let shape = io.shape.iter().map(|&n| usize::try_from(n).ok()).collect();
    Port { name: io.name.clone(), element: element.name().to_owned(), shape }
}

fn failed(action: &'static str, file: &Path, source: clip_tensorrt::Error) -> Error {
    Error::Plan { action, file: file.to_owned(), source: source.into() }
}
