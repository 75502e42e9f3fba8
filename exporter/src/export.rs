//! A checkpoint becomes a model folder.

use std::io::Write;
use std::path::Path;

use clip_checkpoint::Checkpoint;
use clip_model::{Manifest, files, manifest, temporary};

use crate::compare::{self, Samples, Thresholds};
use crate::contents::{self, Folder, destination, replacement};
use crate::error::{Error, Result};
use crate::graph::{self, Form};
use crate::int8::{self, Dialect, Scratch, Sensitive};
use crate::layout::{self, Source};
use crate::onnx::Graph;
use crate::options::{Numbers, Options};
use crate::plans;
use crate::run::{self, Tensor};
use crate::step::Step;
use crate::tower::Tower;

/// Exports `checkpoint` as ONNX files, with tokenizer and manifest, into `folder`. The folder appears, or replaces an
/// older one, only after each of its encoders has run once and given embeddings.
///
/// Weights are copied piece by piece; those in half precision are widened, exactly. So memory stays small, however large
/// the model is, but for what the engine takes to run it: with a program as [`Options::runner`] that is done in other
/// processes; only the calibration of 8-bit models is this one's.
///
/// # Errors
/// [`Error::Exists`], [`Error::NotAModelFolder`] and [`Error::ForeignFile`] for a destination that must not be overwritten;
/// [`Error::Conflict`], [`Error::Range`], [`Error::FewSamples`] and [`Error::Label`] for options that cannot be followed; [`Error::Write`]
/// when the disk is full or a tensor has an unsupported number format; [`Error::Labels`] or [`Error::LabelsApart`] when the
/// labels cannot be encoded; [`Error::Calibration`] and [`Error::NotFinite`] when a model cannot be quantized;
/// [`Error::Trial`] or [`Error::TrialApart`] when the exported encoders do not run, or give something else than embeddings
/// (weights that are not finite), or the engine is missing; [`Error::Classifier`] when a classifier gives other probabilities
/// than they do; [`Error::Gate`] when they are too far from single precision,
/// [`Error::Overflow`] when half precision cannot hold what they compute; [`Error::Model`] for the rest.
pub fn export(
    checkpoint: &Checkpoint,
    folder: impl AsRef<Path>,
    options: &Options,
    steps: &mut dyn FnMut(Step),
) -> Result<Manifest> {
    let folder = folder.as_ref();
    destination::check(folder, options.replace)?;
    // What can be refused is refused before anything is written.
    options.check()?;
    options.plans.iter().try_for_each(|plans| plans::check(plans, &options.runner).map(drop))?;
    let export = Export::new(checkpoint, options)?;
    destination::write(folder, options.replace, |folder| export.fill(folder, &mut |_, _| {}, steps))
}

/// [`export`] in several number formats: `folder` gets a model folder for each of `options`, named after its format
/// (`fp32`, `fp16`, `int8`). They appear together when the last is complete; when one fails, none does.
///
/// # Errors
/// Those of [`export`].
pub fn export_each(
    checkpoint: &Checkpoint,
    folder: impl AsRef<Path>,
    options: &[Options],
    steps: &mut dyn FnMut(Step),
) -> Result<Vec<Manifest>> {
    options.iter().try_for_each(Options::check)?;
    let plans = options.iter().flat_map(|options| options.plans.iter().map(|plans| (plans, &options.runner)));
    plans.into_iter().try_for_each(|(plans, runner)| plans::check(plans, runner).map(drop))?;
    let names: Vec<&str> = options.iter().map(|options| options.numbers.precision().name()).collect();
    let replace = options.iter().all(|options| options.replace);
    destination::write_each(folder.as_ref(), &names, replace, |i, folder| {
        Export::new(checkpoint, &options[i])?.fill(folder, &mut |_, _| {}, steps)
    })
}

