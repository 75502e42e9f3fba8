//! A camera's frames to embeddings on a GPU, from its own memory.

use std::path::{Path, PathBuf};

use clip_model::manifest::{self, Camera, Encoder, Sizes};
use clip_model::{Manifest, files};
use clip_tensorrt::{DeviceInput, Element, Kind, cuda};

use super::memory::{CameraFrame, CudaFrame, FrameMemory};
use crate::device::{Device, EngineKind};
use crate::embeddings::dot;
use crate::engine::EngineInfo;
use crate::engine::tensorrt::{self, Pool};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::source::{Engines, Opening, Source};

/// Largest plan that is read, bytes.
const LIMIT: u64 = 1 << 36;

/// How far the length of an embedding may be from 1.
const LENGTH_TOLERANCE: f32 = 0.01;

/// The engine of a model folder for the frames of one camera, which it reads where they lie on the GPU.
#[derive(Debug)]
pub struct DeviceCamera {
    camera: Camera,
    file: PathBuf,
    embed_dim: usize,
    engine: EngineInfo,
    pool: Pool,
    device: u32,
}

impl DeviceCamera {
    /// Opens the plan of the folder's camera, to be run by so many threads at a time. `None` where the folder has no camera, or no plan of it.
    ///
    /// # Errors
    /// [`Error::Model`] when the plan is missing or changed; the `Library` variants, [`Error::TensorRt`] and [`Error::Device`] when TensorRT or the GPU
    /// cannot be had; [`Error::Misfit`] for a plan that was built for another machine; [`Error::Plan`] when TensorRT refuses it. With
    /// [`Options::rebuild`], of the last two the errors of building another one.
    pub fn open(
        folder: &Path,
        manifest: &Manifest,
        options: &Options,
        threads: usize,
    ) -> Result<Option<DeviceCamera>> {
        let Some(camera) = &manifest.camera else { return Ok(None) };
        let Some(plan) = camera.encoder.plan() else { return Ok(None) };
        let family = Some(plan.family.as_str());
        let mut engines = Engines::default();
        let opening = Opening { folder, manifest, options, threads, run_threads: threads };
        let source = Source::choose(opening, &camera.encoder, &mut engines)?;
        let library = match source.kind {
            EngineKind::TensorRtRtx => Kind::Rtx,
            EngineKind::TensorRt => Kind::TensorRt,
            _ => return Ok(None),
        };
        for (file, sha256) in source.files() {
            manifest::verified(folder, file, sha256)?;
        }
        let engine = engines.start(source.kind, options, family)?;
        let Device::Cuda(device) = engine.info().device else { return Ok(None) };
        let library = tensorrt::library(library, options.tensorrt.as_deref(), family)?;
        let gpu = cuda::Device::open(device)?;
        let open = |file: &Path, encoder: &Encoder| {
            let failed = |source: clip_tensorrt::Error| Error::Plan {
                action: "open",
                file: file.to_owned(),
                source: source.into(),
            };
            let compatible = encoder.plan().is_some_and(|plan| plan.build.version_compatible);
            let opened = library.deserialize(&gpu, &files::read(file, LIMIT)?, compatible).map_err(failed)?;
            check(camera, &opened, file)?;
            // Frames lie now here, now there, so that there is nothing for a CUDA graph to repeat.
            Pool::new(opened, 0, threads).map_err(failed)
        };
        let (pool, file, encoder) = source.built(opening, &*engine)?.open_by(opening, &*engine, open)?;
        let (embed_dim, engine) = (manifest.embed_dim, engine.info().clone());
        Ok(Some(DeviceCamera {
            camera: Camera { encoder, ..camera.clone() },
            embed_dim,
            engine,
            file,
            pool,
            device,
        }))
    }

    /// The file that it runs: in the model folder, or a plan of the user's cache folder.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether nobody has compared the plan with the graph that it was built of.
    pub fn is_unverified(&self) -> bool {
        self.camera.encoder.plan().is_some_and(|plan| !plan.verified)
    }

    /// What runs it.
    pub fn engine(&self) -> &EngineInfo {
        &self.engine
    }

    /// The frame, if it is one that this takes: on this GPU, of the camera's layout, seen as the camera's are.
    pub fn takes(&self, frame: &CameraFrame<'_>) -> Option<CudaFrame> {
        let CameraFrame { memory, layout, view } = frame;
        match memory {
            FrameMemory::Cuda(frame) if frame.device == self.device && self.camera.takes(layout, view) => {
                Some(*frame)
            }
            _ => None,
        }
    }

