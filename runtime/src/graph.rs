//! Any ONNX graph, for tools that look into one: calibration and comparison.

use std::path::{Path, PathBuf};

use ort::session::{Session, SessionInputValue};
use ort::value::TensorRef;

use crate::encoder;
use crate::error::{Error, Result};
use crate::library;

/// A graph with float32 outputs, opened from a file.
#[derive(Debug)]
pub struct Graph {
    file: PathBuf,
    session: Session,
}

/// A tensor that goes into a graph: its shape, outermost axis first, and its elements.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Numbers, such as normalised pixels.
    Float32(Vec<usize>, Vec<f32>),
    /// Integers, such as token ids.
    Int32(Vec<usize>, Vec<i32>),
    /// Bytes, such as packed pixels.
    UInt8(Vec<usize>, Vec<u8>),
}

impl Input {
    fn value(&self) -> ort::Result<SessionInputValue<'_>> {
        Ok(match self {
            Input::Float32(shape, values) => TensorRef::from_array_view((shape.clone(), &values[..]))?.into(),
            Input::Int32(shape, values) => TensorRef::from_array_view((shape.clone(), &values[..]))?.into(),
            Input::UInt8(shape, values) => TensorRef::from_array_view((shape.clone(), &values[..]))?.into(),
        })
    }
}

/// A tensor that came out of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name in the graph.
    pub name: String,
    /// Its shape, outermost axis first.
    pub shape: Vec<usize>,
    /// Its elements.
    pub values: Vec<f32>,
}

impl Graph {
    /// Opens the graph in `file`, to be run with so many threads.
    ///
    /// # Errors
    /// The `Library` variants when there is no ONNX Runtime; [`Error::Engine`] when it refuses the graph.
    pub fn open(file: &Path, threads: usize) -> Result<Graph> {
        let loaded = library::load(None)?;
        let session = encoder::session(&loaded, file, threads).map_err(|e| failed("open", file, &e))?;
        Ok(Graph { file: file.to_owned(), session })
    }

    /// Runs the graph on `inputs`, each with its name. Returns the outputs in their order.
    ///
    /// # Errors
    /// [`Error::Engine`] when ONNX Runtime refuses an input or fails, or an output is not float32.
    pub fn run(&mut self, inputs: &[(&str, &Input)]) -> Result<Vec<Output>> {
        let error = |e: ort::Error| failed("run", &self.file, &e);
        let named = inputs.iter().map(|(name, input)| Ok((name.to_string(), input.value()?)));
        let named: Vec<(String, SessionInputValue<'_>)> = named.collect::<ort::Result<_>>().map_err(error)?;
        let outputs = self.session.run(named).map_err(error)?;
        outputs
            .iter()
            .map(|(name, value)| {
                let (shape, values) = value.try_extract_tensor::<f32>().map_err(error)?;
                let shape = shape.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect();
                Ok(Output { name: name.to_owned(), shape, values: values.to_vec() })
            })
            .collect()
    }
}

fn failed(action: &'static str, file: &Path, e: &ort::Error) -> Error {
    Error::Engine { action, file: file.to_owned(), reason: e.to_string() }
}