/// [`export`] as another program expects it: the same verified graphs in a folder for `program`, see [`layout`].
///
/// # Errors
/// Those of [`export`]; [`Error::NotLaidOut`] for a destination that was not written so; [`Error::Unsuited`] for a model that the
/// program cannot run; [`Error::Laid`] when a graph gives something else than the one it was made of.
pub fn lay_out(
    checkpoint: &Checkpoint,
    folder: impl AsRef<Path>,
    program: layout::Program,
    options: &Options,
    steps: &mut dyn FnMut(Step),
) -> Result<layout::Record> {
    let folder = folder.as_ref();
    let check = |folder: &Path| layout::check(folder, options.replace);
    check(folder)?;
    options.check()?;
    program.check(checkpoint, options)?;
    let export = Export::new(checkpoint, options)?;
    replacement::write(folder, check, |folder| {
        // Where there is room for the result there is for this one, too.
        let io = |e| clip_model::Error::io("create a folder in", folder, e);
        let model = temporary::Folder::create_in(folder).map_err(io)?;
        let mut towers = Vec::new();
        let mut keep = |tower, graph| towers.push((tower, graph));
        let manifest = export.fill(model.path(), &mut keep, steps)?;
        let precision = options.numbers.precision();
        let source = Source::new(checkpoint, &manifest, towers, precision, options.external_data)?;
        layout::fill(folder, program, &source, (model.path(), &manifest), &options.runner, steps)
    })
}

/// An export into one folder.
struct Export<'a> {
    checkpoint: &'a Checkpoint,
    options: &'a Options,
    samples: Samples,
    thresholds: Thresholds,
}

