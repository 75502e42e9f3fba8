//! TensorRT and TensorRT-RTX, which run plans on a GPU.

mod fit;
mod pool;
mod values;

use std::path::{Path, PathBuf};

use clip_model::manifest::Plan;
use clip_model::{files, memory};
use clip_tensorrt::{Element, Family, Input, Io, Kind, Library, cuda};

use super::{Engine, EngineInfo, Output, Port, Session, Target, Tensor, View};
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

    fn run_into(&self, inputs: &[(&str, View<'_>)], target: Target<'_>) -> Result<()> {
        let outputs = self.outputs_of(inputs.iter().copied())?;
        match &outputs[..] {
            [output] if sizes(&output.shape) == target.shape => self.copy(output, target.values),
            outputs => Err(Error::Mismatch {
                file: self.file.clone(),
                expected: format!("one output of shape {:?}", target.shape),
                found: format!("{:?}", outputs.iter().map(|output| sizes(&output.shape)).collect::<Vec<_>>()),
            }),
        }
    }

    fn run(&self, inputs: &[(&str, &Tensor)]) -> Result<Vec<Output>> {
        let output = |output: clip_tensorrt::Output| {
            let values = numbers(&output, |e| failed("run", &self.file, e))?;
            Ok(Output { shape: sizes(&output.shape), name: output.name, values })
        };
        let inputs = inputs.iter().map(|(name, tensor)| (*name, tensor.view()));
        self.outputs_of(inputs)?.into_iter().map(output).collect()
    }
}

impl Opened {
    fn outputs_of<'a>(
        &self,
        inputs: impl Iterator<Item = (&'a str, View<'a>)>,
    ) -> Result<Vec<clip_tensorrt::Output>> {
        let inputs: Vec<(&str, Vec<i64>, &[u8])> =
            inputs.map(|(name, view)| (name, shape(view.shape), view.elements.bytes())).collect();
        let inputs: Vec<Input<'_>> =
            inputs.iter().map(|(name, shape, bytes)| Input { name, shape, bytes }).collect();
        self.pool.with(|execution| execution.run(&inputs)).map_err(|e| failed("run", &self.file, e))
    }

    /// The elements of an output in single precision.
    fn copy(&self, output: &clip_tensorrt::Output, values: &mut [f32]) -> Result<()> {
        copy(output, values, |e| failed("run", &self.file, e))
    }
}

/// The numbers of an output in single precision; `failed` says whose it is, where they are none.
pub(crate) fn numbers(
    output: &clip_tensorrt::Output,
    failed: impl FnOnce(clip_tensorrt::Error) -> Error,
) -> Result<Vec<f32>> {
    let elements = output.bytes.len() / output.element.bytes();
    let mut values = memory::filled("the output of a plan", 0.0, elements)?;
    copy(output, &mut values, failed)?;
    Ok(values)
}

fn copy(
    output: &clip_tensorrt::Output,
    values: &mut [f32],
    failed: impl FnOnce(clip_tensorrt::Error) -> Error,
) -> Result<()> {
    match output.element {
        Element::Float32 => values.iter_mut().zip(values::singles(&output.bytes)).for_each(|(v, n)| *v = n),
        Element::Float16 => values.iter_mut().zip(values::halves(&output.bytes)).for_each(|(v, n)| *v = n),
        other => {
            let reason = format!("gives {}, and float32 is expected", other.name());
            return Err(failed(clip_tensorrt::Error::Input { input: output.name.clone(), reason }));
        }
    }
    Ok(())
}

fn shape(sizes: &[usize]) -> Vec<i64> {
    sizes.iter().map(|&n| i64::try_from(n).unwrap_or(i64::MAX)).collect()
}

fn sizes(shape: &[i64]) -> Vec<usize> {
    shape.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect()
}

fn port(io: &Io, element: Element) -> Port {
    // A size that is not fixed is -1.
    let shape = io.shape.iter().map(|&n| usize::try_from(n).ok()).collect();
    Port { name: io.name.clone(), element: element.name().to_owned(), shape }
}

fn failed(action: &'static str, file: &Path, source: clip_tensorrt::Error) -> Error {
    Error::Plan { action, file: file.to_owned(), source: source.into() }
}
