//! A checkpoint becomes a model folder.

use std::io::Write;
use std::path::{Path, PathBuf};

use clip_model::manifest::{Combined, Element, Encoder, Engine, Precision, SCHEMA, TokenizerFile};
use clip_model::{Checkpoint, Manifest, Tokenizer, files};

use crate::destination;
use crate::error::{Error, Result};
use crate::labels::{self, Labels};
use crate::onnx::OPSETS;
use crate::tower::{self, EMBEDDING, Form, IDS, IMAGE};
use crate::trial;
use crate::write::Part;

/// File names in a model folder: a graph, and its weights where they lie beside it.
const VISUAL: [&str; 2] = ["visual.onnx", "visual.onnx.data"];
const TEXT: [&str; 2] = ["text.onnx", "text.onnx.data"];
const COMBINED: [&str; 2] = ["clip.onnx", "clip.onnx.data"];
const TOKENIZER: &str = "tokenizer.json";

/// What is exported, and how.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// Human-readable name of the model, kept in its manifest.
    pub model: String,
    /// Whether a model folder that is there already may be replaced.
    pub replace: bool,
    /// One encoder instead of both.
    pub only: Option<Only>,
    /// Operator set, batch and input of the graphs.
    pub form: Form,
    /// Whether weights go into files beside the graphs, however small they are; large ones always do.
    pub external_data: bool,
    /// Whether there is also one graph of both towers.
    pub combined: bool,
    /// Labels to be encoded once and kept in the folder.
    pub labels: Option<Labels>,
    /// The program that runs the encoders once, see [`trial::run_apart`]; this process when it is None.
    pub trial_program: Option<PathBuf>,
}

/// The encoder that a folder holds, when it holds only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Only {
    /// The image encoder
    Visual,
    /// The text encoder
    Text,
}

/// What an export is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// The label set is encoded.
    Labels,
    /// All files are written, and the model is run once.
    Trial,
}

/// Exports `checkpoint` as ONNX files, with tokenizer and manifest, into `folder`. The folder appears, or replaces an
/// older one, only after each of its encoders has run once and given embeddings.
///
/// Weights are copied piece by piece; those in half precision are widened, exactly. So memory stays small, however large
/// the model is, but for what ONNX Runtime takes to run it: with [`Options::trial_program`] that is another process's.
/// Labels are encoded in this one.
///
/// # Errors
/// [`Error::Exists`] and [`Error::NotAModelFolder`] for a destination that must not be overwritten;
/// [`Error::Options`] for options that contradict each other or are out of range; [`Error::Write`] when the disk is full or a tensor has an unsupported number format;
/// [`Error::Labels`] when the labels cannot be encoded; [`Error::Trial`] or [`Error::TrialApart`] when the exported encoders do not run, or give
/// something else than embeddings (weights that are not finite), or ONNX Runtime is missing; [`Error::Model`] for the
/// rest.
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
    let mut written = None;
    destination::write(folder, options.replace, |folder| {
        let mut manifest = plan.write(folder, progress)?;
        if let Some(labels) = &options.labels {
            progress(Progress::Labels);
            manifest.labels = Some(labels::store(labels, checkpoint, &manifest, folder)?);
        }
        manifest.write(folder)?;
        progress(Progress::Trial);
        match &options.trial_program {
            Some(program) => trial::run_apart(program, folder)?,
            None => trial::run(folder)?,
        }
        written = Some(manifest);
        Ok(())
    })?;
    match written {
        Some(manifest) => Ok(manifest),
        None => Ok(Manifest::read(folder)?),
    }
}

impl Options {
    fn check(&self) -> Result<()> {
        let bad = |message: String| Err(Error::Options(message));
        let Form { opset, batch, bytes, .. } = self.form;
        if !OPSETS.contains(&opset) {
            let (first, last) = (OPSETS.start(), OPSETS.end());
            return bad(format!("operator set {opset} is not supported: choose {first} to {last}"));
        }
        let limit = clip_model::manifest::MAX_BATCH;
        if let Some(found) = batch.filter(|n| !(1..=limit).contains(n)) {
            return bad(format!("a batch of {found} is not supported: choose 1 to {limit}"));
        }
        if self.combined && self.only.is_some() {
            return bad(
                "a combined graph has both encoders: leave one of --combined and --only out".to_owned()
            );
        }
        if self.only == Some(Only::Text) && bytes {
            return bad("--uint8-input is about the image encoder, which --only text leaves out".to_owned());
        }
        if self.only == Some(Only::Text) && self.labels.is_some() {
            return bad("labels are compared with images, whose encoder --only text leaves out".to_owned());
        }
        Ok(())
    }
}

/// What a model folder will hold.
struct Plan<'a> {
    checkpoint: &'a Checkpoint,
    options: &'a Options,
    image: Option<Part>,
    text: Option<(Part, Tokenizer)>,
    combined: Option<Part>,
    logit_scale: f32,
}

impl<'a> Plan<'a> {
    fn new(checkpoint: &'a Checkpoint, options: &'a Options) -> Result<Plan<'a>> {
        let Options { only, form, external_data: external, .. } = *options;
        let (config, preprocess) = (&checkpoint.config, &checkpoint.preprocess);
        let logit_scale = checkpoint.logit_scale()?;
        let tokenizer = checkpoint.tokenizer()?;
        let image = || Part::new(VISUAL, tower::image(config, preprocess, form), external);
        let text = || Part::new(TEXT, tower::text(config, form), external);
        let combined = || {
            let graph = tower::combined(config, preprocess, logit_scale, form);
            Part::new(COMBINED, graph, external)
        };
        Ok(Plan {
            checkpoint,
            options,
            image: (only != Some(Only::Text)).then(image),
            text: (only != Some(Only::Visual)).then(text).map(|part| (part, tokenizer)),
            combined: options.combined.then(combined),
            logit_scale,
        })
    }

    /// Writes graphs and tokenizer; the manifest is given back and not written yet.
    fn write(&self, folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Manifest> {
        let Plan { checkpoint, options, .. } = *self;
        let element = if options.form.bytes { Element::Uint8 } else { Element::Float32 };
        let image = self.image.as_ref();
        let image = image.map(|part| self.encoder(part, (IMAGE, element), folder, progress)).transpose()?;
        let text = self.text.as_ref();
        let text =
            text.map(|(part, _)| self.encoder(part, (IDS, Element::Int32), folder, progress)).transpose()?;
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
            preprocess: checkpoint.preprocess.clone(),
            tokenizer,
            image,
            text,
            labels: None,
            combined: combined.transpose()?,
        })
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
            engine: Engine::Onnx,
            precision: Precision::Fp32,
            input: input.to_owned(),
            element,
            batch: self.options.form.batch,
            output: EMBEDDING.to_owned(),
        })
    }
}

fn write_tokenizer(tokenizer: &Tokenizer, checkpoint: &Checkpoint, folder: &Path) -> Result<TokenizerFile> {
    let path = folder.join(TOKENIZER);
    files::write_atomically(&path, |out| out.write_all(tokenizer.to_json().as_bytes()))?;
    Ok(TokenizerFile {
        file: TOKENIZER.to_owned(),
        sha256: files::sha256(&path)?,
        context_length: checkpoint.config.text.context_length,
    })
}