impl<'a> Export<'a> {
    fn new(checkpoint: &'a Checkpoint, options: &'a Options) -> Result<Export<'a>> {
        let samples = match &options.samples {
            Some(samples) => samples.clone(),
            None => Samples::generated(&checkpoint.preprocess)?,
        };
        let thresholds = options.thresholds.unwrap_or_else(|| Thresholds::of(options.numbers.precision()));
        Ok(Export { checkpoint, options, samples, thresholds })
    }

    /// Fills the folder at `path`, and sees that the model in it works.
    /// Each tower's graph goes to `keep` when it is written.
    fn fill(
        &self,
        path: &Path,
        keep: &mut dyn FnMut(Tower, Graph),
        steps: &mut dyn FnMut(Step),
    ) -> Result<Manifest> {
        let Export { checkpoint, options, .. } = *self;
        let mut folder = Folder::new(path, checkpoint, options.form, options.external_data, steps)?;
        folder.manifest.model.clone_from(&options.model);
        let (mut left_in_float, mut image) = (Vec::new(), None);
        for tower in Tower::BOTH.into_iter().filter(|&tower| options.only.is_none_or(|only| only == tower)) {
            let graph = self.graph(tower, &mut folder, &mut left_in_float)?;
            folder.add_encoder(tower, &graph, options.numbers.precision())?;
            if tower == Tower::Image && options.classifier.is_some() {
                image = Some(graph.clone());
            }
            if let (Tower::Image, Some(camera)) = (tower, &options.camera) {
                contents::add_camera(&mut folder, graph.clone(), camera, options.numbers)?;
            }
            keep(tower, graph);
        }
        if options.combined {
            folder.add_combined(if options.numbers == Numbers::Fp16 {
                Graph::into_half
            } else {
                |graph| graph
            })?;
        }
        if let Some(labels) = &options.labels {
            (folder.steps)(Step::Labels);
            let (file, stored) =
                contents::store(labels, checkpoint, &folder.manifest, path, &options.runner)?;
            folder.manifest.labels = Some(file);
            if let (Some(tower), Some(values)) = (image, options.classifier) {
                contents::add_classifier(&mut folder, tower, stored, values, options.numbers)?;
            }
        }
        let Folder { mut manifest, steps, .. } = folder;
        manifest.write(path)?;
        if options.numbers != Numbers::Fp32 {
            steps(Step::Verify);
            self.verify(path, left_in_float, steps)?;
        }
        steps(Step::Trial);
        options.runner.try_out(path, None)?;
        if options.camera.is_some() {
            steps(Step::Frames);
            let found = compare::camera(path, &self.samples, None, &options.runner)?;
            found.into_iter().for_each(|compare::Closeness { count, min_cosine, .. }| {
                steps(Step::FramesVerified { count, min_cosine });
            });
        }
        if let Some(plans) = &options.plans {
            let judged = (&self.samples, self.thresholds);
            let image_ms = plans::complete(path, &mut manifest, plans, judged, &options.runner, steps)?;
            if let (Numbers::Int8(_), Some(int8_ms)) = (options.numbers, image_ms) {
                let with = (options, plans);
                plans::compare_with_half(checkpoint, path, with, &self.samples, int8_ms, steps)?;
            }
        }
        Ok(manifest)
    }

    /// The graph of a tower in the number format that was asked for. Products that quantization left in float are added to
    /// `left_in_float`.
    fn graph(
        &self,
        tower: Tower,
        folder: &mut Folder<'_>,
        left_in_float: &mut Vec<Sensitive>,
    ) -> Result<Graph> {
        let form = self.options.form;
        let Checkpoint { config, preprocess, .. } = self.checkpoint;
        let graph = |form| graph::encoder(tower, config, preprocess, form);
        let int8 = match self.options.numbers {
            Numbers::Fp32 => return Ok(graph(form)),
            Numbers::Fp16 => return Ok(graph(form).into_half()),
            Numbers::Int8(int8) => int8,
        };
        // A graph with any batch is calibrated; a fixed one is written into it afterwards.
        let graph = graph(Form { batch: None, for_integers: int8.dialect == Dialect::Cpu, ..form });
        let [calibration, held_out] = self.samples.split();
        let tensors = |samples: &Samples| -> clip_runtime::Result<Vec<Tensor>> {
            match tower {
                Tower::Image => run::pixels(&samples.images, preprocess, form.bytes).collect(),
                Tower::Text => {
                    run::ids(&samples.texts, &folder.tokenizer, config.text.context_length).collect()
                }
            }
        };
        let [calibration, held_out] = [tensors(&calibration), tensors(&held_out)];
        let inputs = (calibration.map_err(Error::Calibration)?, held_out.map_err(Error::Calibration)?);
        let mut progress = |done| (folder.steps)(Step::Calibrate { file: tower.files()[0], done });
        let scratch = Scratch { source: self.checkpoint, folder: folder.path };
        let least = self.thresholds.mean_cosine;
        let found = int8::search(graph, scratch, [&inputs.0, &inputs.1], &int8, least, &mut progress)?;
        left_in_float.extend(found.float);
        Ok(form.batch.into_iter().fold(found.graph, Graph::with_fixed_batch).compact())
    }

    /// The gate: compares the model in `folder` with the checkpoint in single precision, and leaves the report there.
    fn verify(
        &self,
        folder: &Path,
        left_in_float: Vec<Sensitive>,
        steps: &mut dyn FnMut(Step),
    ) -> Result<()> {
        // What calibration has not seen.
        let samples = match self.options.numbers {
            Numbers::Int8(_) => &self.samples.split()[1],
            _ => &self.samples,
        };
        let (thresholds, runner) = (self.thresholds, &self.options.runner);
        let mut report = compare::against(self.checkpoint, folder, samples, thresholds, folder, runner)?;
        report.left_in_float = left_in_float;
        let path = folder.join(manifest::REPORT);
        let json = serde_json::to_vec_pretty(&report)
            .map_err(|e| Error::Write { path: path.clone(), source: e.into() })?;
        files::write_atomically(&path, |out| out.write_all(&json))?;
        // Also of a model that is refused: a handful of samples may be the reason.
        report.few_pictures().into_iter().for_each(|count| steps(Step::FewPictures { count }));
        if !report.failures.is_empty() {
            return Err(Error::Gate { precision: report.precision, failures: report.failures });
        }
        // Of a graph that becomes an engine, the time on this processor says nothing.
        if let (None, Some(compare::Speed { exported_ms, fp32_ms })) =
            (&self.options.plans, report.not_faster())
        {
            steps(Step::NotFaster { exported_ms, fp32_ms });
        }
        Ok(())
    }
}
