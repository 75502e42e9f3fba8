//! Graphs become files.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clip_model::Checkpoint;
use clip_model::files::{self, Hashing};
use clip_model::manifest::DataFile;

use crate::error::{Error, Result};
use crate::onnx::{Graph, LIMIT, Rows, Sink, TensorSource};
use crate::step::Step;

/// A graph and the file that it will be.
#[derive(Debug)]
pub struct GraphFile {
    /// Name of the file.
    pub file: &'static str,
    /// Name of the file of its weights, when they do not go into the graph's own.
    pub beside: Option<&'static str>,
    /// The graph.
    pub graph: Graph,
}

impl GraphFile {
    /// `graph` as `file`, its weights in `beside` when `external` asks for it or one file cannot hold them. (What is left
    /// without them is a few hundred kilobytes, however large the model.)
    pub fn new([file, beside]: [&'static str; 2], graph: Graph, external: bool) -> GraphFile {
        let beside = (external || graph.file_size() > LIMIT).then_some(beside);
        GraphFile { file, beside, graph }
    }

    /// Writes the files into `folder`; gives back the SHA-256 of the graph's, and the other file.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(
        &self,
        checkpoint: &Checkpoint,
        folder: &Path,
        steps: &mut dyn FnMut(Step),
    ) -> Result<(String, Vec<DataFile>)> {
        let graph = folder.join(self.file);
        let Some(beside) = self.beside else {
            let mut out = Output::create(&graph, self.file, self.graph.file_size(), steps)?;
            let written = self.graph.write(&mut out, checkpoint).and_then(|()| out.finish());
            let sha256 = written.map_err(|source| Error::Write { path: graph, source })?;
            return Ok((sha256, Vec::new()));
        };
        let path = folder.join(beside);
        let [_, size] = self.graph.file_sizes_beside(beside);
        let mut structure = Vec::new();
        let mut out = Output::create(&path, beside, size, steps)?;
        let written = self.graph.write_beside(&mut structure, &mut out, beside, checkpoint);
        let written = written.and_then(|()| out.finish());
        let sha256 = written.map_err(|source| Error::Write { path, source })?;
        let data = DataFile { file: beside.to_owned(), sha256 };
        Ok((files::write_hashed(&graph, &structure)?, vec![data]))
    }
}

/// A file that reports how much of it is written, and is hashed meanwhile.
struct Output<'a> {
    out: BufWriter<Hashing<File>>,
    file: &'static str,
    done: u64,
    size: u64,
    steps: &'a mut dyn FnMut(Step),
}

impl<'a> Output<'a> {
    fn create(
        path: &Path,
        file: &'static str,
        size: u64,
        steps: &'a mut dyn FnMut(Step),
    ) -> Result<Output<'a>> {
        let out = File::create(path).map_err(|source| Error::Write { path: PathBuf::from(path), source })?;
        let out = BufWriter::with_capacity(1 << 20, Hashing::new(out));
        let out = Output { out, file, done: 0, size, steps };
        (out.steps)(Step::Write { file, done: 0, size });
        Ok(out)
    }

    /// The SHA-256 of what was written.
    fn finish(self) -> io::Result<String> {
        let (file, sha256) = self.out.into_inner().map_err(io::IntoInnerError::into_error)?.finish();
        file.sync_all()?;
        Ok(sha256)
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.done += n as u64;
        (self.steps)(Step::Write { file: self.file, done: self.done, size: self.size });
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl TensorSource for Checkpoint {
    fn read(&self, rows: &Rows, sink: Sink<'_>) -> io::Result<()> {
        let tensor = self.tensor(&rows.tensor).map_err(io::Error::other)?;
        tensor.read_f32(rows.rows.clone(), sink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{self, Form};
    use crate::tower::Tower;
    use clip_model::cases::vit;
    use clip_model::config::Activation;
    use clip_model::{Config, Preprocess};

    fn file(config: &Config) -> GraphFile {
        let graph = graph::encoder(Tower::Image, config, &Preprocess::default(), Form::default());
        GraphFile::new(Tower::Image.files(), graph, false)
    }

    #[test]
    fn weights_that_a_file_cannot_hold_go_beside_it() {
        // ViT-H/14.
        let config = vit(1024, [224, 14, 1280, 32, 80], [77, 49408, 1024, 16, 24], 4.0, Activation::Gelu);
        let file = file(&config);
        assert!(file.graph.file_size() > LIMIT);
        let [structure, weights] = file.graph.file_sizes_beside(file.beside.unwrap());
        assert!(structure < 1 << 20 && weights > LIMIT, "{structure} {weights}");
    }

    #[test]
    fn all_nine_models_are_whole_files() {
        for name in clip_model::config::NAMES {
            assert_eq!(file(&Config::named(name).unwrap()).beside, None, "{name}");
        }
    }
}