    /// The embeddings of frames that [`DeviceCamera::takes`] has let pass, in their order: `[frames, embed_dim]`, rows of length one. Those with
    /// the same stream one after the other run together.
    ///
    /// # Errors
    /// [`Error::Frame`] for a plane without an address; [`Error::Plan`] when the engine or the GPU fails; [`Error::Embedding`] for what is none.
    pub fn encode(&self, frames: &[CudaFrame]) -> Result<Vec<f32>> {
        let mut values = Vec::with_capacity(frames.len() * self.embed_dim);
        let mut done = 0;
        for same in frames.chunk_by(|a, b| a.stream == b.stream) {
            for batch in same.chunks(self.batch().max.max(1)) {
                values.extend(self.run(batch, done)?);
                done += batch.len();
            }
        }
        Ok(values)
    }

    /// Frames that go into a run.
    fn batch(&self) -> Sizes {
        self.camera.encoder.plan().map_or(Sizes::fixed(1), |plan| plan.batch)
    }

    /// Of frames of one stream, not more than go into a run; `before` came before them in the call.
    fn run(&self, frames: &[CudaFrame], before: usize) -> Result<Vec<f32>> {
        let planes = self.camera.planes();
        // What is missing in a batch of a least size is filled up with the last one.
        let rows = frames.len().max(self.batch().min);
        let frame = |row: usize| &frames[row.min(frames.len() - 1)];
        let pieces: Vec<Vec<u64>> =
            (0..planes.len()).map(|plane| (0..rows).map(|row| frame(row).planes[plane]).collect()).collect();
        if let Some(plane) = pieces.iter().position(|pieces| pieces.contains(&0)) {
            let reason = format!("plane {plane} has no address");
            return Err(Error::Frame { memory: "CUDA memory", reason });
        }
        let shapes: Vec<[i64; 3]> = planes
            .iter()
            .map(|[lines, stride]| [rows, *lines, *stride].map(|n| i64::try_from(n).unwrap_or(i64::MAX)))
            .collect();
        let inputs: Vec<DeviceInput<'_>> = self
            .camera
            .inputs
            .iter()
            .zip(shapes.iter().zip(&pieces))
            .map(|(name, (shape, pieces))| DeviceInput { name, shape, pieces })
            .collect();
        let failed = |source: clip_tensorrt::Error| Error::Plan {
            action: "run",
            file: self.file.clone(),
            source: source.into(),
        };
        let stream = frames[0].stream;
        // SAFETY: whoever has made the frames promised what addresses and stream are, and the layout is that of the plan.
        let outputs = self.pool.with(|execution| unsafe { execution.run_on_device(&inputs, stream) });
        let output = outputs.map_err(failed)?.pop();
        let output = output.filter(|output| output.shape == [rows as i64, self.embed_dim as i64]);
        let Some(output) = output else {
            return Err(Error::Mismatch {
                file: self.file.clone(),
                expected: format!("embeddings [{rows}, {}]", self.embed_dim),
                found: "another shape".to_owned(),
            });
        };
        let mut values = tensorrt::numbers(&output, failed)?;
        values.truncate(frames.len() * self.embed_dim);
        for (row, embedding) in values.chunks_exact(self.embed_dim).enumerate() {
            let length = dot(embedding, embedding).sqrt();
            // NaN lies in no range.
            if !(1.0 - LENGTH_TOLERANCE..=1.0 + LENGTH_TOLERANCE).contains(&length) {
                return Err(Error::Embedding { file: self.file.clone(), row: before + row, length });
            }
        }
        Ok(values)
    }
}

/// Whether an engine takes what the camera's graph takes.
fn check(camera: &Camera, opened: &clip_tensorrt::Engine, file: &Path) -> Result<()> {
    let expected = [camera.inputs.len(), 1];
    let found = [true, false].map(|input| opened.io().iter().filter(|io| io.is_input == input).count());
    let mut inputs = opened.io().iter().filter(|io| io.is_input);
    let known = inputs.all(|io| camera.inputs.contains(&io.name) && io.element == Element::UInt8);
    if found == expected && known {
        return Ok(());
    }
    Err(Error::Mismatch {
        expected: format!("{:?} of uint8, and one output", camera.inputs),
        found: format!("{:?}", opened.io().iter().map(|io| &io.name).collect::<Vec<_>>()),
        file: file.to_owned(),
    })
}
