//! Graphs become files.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use clip_checkpoint::Checkpoint;
use clip_model::files::{self, Hashing};
use clip_model::manifest::DataFile;

use crate::error::{Error, Result};
use crate::onnx::{Graph, LIMIT, Rows, Sink, TensorSource};
use crate::step::Step;

/// Whether the weights of `graph` go into a file of their own: when `external` asks for it or one file cannot hold them. (What
/// is left without them is a few hundred kilobytes, however large the model.)
pub fn has_file_beside(graph: &Graph, external: bool) -> bool {
    external || graph.file_sizes(None)[0] > LIMIT
}

/// Writes `graph` as `file`, its weights in `beside` where they need a file of their own or `external` asks for it. Gives back
/// the SHA-256 of the graph's file, and the other file.
///
/// # Errors
/// [`Error::Write`].
pub fn write(
    graph: &Graph,
    [file, beside]: [&'static str; 2],
    external: bool,
    checkpoint: &Checkpoint,
    folder: &Path,
    steps: &mut dyn FnMut(Step),
) -> Result<(String, Vec<DataFile>)> {
    let failed = |name: &str| {
        let path = folder.join(name);
        |source| Error::Write { path, source }
    };
    if !has_file_beside(graph, external) {
        let written = Output::create(folder, file, graph.file_sizes(None)[0], steps)
            .and_then(|mut out| graph.write(&mut out, None, checkpoint).and_then(|()| out.finish()));
        return Ok((written.map_err(failed(file))?, Vec::new()));
    }
    let mut structure = Vec::new();
    let written =
        Output::create(folder, beside, graph.file_sizes(Some(beside))[1], steps).and_then(|mut out| {
            graph.write(&mut structure, Some((beside, &mut out)), checkpoint)?;
            out.finish()
        });
    let data = DataFile { file: beside.to_owned(), sha256: written.map_err(failed(beside))? };
    Ok((files::write_hashed(&folder.join(file), &structure)?, vec![data]))
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
        folder: &Path,
        file: &'static str,
        size: u64,
        steps: &'a mut dyn FnMut(Step),
    ) -> io::Result<Output<'a>> {
        let out = BufWriter::with_capacity(1 << 20, Hashing::new(File::create(folder.join(file))?));
        steps(Step::Write { file, done: 0, size });
        Ok(Output { out, file, done: 0, size, steps })
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
    use clip_model::config::Activation;
    use clip_model::{Config, Preprocess};
    use clip_testkit::vit;

    fn graph(config: &Config) -> Graph {
        graph::encoder(Tower::Image, config, &Preprocess::default(), Form::default())
    }

    #[test]
    fn weights_that_a_file_cannot_hold_go_beside_it() {
        // ViT-H/14.
        let config = vit(1024, [224, 14, 1280, 32, 80], [77, 49408, 1024, 16, 24], 4.0, Activation::Gelu);
        let graph = graph(&config);
        assert!(has_file_beside(&graph, false));
        let [structure, weights] = graph.file_sizes(Some("visual.onnx.data"));
        assert!(structure < 1 << 20 && weights > LIMIT, "{structure} {weights}");
    }

    #[test]
    fn all_nine_models_are_whole_files() {
        for name in clip_model::config::NAMES {
            let graph = graph(&Config::named(name).unwrap());
            assert!(!has_file_beside(&graph, false) && has_file_beside(&graph, true), "{name}");
        }
    }
}
