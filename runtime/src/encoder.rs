//! One tower: an ONNX graph, opened and run.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clip_model::manifest::{self, Engine};
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
    session: Mutex<Session>,
    output: String,
    embed_dim: usize,
}

/// What the manifest asks of a graph.
pub(crate) struct Signature<'a> {
    pub encoder: &'a manifest::Encoder,
    pub input_type: TensorElementType,
    /// The input's shape, [`FREE`] where any size is taken.
    pub input_shape: &'a [i64],
    pub embed_dim: usize,
}

impl Signature<'_> {
    pub const FREE: i64 = FREE;
}

impl Encoder {
    /// Checks the hash of the graph in `folder`, opens it, and checks that it is what the manifest asks for.
    pub fn open(loaded: &Loaded, folder: &Path, signature: &Signature, threads: usize) -> Result<Encoder> {
        let Engine::Onnx = signature.encoder.engine;
        let file = manifest::verified(folder, &signature.encoder.file, &signature.encoder.sha256)?;
        let session = session(loaded, &file, threads).map_err(|e| Error::Engine {
            action: "open",
            file: file.clone(),
            reason: e.to_string(),
        })?;
        let input = (signature.encoder.input.as_str(), signature.input_type, signature.input_shape);
        let embed_dim = i64::try_from(signature.embed_dim).unwrap_or(i64::MAX);
        let output = (signature.encoder.output.as_str(), TensorElementType::Float32, &[FREE, embed_dim][..]);
        check(&file, "input", input, session.inputs())?;
        check(&file, "output", output, session.outputs())?;
        Ok(Encoder {
            file,
            session: Mutex::new(session),
            output: signature.encoder.output.clone(),
            embed_dim: signature.embed_dim,
        })
    }

    /// Runs the graph on `input`, a tensor of `shape` whose first dimension is the batch. Returns `[batch, embed_dim]`.
    pub fn run<T: PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static>(
        &self,
        shape: Vec<usize>,
        input: &[T],
    ) -> Result<Vec<f32>> {
        let failed =
            |e: ort::Error| Error::Engine { action: "run", file: self.file.clone(), reason: e.to_string() };
        let rows = shape.first().copied().unwrap_or(0);
        let input = TensorRef::from_array_view((shape, input)).map_err(failed)?;
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
        Ok(values.to_vec())
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

fn session(loaded: &Loaded, file: &Path, threads: usize) -> ort::Result<Session> {
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
        // A size that the graph leaves free fits; one that it fixes must be the manifest's, and never the batch.
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
        TensorElementType::Int32 => "int32".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    let sizes: Vec<String> =
        shape.iter().map(|&n| if n == FREE { "*".to_owned() } else { n.to_string() }).collect();
    format!("{name:?} {element} [{}]", sizes.join(", "))
}
