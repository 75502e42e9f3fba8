//! What a tower of a model runs: which file, and by which engine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clip_model::Manifest;
use clip_model::manifest::{self, Encoder};

use crate::device::EngineKind;
use crate::engine::{self, Engine, EngineInfo, Session};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::rebuild::Rebuild;

/// A model folder that is being opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening<'a> {
    pub folder: &'a Path,
    pub manifest: &'a Manifest,
    pub options: &'a Options,
    pub threads: usize,
    /// Of them, those that one run of a graph computes with.
    pub run_threads: usize,
}

/// The engines that were started, each once.
#[derive(Debug, Default)]
pub(crate) struct Engines(Vec<(EngineKind, Arc<dyn Engine>)>);

impl Engines {
    /// The engine of that kind, which is started unless it was before; for plans of that `family`, where there are some.
    pub fn start(
        &mut self,
        kind: EngineKind,
        options: &Options,
        family: Option<&str>,
    ) -> Result<Arc<dyn Engine>> {
        if let Some((_, engine)) = self.0.iter().find(|(known, _)| *known == kind) {
            return Ok(engine.clone());
        }
        let engine: Arc<dyn Engine> = engine::start(kind, options, family)?.into();
        self.0.push((kind, engine.clone()));
        Ok(engine)
    }
}

/// What a tower runs.
#[derive(Debug)]
pub(crate) struct Source {
    pub kind: EngineKind,
    /// As the manifest describes it.
    described: Encoder,
    /// As it is run.
    encoder: Encoder,
    place: Place,
    /// Whether it was built just now: were it refused, the same again would be.
    fresh: bool,
}

/// Where its file is.
#[derive(Debug)]
enum Place {
    /// In the model folder.
    Model,
    /// In the folder of the user's cache.
    Cache(PathBuf),
    /// It has to be built first.
    Nowhere,
}

/// A file that an engine has opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub file: PathBuf,
    pub session: Box<dyn Session>,
    pub encoder: Encoder,
    pub engine: EngineInfo,
}

impl Source {
    /// Decides what the tower runs that the manifest describes so. A plan that does not fit this machine is refused, or, where that is
    /// asked for, and for a damaged one too, one of the cache is taken in its place, or will be built.
    pub fn choose(opening: Opening<'_>, described: &Encoder, engines: &mut Engines) -> Result<Source> {
        let Opening { folder, options, .. } = opening;
        let plan = described.plan();
        let own = match plan {
            None => EngineKind::Onnx,
            Some(plan) if plan.is_of_rtx() => EngineKind::TensorRtRtx,
            Some(_) => EngineKind::TensorRt,
        };
        let kind = options.engine.unwrap_or(own);
        let source =
            |encoder, place| Source { kind, described: described.clone(), encoder, place, fresh: false };
        if kind.runs_graphs() {
            return Ok(source(described.without_plan(), Place::Model));
        }
        let engine = engines.start(kind, options, plan.map(|plan| plan.family.as_str()))?;
        let file = folder.join(&described.file);
        let misfit = match plan {
            None => Error::NoPlan { engine: engine.info().name, file },
            Some(plan) => {
                let differs = engine.misfits(plan);
                // Where plans are built anew, one that is damaged or gone is, too.
                let usable = || manifest::verified(folder, &described.file, &described.sha256).is_ok();
                if differs.is_empty() && (!options.rebuild || usable()) {
                    return Ok(source(described.clone(), Place::Model));
                }
                Error::Misfit { file, differs, graph: plan.graph.file.clone() }
            }
        };
        if !options.rebuild {
            return Err(misfit);
        }
        let rebuild = opening.rebuild(described, kind, &*engine)?;
        Ok(match rebuild.kept() {
            Some(encoder) => source(encoder, Place::Cache(rebuild.folder().to_owned())),
            None => source(described.clone(), Place::Nowhere),
        })
    }

    /// Names and hashes of the files in the model folder that it takes.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        let model = matches!(self.place, Place::Model);
        self.encoder.files().filter(move |_| model)
    }

    /// Files that it opens, as far as they are there.
    pub fn paths(&self, folder: &Path) -> Vec<PathBuf> {
        let folder = match &self.place {
            Place::Model => folder,
            Place::Cache(folder) => folder,
            Place::Nowhere => return Vec::new(),
        };
        self.encoder.files().map(|(file, _)| folder.join(file)).collect()
    }

    /// Builds it where that has to be done.
    pub fn built(self, opening: Opening<'_>, engine: &dyn Engine) -> Result<Source> {
        match self.place {
            Place::Model | Place::Cache(_) => Ok(self),
            Place::Nowhere => self.build(opening, engine, None),
        }
    }

    /// `refused` is the hash of the plan that was not taken.
    fn build(self, opening: Opening<'_>, engine: &dyn Engine, refused: Option<&str>) -> Result<Source> {
        let rebuild = opening.rebuild(&self.described, self.kind, engine)?;
        let (encoder, place) = (rebuild.build(refused)?, Place::Cache(rebuild.folder().to_owned()));
        Ok(Source { encoder, place, fresh: true, ..self })
    }

    /// Opens it. A plan that fits, and that TensorRT refuses all the same, is built anew where that is asked for.
    pub fn open(self, opening: Opening<'_>, engine: &dyn Engine) -> Result<Opened> {
        let (session, file, encoder) =
            self.open_by(opening, engine, |file, encoder| match encoder.plan() {
                Some(plan) => engine.open_plan(file, plan, opening.threads),
                None => engine.open(file, opening.run_threads),
            })?;
        Ok(Opened { file, session, encoder, engine: engine.info().clone() })
    }

    /// [`Source::open`] by whatever opens its file.
    pub fn open_by<T>(
        self,
        opening: Opening<'_>,
        engine: &dyn Engine,
        open: impl Fn(&Path, &Encoder) -> Result<T>,
    ) -> Result<(T, PathBuf, Encoder)> {
        let path = |source: &Source| match &source.place {
            Place::Cache(folder) => folder.join(&source.encoder.file),
            Place::Model | Place::Nowhere => opening.folder.join(&source.encoder.file),
        };
        let file = path(&self);
        match open(&file, &self.encoder) {
            Err(error) if opening.options.rebuild && !self.fresh && is_refused(&error) => {
                let sha256 = self.encoder.sha256.clone();
                let built = self.build(opening, engine, Some(&sha256))?;
                let file = path(&built);
                Ok((open(&file, &built.encoder)?, file, built.encoder))
            }
            result => Ok((result?, file, self.encoder)),
        }
    }
}

impl<'a> Opening<'a> {
    fn rebuild(self, encoder: &'a Encoder, kind: EngineKind, engine: &'a dyn Engine) -> Result<Rebuild<'a>> {
        Rebuild::new((self.folder, self.manifest, encoder), (kind, engine), self.options)
    }
}

/// Whether TensorRT itself does not take a plan.
fn is_refused(error: &Error) -> bool {
    matches!(error, Error::Plan { source, .. } if matches!(**source, clip_tensorrt::Error::Plan { .. }))
}
