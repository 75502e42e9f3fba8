//! What this crate's tests share: graphs in ONNX Runtime, and weights that are no checkpoint.

use std::io::Result;
use std::path::PathBuf;
use std::sync::OnceLock;

use clip_model::checkpoint::Values;
use ort::environment::Environment;
use ort::session::{Session, SessionInputValue};
use ort::value::Tensor;

use crate::onnx::{Graph, Rows, Weights};

/// Weights that lie in memory.
pub struct Parameters(pub Vec<Values>);

impl Weights for Parameters {
    fn read(&self, rows: &Rows, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let values = self.0.iter().find(|v| v.name == rows.tensor).unwrap();
        let row: usize = values.shape[1..].iter().product();
        let range = rows.rows.clone().unwrap_or(0..values.shape[0]);
        values.data[range.start * row..range.end * row].iter().try_for_each(|v| sink(&v.to_le_bytes()))
    }
}

/// Opens a graph; its size is checked on the way.
pub fn open(graph: &Graph, parameters: Vec<Values>) -> Session {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    let environment = ENVIRONMENT.get_or_init(|| {
        let fetched = concat!(env!("CARGO_MANIFEST_DIR"), "/../.deps/onnxruntime/lib/libonnxruntime.so");
        let library = std::env::var_os("ORT_DYLIB_PATH").map_or_else(|| fetched.into(), PathBuf::from);
        ort::init_from(&library).unwrap().build().unwrap()
    });
    let mut file = Vec::new();
    graph.write(&mut file, &Parameters(parameters)).unwrap();
    assert_eq!(graph.file_size(), file.len() as u64);
    let builder = Session::builder(environment).unwrap();
    builder.with_intra_threads(1).unwrap().commit_from_memory(&file).unwrap()
}

/// An input of numbers.
pub fn numbers(shape: &[usize], values: Vec<f32>) -> SessionInputValue<'static> {
    Tensor::from_array((shape.to_vec(), values)).unwrap().into()
}

/// An input of token ids.
pub fn ids(shape: &[usize], values: Vec<i32>) -> SessionInputValue<'static> {
    Tensor::from_array((shape.to_vec(), values)).unwrap().into()
}

/// Runs a graph of one output.
pub fn run(session: &mut Session, inputs: Vec<(String, SessionInputValue<'static>)>) -> Vec<f32> {
    let outputs = session.run(inputs).unwrap();
    outputs[0].try_extract_tensor::<f32>().unwrap().1.to_vec()
}

/// Fails where two lists of numbers are further apart than `tolerance`.
pub fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() < tolerance, "{what}: {found} for {expected} at {i}");
    }
}
