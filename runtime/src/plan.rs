//! Plans: TensorRT builds an engine of a tower's graph, and the manifest says what it is.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clip_model::manifest::{self, Build, Camera, Element, Encoder, Layout, Plan, Sizes};
use clip_model::{Manifest, files};
use clip_tensorrt::{BuildOptions, Kind, Library, Range, cuda};
pub use clip_tensorrt::{Progress, Watch};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How plans are built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanOptions {
    /// Whether TensorRT-RTX builds it, which needs no GPU; else TensorRT, on the GPU that will run it.
    pub rtx: bool,
    /// The library's file, or the folder that it is in; by default the newest one that the system finds.
    pub library: Option<PathBuf>,
    /// The number of the GPU that TensorRT builds on, counted from 0.
    pub device: u32,
    /// Images or texts in a run. An encoder with a fixed batch has only that.
    pub batch: Sizes,
    /// Tokens of a text. An encoder of padded texts has only its context length, which is also the most there can be.
    pub length: Sizes,
    /// Compute capabilities to build for, as 86; none for a portable plan. Only TensorRT-RTX has a choice.
    pub targets: Vec<u32>,
    /// Bytes of GPU memory that the engine may use to compute in, and the build to try things out; half of what is free when it
    /// is `None`.
    pub workspace: Option<u64>,
    /// Optimization level, 0 to 5.
    pub level: Option<u8>,
    /// A file with timings of earlier builds, which this one adds its own to. It need not exist yet.
    pub timing_cache: Option<PathBuf>,
    /// Whether later versions of TensorRT are to run it, too.
    pub version_compatible: bool,
    /// Whether later GPUs, from Ampere on, are to run it, too.
    pub hardware_compatible: bool,
}

impl Default for PlanOptions {
    /// Of TensorRT itself, for batches of 1 to 32 with 8 as the usual one, and texts of any length up to 77 with 16 as the usual one.
    fn default() -> PlanOptions {
        PlanOptions {
            rtx: false,
            library: None,
            device: 0,
            batch: Sizes { min: 1, opt: 8, max: 32 },
            length: Sizes { min: 1, opt: 16, max: 77 },
            targets: Vec::new(),
            workspace: None,
            level: None,
            timing_cache: None,
            version_compatible: false,
            hardware_compatible: false,
        }
    }
}

/// A library that builds plans, and the GPU that it builds them on, if it needs one.
#[derive(Debug)]
pub struct PlanBuilder {
    library: Library,
    device: Option<cuda::Device>,
    options: PlanOptions,
}

impl PlanBuilder {
    /// Opens the library and, for TensorRT itself, the GPU.
    ///
    /// # Errors
    /// [`Error::TensorRt`] when there is no library, or none that is known, or no GPU, or the options cannot be followed.
    pub fn new(options: PlanOptions) -> Result<PlanBuilder> {
        let kind = if options.rtx { Kind::Rtx } else { Kind::TensorRt };
        let library = Library::open(kind, options.library.as_deref())?;
        let device = match kind {
            Kind::Rtx => None,
            Kind::TensorRt => Some(cuda::Device::open(options.device)?),
        };
        let builder = PlanBuilder { library, device, options };
        builder.library.check(&builder.build_options(Vec::new(), builder.options.workspace))?;
        Ok(builder)
    }

    /// `TensorRT 10.3.0 on Orin, 7.4 GB`
    pub fn describe(&self) -> String {
        let name = self.library.kind().name();
        let version = self.library.version();
        match &self.device {
            Some(device) => {
                format!("{name} {version} on {}, {:.1} GB", device.name(), device.memory() as f64 / 1e9)
            }
            None => format!("{name} {version}"),
        }
    }

    /// Bytes of the GPU's memory, where it builds on one.
    pub fn device_memory(&self) -> Option<u64> {
        self.device.as_ref().map(cuda::Device::memory)
    }

    /// Whether the plan that it builds can be run on this machine's first GPU.
    pub fn runs_here(&self) -> bool {
        let targets = &self.options.targets;
        match &self.device {
            Some(_) => true,
            None => cuda::Device::open(0).is_ok_and(|gpu| targets.is_empty() || targets.contains(&gpu.sm())),
        }
    }

