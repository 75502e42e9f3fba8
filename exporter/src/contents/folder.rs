//! Graphs, tokenizer and manifest of a model folder.

use std::path::Path;

use clip_model::config::Family;
use clip_model::manifest::{self, Combined, Encoder, Engine, Precision, SCHEMA, TokenizerFile};
use clip_model::{Checkpoint, Manifest, Tokenizer, files, temporary};

use super::graph_file::GraphFile;
use crate::error::Result;
use crate::graph::{self, EMBEDDING, Form, IDS, IMAGE};
use crate::onnx::Graph;
use crate::step::Step;
use crate::tower::Tower;

/// File names of the graph of both towers.
const COMBINED: [&str; 2] = ["clip.onnx", "clip.onnx.data"];
/// The tokenizer's file name.
const TOKENIZER: &str = "tokenizer.json";

/// What a model folder is to hold.
#[derive(Debug)]
pub struct Contents<'a> {
    /// What it is made from.
    pub checkpoint: &'a Checkpoint,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Factor on similarities.
    pub logit_scale: f32,
    /// Summand on them, SigLIP's.
    pub logit_bias: Option<f32>,
    /// Name of the model.
    pub model: &'a str,
    /// One encoder instead of both.
    pub only: Option<Tower>,
    /// Whether there is also one graph of both.
    pub combined: bool,
    /// What the graphs look like from outside.
    pub form: Form,
    /// Whether weights always lie beside their graphs.
    pub external_data: bool,
    /// Number format of the encoders.
    pub precision: Precision,
}

impl<'a> Contents<'a> {
    /// Both encoders in single precision.
    ///
    /// # Errors
    /// Those of the checkpoint: a logit scale or a tokenizer that cannot be used.
    pub fn of(checkpoint: &'a Checkpoint) -> Result<Contents<'a>> {
        Ok(Contents {
            checkpoint,
            tokenizer: checkpoint.tokenizer()?,
            logit_scale: checkpoint.logit_scale()?,
            logit_bias: checkpoint.logit_bias()?,
            model: "",
            only: None,
            combined: false,
            form: Form::default(),
            external_data: false,
            precision: Precision::Fp32,
        })
    }

    /// Writes graphs and tokenizer into `folder`; the manifest is given back and not written yet. `graph` makes each
    /// encoder's graph, immediately before it is written.
    ///
    /// # Errors
    /// Those of `graph`; [`Error::Write`](crate::Error::Write).
    pub fn write(
        &self,
        folder: &Path,
        steps: &mut dyn FnMut(Step),
        mut graph: impl FnMut(Tower, &mut dyn FnMut(Step)) -> Result<Graph>,
    ) -> Result<Manifest> {
        let mut encoder = |tower| match self.only {
            Some(only) if only != tower => Ok(None),
            _ => {
                let file = GraphFile::new(tower.files(), graph(tower, steps)?, self.external_data);
                self.encoder(tower, &file, folder, steps).map(Some)
            }
        };
        let (image, text) = (encoder(Tower::Image)?, encoder(Tower::Text)?);
        Ok(Manifest {
            schema: SCHEMA,
            producer: concat!("clip-export ", env!("CARGO_PKG_VERSION")).to_owned(),
            model: self.model.to_owned(),
            embed_dim: self.checkpoint.config.embed_dim,
            logit_scale: self.logit_scale,
            logit_bias: self.logit_bias,
            preprocess: self.checkpoint.preprocess.clone(),
            tokenizer: text.as_ref().map(|_| self.write_tokenizer(folder)).transpose()?,
            image,
            text,
            labels: None,
            combined: if self.combined { Some(self.write_combined(folder, steps)?) } else { None },
        })
    }

    /// Writes the graph of a tower.
    fn encoder(
        &self,
        tower: Tower,
        graph: &GraphFile,
        folder: &Path,
        steps: &mut dyn FnMut(Step),
    ) -> Result<Encoder> {
        let (sha256, data) = graph.write(self.checkpoint, folder, steps)?;
        let (input, element) = match tower {
            Tower::Image if self.form.bytes => (IMAGE, manifest::Element::Uint8),
            Tower::Image => (IMAGE, manifest::Element::Float32),
            Tower::Text => (IDS, manifest::Element::Int32),
        };
        Ok(Encoder {
            file: graph.file.to_owned(),
            sha256,
            data,
            engine: Engine::Onnx,
            precision: self.precision,
            input: input.to_owned(),
            element,
            batch: self.form.batch,
            output: EMBEDDING.to_owned(),
        })
    }

    fn write_combined(&self, folder: &Path, steps: &mut dyn FnMut(Step)) -> Result<Combined> {
        let Checkpoint { config, preprocess, .. } = self.checkpoint;
        let graph = graph::combined(config, preprocess, self.logit_scale, self.logit_bias, self.form);
        let graph = if self.precision == Precision::Fp16 { graph.to_half() } else { graph };
        let graph = GraphFile::new(COMBINED, graph, self.external_data);
        let (sha256, data) = graph.write(self.checkpoint, folder, steps)?;
        Ok(Combined { file: graph.file.to_owned(), sha256, data })
    }

    fn write_tokenizer(&self, folder: &Path) -> Result<TokenizerFile> {
        Ok(TokenizerFile {
            file: TOKENIZER.to_owned(),
            sha256: files::write_hashed(&folder.join(TOKENIZER), self.tokenizer.to_json().as_bytes())?,
            context_length: self.checkpoint.config.text.context_length,
            padded: self.checkpoint.config.family == Family::SigLip,
            clean: Some(self.tokenizer.cleaning()),
        })
    }
}

/// A model folder in single precision that is only a step on the way to another one, and so is not run here: a new folder in
/// `parent`, removed when it is dropped. `change` is made to each graph.
///
/// # Errors
/// Those of [`Contents::of`] and [`Contents::write`].
pub fn draft(
    checkpoint: &Checkpoint,
    parent: &Path,
    only: Option<Tower>,
    form: Form,
    change: fn(Graph) -> Graph,
) -> Result<temporary::Folder> {
    let io = |e| clip_model::Error::io("create a folder in", parent, e);
    let folder = temporary::Folder::create_in(parent).map_err(io)?;
    let contents = Contents { only, form, ..Contents::of(checkpoint)? };
    let Checkpoint { config, preprocess, .. } = checkpoint;
    let graph = |tower, _: &mut dyn FnMut(Step)| Ok(change(graph::encoder(tower, config, preprocess, form)));
    contents.write(folder.path(), &mut |_| {}, graph)?.write(folder.path())?;
    Ok(folder)
}
