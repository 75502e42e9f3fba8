//! One tower: an ONNX graph, opened and run.

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clip_model::manifest::{self, Engine};
use clip_model::memory;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{Outlet, PrimitiveTensorElementType, TensorElementType, TensorRef, ValueType};

use crate::embeddings::dot;
use crate::error::{Error, Result};
use crate::library::Loaded;

/// How far the length of an embedding may be from 1.
const LENGTH_TOLERANCE: f32 = 0.01;

/// A dimension that is free in the graph.
const FREE: i64 = -1;

/// One tower. Calls from several threads take turns: a run uses all of its session's threads anyway, and `ort`
/// asks for exclusive access because not all of ONNX Runtime's backends can do with less.
#[derive(Debug)]
pub(crate) struct Encoder {
    file: PathBuf,
    session: ManuallyDrop<Mutex<Session>>,
    /// The process that opened it. In a fork of it, the session's threads do not exist, and waiting for them would never end.
    process: u32,
    output: String,
    batch: Option<usize>,
    embed_dim: usize,
}

/// What the manifest asks of a graph.
pub(crate) struct Signature<'a> {
    pub encoder: &'a manifest::Encoder,
    pub input_type: TensorElementType,
    /// The input's shape without the batch, [`FREE`] where any size is taken.
    pub input_shape: &'a [i64],
    pub embed_dim: usize,
}

impl Signature<'_> {
    pub const FREE: i64 = FREE;
}

impl Encoder {
    /// Opens the graph in `folder`, and checks that it is what the manifest asks for.
    pub fn open(loaded: &Loaded, folder: &Path, signature: &Signature, threads: usize) -> Result<Encoder> {
        let manifest::Encoder { input, output, batch, .. } = signature.encoder;
        let Engine::Onnx = signature.encoder.engine;
        let file = folder.join(&signature.encoder.file);
        let session = session(loaded, &file, threads).map_err(|e| Error::Engine {
            action: "open",
            file: file.clone(),
            reason: e.to_string(),
        })?;
        let size = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let rows = batch.map_or(FREE, size);
        let shape = [&[rows], signature.input_shape].concat();
        let embedding = [rows, size(signature.embed_dim)];
        check(&file, "input", (input, signature.input_type, &shape), session.inputs())?;
        check(&file, "output", (output, TensorElementType::Float32, &embedding), session.outputs())?;
        Ok(Encoder {
            file,
            session: ManuallyDrop::new(Mutex::new(session)),
            process: std::process::id(),
            output: output.clone(),
            batch: *batch,
            embed_dim: signature.embed_dim,
        })
    }

    /// Rows that every run has, when the graph takes no other number: [`Encoder::run`] fills up what is missing.
    pub fn batch(&self) -> Option<usize> {
        self.batch
    }

