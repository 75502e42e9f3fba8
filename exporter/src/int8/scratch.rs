//! Graphs that are run on the way to an 8-bit one.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::error::{Error, Result};
use crate::onnx::{Graph, TensorSource};
use crate::run::{self, Session, Tensor};

/// Where graphs get their weights from, and the folder in which they lie until they are open.
#[derive(Clone, Copy)]
pub struct Scratch<'a> {
    /// The weights.
    pub source: &'a dyn TensorSource,
    /// The folder.
    pub folder: &'a Path,
}

impl<'a> Scratch<'a> {
    /// Opens a graph.
    ///
    /// # Errors
    /// [`Error::Write`] when the disk is full, [`Error::Calibration`] when the graph cannot be opened.
    pub fn open(self, graph: &Graph) -> Result<Session> {
        const NAMES: [&str; 2] = ["scratch.onnx", "scratch.onnx.data"];
        let [path, beside] = NAMES.map(|name| self.folder.join(name));
        let create = |path| File::create(path).map(|file| BufWriter::with_capacity(1 << 20, file));
        let write = || {
            let (mut out, mut data) = (create(&path)?, create(&beside)?);
            graph.write(&mut out, Some((NAMES[1], &mut data)), self.source)?;
            data.flush().and_then(|()| out.flush())
        };
        write().map_err(self.failed())?;
        let session = run::open(&path).map_err(Error::Calibration)?;
        [path, beside].iter().try_for_each(std::fs::remove_file).map_err(self.failed())?;
        Ok(session)
    }

    /// What a graph gives first for each input.
    ///
    /// # Errors
    /// As [`Scratch::open`]; [`Error::Calibration`] when the graph does not run.
    pub fn run(self, graph: &Graph, inputs: &[Tensor]) -> Result<Vec<Vec<f32>>> {
        let session = self.open(graph)?;
        let name = graph.inputs.first().map_or("", |input| &input.name);
        let run = |input: &Tensor| {
            let outputs = session.run(&[(name, input)]).map_err(Error::Calibration)?;
            Ok(outputs.into_iter().next().map_or_else(Vec::new, |output| output.values))
        };
        inputs.iter().map(run).collect()
    }

    /// The error of a file or of the weights.
    pub fn failed(self) -> impl FnOnce(io::Error) -> Error + 'a {
        move |source| Error::Write { path: self.folder.to_owned(), source }
    }
}
