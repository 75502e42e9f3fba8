//! A checkpoint becomes a model folder.

use std::io::Write;
use std::path::Path;

use clip_model::config::Family;
use clip_model::manifest::{self, Combined, Element, Encoder, Engine, SCHEMA, TokenizerFile};
use clip_model::{Checkpoint, Manifest, Tokenizer, files};
use clip_runtime::Image;

use crate::destination;
use crate::error::{Error, Result};
use crate::gate::{self, Thresholds};
use crate::int8::{self, Dialect, Input, Sensitive};
use crate::labels;
use crate::onnx::Graph;
use crate::options::{Numbers, Only, Options};
use crate::samples::Samples;
use crate::tower::{self, EMBEDDING, Form, IDS, IMAGE};
use crate::trial;
use crate::write::{Part, Tensors};

/// File names in a model folder: a graph, and its weights where they lie beside it.
const VISUAL: [&str; 2] = ["visual.onnx", "visual.onnx.data"];
const TEXT: [&str; 2] = ["text.onnx", "text.onnx.data"];
const COMBINED: [&str; 2] = ["clip.onnx", "clip.onnx.data"];
const TOKENIZER: &str = "tokenizer.json";

/// What an export is doing.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// A file is being written.
    Write {
        /// Its name.
        file: &'static str,
        /// Bytes written so far; 0 the first time.
        done: u64,
        /// Bytes it will have.
        size: u64,
    },
    /// A graph is run to be quantized.
    Calibrate {
        /// Name of its file.
        file: &'static str,
        /// Share of the work that is done.
        done: f32,
    },
    /// The label set is encoded.
    Labels,
    /// The encoders are compared with those in single precision.
    Verify,
    /// All files are written, and the model is run once.
    Trial,
    /// Something that the user should know.
    Note(String),
}

