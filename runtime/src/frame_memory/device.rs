//! A camera's frames to embeddings on a GPU, from its own memory.

use std::path::{Path, PathBuf};

use clip_model::manifest::{self, Camera, Sizes};
use clip_model::{Manifest, files};
use clip_tensorrt::{DeviceInput, Element, Kind, cuda};

use super::memory::{CameraFrame, CudaFrame, FrameMemory};
use crate::device::{Device, EngineKind};
use crate::embeddings::dot;
use crate::engine::tensorrt::{self, Pool};
use crate::engine::{self, EngineInfo};
use crate::error::{Error, Result};
use crate::options::Options;

/// Largest plan that is read, bytes.
const LIMIT: u64 = 1 << 36;

/// How far the length of an embedding may be from 1.
const LENGTH_TOLERANCE: f32 = 0.01;

/// The engine of a model folder for the frames of one camera, which it reads where they lie on the GPU.
#[derive(Debug)]
pub struct DeviceCamera {
    camera: Camera,
    file: PathBuf,
    batch: Sizes,
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
    /// cannot be had; [`Error::Misfit`] for a plan that was built for another machine; [`Error::Plan`] when TensorRT refuses it.
    pub fn open(
        folder: &Path,
        manifest: &Manifest,
        options: &Options,
        threads: usize,
    ) -> Result<Option<DeviceCamera>> {
        let Some(camera) = &manifest.camera else { return Ok(None) };
        let Some(plan) = camera.encoder.plan() else { return Ok(None) };
        let (kind, library) = match plan.is_of_rtx() {
            true => (EngineKind::TensorRtRtx, Kind::Rtx),
            false => (EngineKind::TensorRt, Kind::TensorRt),
        };
        let family = Some(plan.family.as_str());
        let engine = engine::start(kind, options, family)?;
        let file = manifest::verified(folder, &camera.encoder.file, &camera.encoder.sha256)?;
        let differs = engine.misfits(plan);
        if !differs.is_empty() {
            return Err(Error::Misfit { file, differs, graph: plan.graph.file.clone() });
        }
        let Device::Cuda(device) = engine.info().device else { return Ok(None) };
        let library = tensorrt::library(library, options.tensorrt.as_deref(), family)?;
        let failed = |source: clip_tensorrt::Error| Error::Plan {
            action: "open",
            file: file.clone(),
            source: source.into(),
        };
        let bytes = files::read(&file, LIMIT)?;
        let gpu = cuda::Device::open(device)?;
        let opened = library.deserialize(&gpu, &bytes, plan.build.version_compatible).map_err(failed)?;
        drop(bytes);
        let expected = [camera.inputs.len(), 1];
        let found = [true, false].map(|input| opened.io().iter().filter(|io| io.is_input == input).count());
        let inputs = opened.io().iter().filter(|io| io.is_input);
        let known = inputs.clone().all(|io| camera.inputs.contains(&io.name) && io.element == Element::UInt8);
        if found != expected || !known {
            return Err(Error::Mismatch {
                expected: format!("{:?} of uint8, and one output", camera.inputs),
                found: format!("{:?}", opened.io().iter().map(|io| &io.name).collect::<Vec<_>>()),
                file,
            });
        }
        // Frames lie now here, now there, so that there is nothing for a CUDA graph to repeat.
        let pool = Pool::new(opened, 0, threads).map_err(failed)?;
        Ok(Some(DeviceCamera {
            camera: camera.clone(),
            batch: plan.batch,
            embed_dim: manifest.embed_dim,
            engine: engine.info().clone(),
            file,
            pool,
            device,
        }))
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
            for batch in same.chunks(self.batch.max.max(1)) {
                values.extend(self.run(batch, done)?);
                done += batch.len();
            }
        }
        Ok(values)
    }

    /// Of frames of one stream, not more than go into a run; `before` came before them in the call.
    fn run(&self, frames: &[CudaFrame], before: usize) -> Result<Vec<f32>> {
        let planes = self.camera.planes();
        // What is missing in a batch of a least size is filled up with the last one.
        let rows = frames.len().max(self.batch.min);
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
