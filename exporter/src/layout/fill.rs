//! A folder for another program is filled.

use std::path::Path;

use clip_model::{Manifest, files, manifest};

use super::graph::LaidGraph;
use super::ports::path;
use super::program::Program;
use super::record::Record;
use super::source::Source;
use super::trial;
use crate::contents::graph_file;
use crate::error::{Error, Result};
use crate::run::Runner;
use crate::step::Step;

impl LaidGraph {
    /// Whether its weights go into a file of their own.
    pub fn has_file_beside(&self, source: &Source<'_>) -> bool {
        graph_file::has_file_beside(&self.graph, source.external_data)
    }

    /// Writes it into `folder`, and its files into `record`.
    fn write(
        &self,
        source: &Source<'_>,
        folder: &Path,
        record: &mut Record,
        steps: &mut dyn FnMut(Step),
    ) -> Result<()> {
        let inside = folder.join(self.folder);
        create(&inside)?;
        let (external, checkpoint) = (source.external_data, source.checkpoint);
        let (sha256, data) =
            graph_file::write(&self.graph, self.files, external, checkpoint, &inside, steps)?;
        let beside = data.into_iter().map(|data| (data.file, data.sha256));
        for (file, sha256) in [(self.files[0].to_owned(), sha256)].into_iter().chain(beside) {
            record.files.insert(path(self.folder, &file), sha256);
        }
        Ok(())
    }
}

/// Fills `folder` with what `program` expects of `source`, the model that was exported into the folder `model`, and sees that its
/// graphs give what the model's do.
///
/// # Errors
/// [`Error::Write`], [`Error::Model`] when a file cannot be written; [`Error::Trial`] and [`Error::TrialApart`] when a graph does
/// not run, [`Error::Laid`] when it gives something else.
pub fn fill(
    folder: &Path,
    program: Program,
    source: &Source<'_>,
    model: (&Path, &Manifest),
    runner: &Runner,
    steps: &mut dyn FnMut(Step),
) -> Result<Record> {
    let mut record = Record::new(program, model.1, source.precision);
    let laid = program.lay_out(source);
    for graph in &laid.graphs {
        graph.write(source, folder, &mut record, steps)?;
    }
    for (name, text) in laid.texts {
        let file = folder.join(&name);
        file.parent().map_or(Ok(()), create)?;
        record.files.insert(name, files::write_hashed(&file, text.as_bytes())?);
    }
    // What the comparison with single precision found stays with the graphs that it is about.
    let report = model.0.join(manifest::REPORT);
    if report.exists() {
        let text = files::read_text(&report)?;
        let sha256 = files::write_hashed(&folder.join(manifest::REPORT), text.as_bytes())?;
        record.files.insert(manifest::REPORT.to_owned(), sha256);
    }
    steps(Step::Trial);
    trial::run(runner, model.0, folder, laid.graphs.into_iter().map(|graph| graph.ports).collect())?;
    record.write(folder)?;
    Ok(record)
}

fn create(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::Model(clip_model::Error::io("create", folder, e)))
}