/// Exports `checkpoint` as ONNX files, with tokenizer and manifest, into `folder`. The folder appears, or replaces an
/// older one, only after each of its encoders has run once and given embeddings.
///
/// Weights are copied piece by piece; those in half precision are widened, exactly. So memory stays small, however large
/// the model is, but for what ONNX Runtime takes to run it: with [`Options::runner`] that is done in other
/// processes, see [`crate::apart`]; only the calibration of 8-bit models is this one's.
///
/// # Errors
/// [`Error::Exists`] and [`Error::NotAModelFolder`] for a destination that must not be overwritten;
/// [`Error::Options`] for options that contradict each other or are out of range; [`Error::Write`] when the disk is full
/// or a tensor has an unsupported number format; [`Error::Labels`] or [`Error::LabelsApart`] when the labels cannot be encoded;
/// [`Error::Calibration`] and [`Error::NotFinite`] when a model cannot be quantized; [`Error::Trial`] or
/// [`Error::TrialApart`] when the exported encoders do not run, or give something else than embeddings (weights that are
/// not finite), or ONNX Runtime is missing; [`Error::Gate`] when they are too far from single precision, [`Error::Overflow`]
/// when half precision cannot hold what they compute; [`Error::Model`] for the rest.
pub fn export(
    checkpoint: &Checkpoint,
    folder: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Manifest> {
    destination::check(folder, options.replace)?;
    // What can be refused is refused before anything is written.
    options.check()?;
    let plan = Plan::new(checkpoint, options)?;
    destination::write(folder, options.replace, |folder| plan.make(folder, progress))
}

/// [`export`] in several number formats: `folder` gets a model folder for each of `options`, named after its format
/// (`fp32`, `fp16`, `int8`). They appear together when the last is complete; when one fails, none does.
///
/// # Errors
/// Those of [`export`].
pub fn export_each(
    checkpoint: &Checkpoint,
    folder: &Path,
    options: &[Options],
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Manifest>> {
    options.iter().try_for_each(Options::check)?;
    let names: Vec<&str> = options.iter().map(|options| options.numbers.precision().name()).collect();
    let replace = options.iter().all(|options| options.replace);
    destination::write_each(folder, &names, replace, |i, folder| {
        Plan::new(checkpoint, &options[i])?.make(folder, progress)
    })
}

/// Writes a model folder that is only a step on the way to another one, and so is not run here. `change` is made to each
/// graph.
///
/// # Errors
/// Those of [`export`] that have nothing to do with running.
pub(crate) fn draft(
    checkpoint: &Checkpoint,
    folder: &Path,
    options: &Options,
    change: fn(Graph) -> Graph,
) -> Result<()> {
    let plan = Plan::changed(checkpoint, options, change)?;
    destination::write(folder, options.replace, |folder| {
        Ok(plan.write(folder, &mut Vec::new(), &mut |_| {})?.write(folder)?)
    })
}

/// What a model folder will hold.
struct Plan<'a> {
    checkpoint: &'a Checkpoint,
    options: &'a Options,
    image: Option<Part>,
    text: Option<(Part, Tokenizer)>,
    combined: Option<Part>,
    logit_scale: f32,
    logit_bias: Option<f32>,
    samples: Samples,
}

impl<'a> Plan<'a> {
    fn new(checkpoint: &'a Checkpoint, options: &'a Options) -> Result<Plan<'a>> {
        Plan::changed(
            checkpoint,
            options,
            if options.numbers == Numbers::Fp16 { Graph::to_half } else { |graph| graph },
        )
    }

    /// With graphs that `change` is made to.
    fn changed(
        checkpoint: &'a Checkpoint,
        options: &'a Options,
        change: fn(Graph) -> Graph,
    ) -> Result<Plan<'a>> {
        let Options { only, external_data: external, .. } = *options;
        // A graph with any batch is calibrated; a fixed one is written into it afterwards.
        let form = match options.numbers {
            Numbers::Int8(settings) => {
                Form { batch: None, for_integers: settings.dialect == Dialect::Cpu, ..options.form }
            }
            _ => options.form,
        };
        let (config, preprocess) = (&checkpoint.config, &checkpoint.preprocess);
        let (logit_scale, logit_bias) = (checkpoint.logit_scale()?, checkpoint.logit_bias()?);
        let tokenizer = checkpoint.tokenizer()?;
        let image = || Part::new(VISUAL, change(tower::image(config, preprocess, form)), external);
        let text = || Part::new(TEXT, change(tower::text(config, form)), external);
        let combined = || {
            let graph = tower::combined(config, preprocess, logit_scale, logit_bias, form);
            Part::new(COMBINED, change(graph), external)
        };
        Ok(Plan {
            checkpoint,
            options,
            image: (only != Some(Only::Text)).then(image),
            text: (only != Some(Only::Visual)).then(text).map(|part| (part, tokenizer)),
            combined: options.combined.then(combined),
            logit_scale,
            logit_bias,
            samples: match &options.samples {
                Some(samples) => samples.clone(),
                None => Samples::generated(preprocess)?,
            },
        })
    }

    /// Fills `folder`, and sees that the model in it works.
    fn make(&self, folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Manifest> {
        let Plan { checkpoint, options, .. } = *self;
        let mut left_in_float = Vec::new();
        let mut manifest = self.write(folder, &mut left_in_float, progress)?;
        if let Some(labels) = &options.labels {
            progress(Progress::Labels);
            let program = options.runner.as_deref();
            manifest.labels = Some(labels::store(labels, checkpoint, &manifest, folder, program)?);
        }
        manifest.write(folder)?;
        if options.numbers != Numbers::Fp32 {
            progress(Progress::Verify);
            self.verify(folder, left_in_float, progress)?;
        }
        progress(Progress::Trial);
        trial::run(folder, options.runner.as_deref())?;
        Ok(manifest)
    }

    /// Writes graphs and tokenizer; the manifest is given back and not written yet. Products that quantization left in
    /// float are added to `left_in_float`.
    fn write(
        &self,
        folder: &Path,
        left_in_float: &mut Vec<Sensitive>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Manifest> {
        let Plan { checkpoint, options, .. } = *self;
        let element = if options.form.bytes { Element::Uint8 } else { Element::Float32 };
        let mut encoder = |part: Option<&Part>, input, element| -> Result<Option<Encoder>> {
            let Some(part) = part else { return Ok(None) };
            match self.options.numbers {
                Numbers::Int8(settings) => {
                    let part = self.quantized(part, &settings, folder, left_in_float, progress)?;
                    self.encoder(&part, (input, element), folder, progress).map(Some)
                }
                _ => self.encoder(part, (input, element), folder, progress).map(Some),
            }
        };
        let image = encoder(self.image.as_ref(), IMAGE, element)?;
        let text = encoder(self.text.as_ref().map(|(part, _)| part), IDS, Element::Int32)?;
        let tokenizer = self.text.as_ref();
        let tokenizer =
            tokenizer.map(|(_, tokenizer)| write_tokenizer(tokenizer, checkpoint, folder)).transpose()?;
        let combined = self.combined.as_ref().map(|part| -> Result<Combined> {
            let (sha256, data) = part.write(checkpoint, folder, progress)?;
            Ok(Combined { file: part.file.to_owned(), sha256, data })
        });
        Ok(Manifest {
            schema: SCHEMA,
            producer: concat!("clip-export ", env!("CARGO_PKG_VERSION")).to_owned(),
            model: options.model.clone(),
            embed_dim: checkpoint.config.embed_dim,
            logit_scale: self.logit_scale,
            logit_bias: self.logit_bias,
            preprocess: checkpoint.preprocess.clone(),
            tokenizer,
            image,
            text,
            labels: None,
            combined: combined.transpose()?,
        })
    }

    /// The 8-bit form of an encoder.
    fn quantized(
        &self,
        part: &Part,
        settings: &int8::Settings,
        folder: &Path,
        left_in_float: &mut Vec<Sensitive>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Part> {
        let [calibration, held_out] = self.samples.split();
        let [calibration, held_out] = if part.file == TEXT[0] {
            [self.ids(&calibration)?, self.ids(&held_out)?]
        } else {
            [self.pixels(&calibration)?, self.pixels(&held_out)?]
        };
        let least = self.thresholds().mean_cosine;
        let (graph, file) = (part.graph.clone(), part.file);
        let weights = Tensors(self.checkpoint);
        let mut show = |done| progress(Progress::Calibrate { file, done });
        let inputs = (&calibration[..], &held_out[..]);
        let found = int8::search(graph, &weights, inputs, settings, least, folder, &mut show)?;
        left_in_float.extend(found.float);
        let graph = match self.options.form.batch {
            Some(batch) => found.graph.with_fixed_batch(batch),
            None => found.graph,
        };
        let graph = graph.compact();
        let files = if file == TEXT[0] { TEXT } else { VISUAL };
        Ok(Part::new(files, graph, self.options.external_data))
    }

    /// Pictures as the image encoder takes them, one by one.
    fn pixels(&self, samples: &Samples) -> Result<Vec<Input>> {
        let preprocess = &self.checkpoint.preprocess;
        let side = preprocess.size;
        let input = |image: &Image| {
            if self.options.form.bytes {
                return Ok(Input::UInt8(vec![1, side, side, 3], image.rgb().to_vec().into()));
            }
            let mut pixels = vec![0.0; 3 * side * side];
            preprocess.normalize(image, &mut pixels)?;
            Ok(Input::Float32(vec![1, 3, side, side], pixels.into()))
        };
        samples.images.iter().map(input).collect()
    }

    /// Texts as the text encoder takes them, one by one.
    fn ids(&self, samples: &Samples) -> Result<Vec<Input>> {
        let length = self.checkpoint.config.text.context_length;
        let Some((_, tokenizer)) = &self.text else { return Ok(vec![]) };
        let input = |text: &String| {
            let batch = tokenizer.encode_batch(&[text], length);
            Input::Int32(vec![1, batch.length], batch.ids.into())
        };
        Ok(samples.texts.iter().map(input).collect())
    }

    fn thresholds(&self) -> Thresholds {
        let options = self.options;
        options.thresholds.unwrap_or_else(|| Thresholds::of(options.numbers.precision()))
    }

    /// The gate: compares the model in `folder` with the checkpoint in single precision, and leaves the report there.
    fn verify(
        &self,
        folder: &Path,
        left_in_float: Vec<Sensitive>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        // What calibration has not seen.
        let samples = match self.options.numbers {
            Numbers::Int8(_) => &self.samples.split()[1],
            _ => &self.samples,
        };
        let program = self.options.runner.as_deref();
        let mut report = gate::against(self.checkpoint, folder, samples, self.thresholds(), folder, program)?;
        report.left_in_float = left_in_float;
        let path = folder.join(manifest::REPORT);
        let json = serde_json::to_vec_pretty(&report)
            .map_err(|e| Error::Write { path: path.clone(), source: e.into() })?;
        files::write_atomically(&path, |out| out.write_all(&json))?;
        // Also of a model that is refused: a handful of samples may be the reason.
        report.scarce().into_iter().for_each(|note| progress(Progress::Note(note)));
        if !report.failures.is_empty() {
            return Err(Error::Gate(Box::new(report)));
        }
        report.slower().into_iter().for_each(|note| progress(Progress::Note(note)));
        Ok(())
    }

    /// Writes one encoder's graph.
    fn encoder(
        &self,
        part: &Part,
        (input, element): (&str, Element),
        folder: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Encoder> {
        let (sha256, data) = part.write(self.checkpoint, folder, progress)?;
        Ok(Encoder {
            file: part.file.to_owned(),
            sha256,
            data,
            engine: Engine::Onnx {},
            precision: self.options.numbers.precision(),
            input: manifest::Input::new(input, element),
            batch: self.options.form.batch,
            output: EMBEDDING.to_owned(),
        })
    }
}

fn write_tokenizer(tokenizer: &Tokenizer, checkpoint: &Checkpoint, folder: &Path) -> Result<TokenizerFile> {
    Ok(TokenizerFile {
        file: TOKENIZER.to_owned(),
        sha256: files::write_hashed(&folder.join(TOKENIZER), tokenizer.to_json().as_bytes())?,
        context_length: checkpoint.config.text.context_length,
        padded: checkpoint.config.family == Family::SigLip,
        clean: Some(tokenizer.cleaning()),
    })
}