    /// Builds the plan of an encoder of the model folder `folder`, of its graph, into the file `path`, and gives the encoder as one
    /// that runs it. The plan is marked as not verified.
    ///
    /// # Errors
    /// [`Error::TensorRt`] for what TensorRT refuses, and when `watch` breaks it off; [`Error::Model`] when the plan cannot be
    /// written. Then there is no file.
    pub fn build(
        &self,
        folder: &Path,
        manifest: &Manifest,
        encoder: &Encoder,
        path: &Path,
        watch: Watch<'_>,
    ) -> Result<Encoder> {
        let PlanOptions { targets, level, version_compatible, hardware_compatible, .. } =
            self.options.clone();
        let graph = encoder.graph();
        let (batch, length) = sizes(manifest, encoder, &self.options);
        let range = |shapes: [Vec<usize>; 3]| {
            let [min, opt, max] =
                shapes.map(|shape| shape.into_iter().map(|n| i64::try_from(n).unwrap_or(i64::MAX)).collect());
            Range { min, opt, max }
        };
        let workspace = self.workspace()?;
        let ranges = shapes(manifest, encoder, &self.options);
        let ranges = ranges.into_iter().map(|(name, shapes)| (name, range(shapes))).collect();
        let options = BuildOptions { timing_cache: self.timings()?, ..self.build_options(ranges, workspace) };
        let started = Instant::now();
        let built = self.library.build(&folder.join(&graph.file), &options, watch)?;
        let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let (Some(file), Some(timings)) = (&self.options.timing_cache, &built.timing_cache) {
            files::write_atomically(file, |out| out.write_all(timings))?;
        }
        let sha256 = files::write_hashed(path, &built.plan)?;
        let plan = Plan {
            family: self.library.family().name().to_owned(),
            version: self.library.version().to_string(),
            compute_capabilities: self.device.as_ref().map_or(targets, |device| vec![device.sm()]),
            device: self.device.as_ref().map(|device| device.name().to_owned()),
            batch,
            length,
            build: Build {
                level,
                workspace,
                version_compatible,
                hardware_compatible,
                milliseconds,
                peak_memory: peak_memory(),
            },
            graph,
            verified: false,
        };
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let engine = manifest::Engine::TensorRt(Box::new(plan));
        Ok(Encoder { file, sha256, data: Vec::new(), engine, ..encoder.clone() })
    }

    fn build_options(&self, ranges: Vec<(String, Range)>, workspace: Option<u64>) -> BuildOptions {
        let PlanOptions { level, version_compatible, hardware_compatible, .. } = self.options;
        let workspace = workspace.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        BuildOptions {
            ranges,
            workspace,
            tactic_memory: workspace,
            level,
            timing_cache: None,
            version_compatible,
            hardware_compatible,
            targets: self.options.targets.clone(),
            device: self.options.device,
        }
    }

    /// Bytes that the engine may compute in. On a board the GPU's memory is that of everything else, too.
    fn workspace(&self) -> Result<Option<u64>> {
        match (self.options.workspace, &self.device) {
            (Some(bytes), _) => Ok(Some(bytes)),
            (None, Some(device)) => Ok(Some(device.free_memory()? / 2)),
            (None, None) => Ok(None),
        }
    }

    /// What the timing cache holds so far.
    fn timings(&self) -> Result<Option<Vec<u8>>> {
        const LIMIT: u64 = 1 << 30;
        match &self.options.timing_cache {
            None => Ok(None),
            Some(file) if file.exists() => Ok(Some(files::read(file, LIMIT)?)),
            Some(_) => Ok(Some(Vec::new())),
        }
    }
}

/// The batches that an encoder's plan is built for, and the lengths of texts, where it takes texts of any length.
pub fn sizes(manifest: &Manifest, encoder: &Encoder, options: &PlanOptions) -> (Sizes, Option<Sizes>) {
    let batch = encoder.batch.map_or(options.batch, Sizes::fixed);
    let tokenizer = manifest.tokenizer.as_ref().filter(|_| encoder.input.element == Element::Int32);
    let length = tokenizer.filter(|tokenizer| !tokenizer.padded).map(|tokenizer| {
        let Sizes { min, opt, max } = options.length;
        let [min, opt, max] = [min, opt, max].map(|n| n.min(tokenizer.context_length));
        Sizes { min, opt, max }
    });
    (batch, length)
}

/// The names of the inputs of an encoder's plan, with the least, the usual and the greatest shape of each.
pub fn shapes(
    manifest: &Manifest,
    encoder: &Encoder,
    options: &PlanOptions,
) -> Vec<(String, [Vec<usize>; 3])> {
    let side = manifest.preprocess.size;
    let (batch, length) = sizes(manifest, encoder, options);
    let context = manifest.tokenizer.as_ref().map_or(0, |tokenizer| tokenizer.context_length);
    let length = length.unwrap_or(Sizes::fixed(context));
    let shape = |batch: usize, length: usize| match encoder.input.layout {
        Layout::Nchw => vec![vec![batch, 3, side, side]],
        Layout::Nhwc => vec![vec![batch, side, side, 3]],
        Layout::Tokens => vec![vec![batch, length]],
        Layout::Planes => {
            let planes = manifest.camera.as_ref().map(Camera::planes).unwrap_or_default();
            planes.into_iter().map(|[rows, stride]| vec![batch, rows, stride]).collect()
        }
    };
    let names = match (encoder.input.layout, &manifest.camera) {
        (Layout::Planes, Some(camera)) => camera.inputs.clone(),
        _ => vec![encoder.input.name.clone()],
    };
    let [min, opt, max] =
        [(batch.min, length.min), (batch.opt, length.opt), (batch.max, length.max)].map(|(b, l)| shape(b, l));
    let shapes = min.into_iter().zip(opt).zip(max).map(|((min, opt), max)| [min, opt, max]);
    names.into_iter().zip(shapes).collect()
}

/// The most memory that this process has had, bytes; 0 where the system does not say.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok());
    kilobytes.map_or(0, |n| n * 1024)
}

impl From<clip_tensorrt::Error> for Error {
    fn from(error: clip_tensorrt::Error) -> Error {
        Error::TensorRt(error.into())
    }
}