    /// Runs the graph on `input`, a tensor of `shape` whose first dimension is the batch, at most [`Encoder::batch`].
    /// Returns `[batch, embed_dim]`.
    pub fn run<T: PrimitiveTensorElementType + std::fmt::Debug + Default + Clone + 'static>(
        &self,
        shape: &[usize],
        input: &[T],
    ) -> Result<Vec<f32>> {
        let rows = shape.first().copied().unwrap_or(0);
        match self.batch {
            Some(batch) if batch > rows => {
                let elements = input.len() / rows.max(1) * batch;
                let mut filled = memory::with_capacity("a batch", elements)?;
                filled.extend_from_slice(input);
                filled.resize(elements, T::default());
                let mut values = self.run_whole(&[&[batch], &shape[1..]].concat(), &filled)?;
                values.truncate(rows * self.embed_dim);
                Ok(values)
            }
            _ => self.run_whole(shape, input),
        }
    }

    fn run_whole<T: PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static>(
        &self,
        shape: &[usize],
        input: &[T],
    ) -> Result<Vec<f32>> {
        let failed =
            |e: ort::Error| Error::Engine { action: "run", file: self.file.clone(), reason: e.to_string() };
        if self.process != std::process::id() {
            return Err(Error::Forked { opened_by: self.process });
        }
        let rows = shape.first().copied().unwrap_or(0);
        let input = TensorRef::from_array_view((shape.to_vec(), input)).map_err(failed)?;
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(ort::inputs![input]).map_err(failed)?;
        let output = outputs.get(self.output.as_str()).map(|o| o.try_extract_tensor::<f32>());
        let (shape, values) = match output {
            Some(extracted) => extracted.map_err(failed)?,
            None => return Err(failed(ort::Error::new(format!("there is no output {:?}", self.output)))),
        };
        if **shape != [rows, self.embed_dim].map(|n| i64::try_from(n).unwrap_or(i64::MAX)) {
            return Err(Error::Mismatch {
                file: self.file.clone(),
                expected: format!("embeddings [{rows}, {}]", self.embed_dim),
                found: format!("{:?}", &**shape),
            });
        }
        Ok(memory::copy("embeddings", values)?)
    }

    /// Refuses rows that are not of length one; `number` says which image or text of the call a row belongs to.
    pub fn check_lengths(&self, rows: &[f32], number: impl Fn(usize) -> usize) -> Result<()> {
        for (i, row) in rows.chunks_exact(self.embed_dim).enumerate() {
            let length = dot(row, row).sqrt();
            // NaN lies in no range.
            if !(1.0 - LENGTH_TOLERANCE..=1.0 + LENGTH_TOLERANCE).contains(&length) {
                return Err(Error::Embedding { file: self.file.clone(), row: number(i), length });
            }
        }
        Ok(())
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            // SAFETY: it is not used after this.
            unsafe { ManuallyDrop::drop(&mut self.session) };
        }
    }
}

pub(crate) fn session(loaded: &Loaded, file: &Path, threads: usize) -> ort::Result<Session> {
    Session::builder(&loaded.environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        // Batches and text lengths vary: plans for each of their shapes would only take memory.
        .with_memory_pattern(false)?
        .commit_from_file(file)
}

/// Checks the one input or output of a graph.
fn check(
    file: &Path,
    kind: &str,
    (name, element, shape): (&str, TensorElementType, &[i64]),
    found: &[Outlet],
) -> Result<()> {
    let fits = |outlet: &Outlet| match outlet.dtype() {
        // A size that the graph leaves free fits; one that it fixes must be the manifest's, the batch too.
        ValueType::Tensor { ty, shape: dims, .. } => {
            outlet.name() == name
                && *ty == element
                && dims.len() == shape.len()
                && dims.iter().zip(shape).all(|(&found, &asked)| found == FREE || found == asked)
        }
        _ => false,
    };
    if found.len() == 1 && fits(&found[0]) {
        return Ok(());
    }
    let shown: Vec<String> = found
        .iter()
        .map(|outlet| match outlet.dtype() {
            ValueType::Tensor { ty, shape, .. } => describe(outlet.name(), *ty, shape),
            other => format!("{:?} {other:?}", outlet.name()),
        })
        .collect();
    Err(Error::Mismatch {
        file: file.to_owned(),
        expected: format!("the {kind} {}", describe(name, element, shape)),
        found: if shown.is_empty() { "none".to_owned() } else { shown.join(", ") },
    })
}

/// `"image" float32 [*, 3, 224, 224]`
fn describe(name: &str, element: TensorElementType, shape: &[i64]) -> String {
    let element = match element {
        TensorElementType::Float32 => "float32".to_owned(),
        TensorElementType::Uint8 => "uint8".to_owned(),
        TensorElementType::Int32 => "int32".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    let sizes: Vec<String> =
        shape.iter().map(|&n| if n == FREE { "*".to_owned() } else { n.to_string() }).collect();
    format!("{name:?} {element} [{}]", sizes.join(", "))
}
