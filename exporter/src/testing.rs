//! What this crate's tests share: graphs in ONNX Runtime, and weights that are no checkpoint.

use std::io::Result;

use clip_testkit::Values;

use crate::onnx::{Data, Graph, Rows, Sink, TensorSource};
use crate::run::{Session, Tensor};

/// Weights that lie in memory.
pub struct Parameters(pub Vec<Values>);

impl TensorSource for Parameters {
    fn read(&self, rows: &Rows, sink: Sink<'_>) -> Result<()> {
        let values = self.0.iter().find(|v| v.name == rows.tensor).unwrap();
        let row: usize = values.shape[1..].iter().product();
        let range = rows.rows.clone().unwrap_or(0..values.shape[0]);
        values.data[range.start * row..range.end * row].iter().try_for_each(|v| sink(&v.to_le_bytes()))
    }
}

/// Opens a graph; its size is checked on the way.
pub fn open(graph: &Graph, parameters: Vec<Values>) -> Session {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    graph.write(&mut file, None, &Parameters(parameters)).unwrap();
    assert_eq!(graph.file_sizes(None)[0], file.as_file().metadata().unwrap().len());
    clip_runtime::Options::new().start_engine().unwrap().open(file.path(), 1).unwrap()
}

/// A tensor of a checkpoint as a constant of the graph; gives its name.
pub fn weight(graph: &mut Graph, tensor: &str, shape: &[usize]) -> String {
    let data = Data::Weight(Rows { tensor: tensor.to_owned(), rows: None });
    graph.constant(tensor.to_owned(), shape.to_vec(), data)
}

/// An input of numbers.
pub fn numbers(shape: &[usize], values: Vec<f32>) -> Tensor {
    Tensor::Float32(shape.to_vec(), values)
}

/// An input of token ids.
pub fn ids(shape: &[usize], values: Vec<i32>) -> Tensor {
    Tensor::Int32(shape.to_vec(), values)
}

/// Runs a graph; returns its first output.
pub fn run(session: &mut Session, inputs: Vec<(String, Tensor)>) -> Vec<f32> {
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, input)| (name.as_str(), input)).collect();
    session.run(&inputs).unwrap().remove(0).values
}

/// Fails where two lists of numbers are further apart than `tolerance`.
pub fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() < tolerance, "{what}: {found} for {expected} at {i}");
    }
}
