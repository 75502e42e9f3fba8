//! A model folder while its files are written: graphs, tokenizer, and what the manifest says of them.

use std::path::Path;

use clip_checkpoint::Checkpoint;
use clip_model::config::Family;
use clip_model::manifest::{self, Combined, Encoder, Engine, Precision, SCHEMA, TokenizerFile};
use clip_model::{Manifest, Tokenizer, files, temporary};

use super::graph_file;
use crate::error::Result;
use crate::graph::{self, EMBEDDING, Form, IDS, IMAGE};
use crate::onnx::Graph;
use crate::step::Step;
use crate::tower::Tower;

/// File names of the graph of both towers.
const COMBINED: [&str; 2] = ["clip.onnx", "clip.onnx.data"];
/// The tokenizer's file name.
const TOKENIZER: &str = "tokenizer.json";

/// A model folder that is being filled.
pub struct Folder<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// What it is made from.
    pub checkpoint: &'a Checkpoint,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// What it holds so far; to be written at the end.
    pub manifest: Manifest,
    /// What the graphs look like from outside.
    pub form: Form,
    /// Whether weights always lie beside their graphs.
    external_data: bool,
    /// Is told what is being done.
    pub steps: &'a mut dyn FnMut(Step),
}

impl<'a> Folder<'a> {
    /// An empty one.
    ///
    /// # Errors
    /// Those of the checkpoint: a logit scale or a tokenizer that cannot be used.
    pub fn new(
        path: &'a Path,
        checkpoint: &'a Checkpoint,
        form: Form,
        external_data: bool,
        steps: &'a mut dyn FnMut(Step),
    ) -> Result<Folder<'a>> {
        let manifest = Manifest {
            schema: SCHEMA,
            producer: concat!("clip-export ", env!("CARGO_PKG_VERSION")).to_owned(),
            model: String::new(),
            embed_dim: checkpoint.config.embed_dim,
            logit_scale: checkpoint.logit_scale()?,
            logit_bias: checkpoint.logit_bias()?,
            preprocess: checkpoint.preprocess.clone(),
            tokenizer: None,
            image: None,
            text: None,
            labels: None,
            combined: None,
            classifier: None,
            camera: None,
        };
        let tokenizer = checkpoint.tokenizer()?;
        Ok(Folder { path, checkpoint, tokenizer, manifest, form, external_data, steps })
    }

    /// Adds the encoder of a tower, and with that of texts the tokenizer.
    ///
    /// # Errors
    /// [`Error::Write`](crate::Error::Write); [`Error::Model`](crate::Error::Model) for the tokenizer.
    pub fn add_encoder(&mut self, tower: Tower, graph: &Graph, precision: Precision) -> Result<()> {
        let (file, sha256, data) = self.write(graph, tower.files())?;
        let (input, element) = match tower {
            Tower::Image if self.form.bytes => (IMAGE, manifest::Element::Uint8),
            Tower::Image => (IMAGE, manifest::Element::Float32),
            Tower::Text => (IDS, manifest::Element::Int32),
        };
        let (engine, batch) = (Engine::Onnx {}, self.form.batch);
        let (input, output) = (manifest::Input::new(input, element), EMBEDDING.to_owned());
        let encoder = Some(Encoder { file, sha256, data, engine, precision, input, batch, output });
        match tower {
            Tower::Image => self.manifest.image = encoder,
            Tower::Text => {
                self.manifest.text = encoder;
                self.manifest.tokenizer = Some(self.write_tokenizer()?);
            }
        }
        Ok(())
    }

    /// Adds one graph of both towers, after `change`.
    ///
    /// # Errors
    /// [`Error::Write`](crate::Error::Write).
    pub fn add_combined(&mut self, change: impl Fn(Graph) -> Graph) -> Result<()> {
        let (Checkpoint { config, preprocess, .. }, manifest) = (self.checkpoint, &self.manifest);
        let (scale, bias) = (manifest.logit_scale, manifest.logit_bias);
        let graph = change(graph::combined(config, preprocess, scale, bias, self.form));
        let (file, sha256, data) = self.write(&graph, COMBINED)?;
        self.manifest.combined = Some(Combined { file, sha256, data });
        Ok(())
    }

    /// Writes a graph into these two files, the second of which may not be needed; gives back the first, its SHA-256, and the
    /// second.
    ///
    /// # Errors
    /// [`Error::Write`](crate::Error::Write).
    pub fn write(
        &mut self,
        graph: &Graph,
        files: [&'static str; 2],
    ) -> Result<(String, String, Vec<manifest::DataFile>)> {
        let (sha256, data) =
            graph_file::write(graph, files, self.external_data, self.checkpoint, self.path, self.steps)?;
        Ok((files[0].to_owned(), sha256, data))
    }

    fn write_tokenizer(&self) -> Result<TokenizerFile> {
        let config = &self.checkpoint.config;
        Ok(TokenizerFile {
            file: TOKENIZER.to_owned(),
            sha256: files::write_hashed(&self.path.join(TOKENIZER), self.tokenizer.to_json().as_bytes())?,
            context_length: config.text.context_length,
            padded: config.family == Family::SigLip,
            clean: Some(self.tokenizer.cleaning()),
        })
    }
}

/// A model folder in single precision that is only a step on the way to another one, and so is not run here: a new folder in
/// `parent`, removed when it is dropped. `change` is made to each graph.
///
/// # Errors
/// Those of [`Folder`].
pub fn draft(
    checkpoint: &Checkpoint,
    parent: &Path,
    towers: &[Tower],
    form: Form,
    change: fn(Graph) -> Graph,
) -> Result<temporary::Folder> {
    let io = |e| clip_model::Error::io("create a folder in", parent, e);
    let temporary = temporary::Folder::create_in(parent).map_err(io)?;
    let mut nobody = |_| {};
    let mut folder = Folder::new(temporary.path(), checkpoint, form, false, &mut nobody)?;
    for &tower in towers {
        let graph = graph::encoder(tower, &checkpoint.config, &checkpoint.preprocess, form);
        folder.add_encoder(tower, &change(graph), Precision::Fp32)?;
    }
    folder.manifest.write(temporary.path())?;
    Ok(temporary)
}
