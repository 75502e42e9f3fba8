//! A checkpoint becomes a model folder.

use std::io::{self, Write};
use std::path::Path;

use clip_model::checkpoint::{Dtype, TensorRef};
use clip_model::manifest::{Element, Encoder, Engine, Precision, SCHEMA, TokenizerFile};
use clip_model::{Checkpoint, Manifest, files};
use clip_runtime::{Clip, Image};

use crate::destination;
use crate::error::{Error, Result};
use crate::onnx::{Graph, LIMIT, Rows, Weights};
use crate::tower::{self, EMBEDDING, IDS, IMAGE};

/// File names in a model folder.
const VISUAL: &str = "visual.onnx";
const TEXT: &str = "text.onnx";
const TOKENIZER: &str = "tokenizer.json";

/// What is exported, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Human-readable name of the model, kept in its manifest.
    pub model: String,
    /// Whether a model folder that is there already may be replaced.
    pub replace: bool,
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
    /// All files are written, and the model is run once.
    Trial,
}

/// Exports both towers of `checkpoint` as float32 ONNX files, with tokenizer and manifest, into `folder`. The folder
/// appears, or replaces an older one, only after both towers have run once and given embeddings.
///
/// Weights are copied tensor by tensor; those in half precision are widened, exactly.
///
/// # Errors
/// [`Error::Exists`] and [`Error::NotAModelFolder`] for a destination that must not be overwritten;
/// [`Error::TooLarge`] when a tower does not fit into an ONNX file; [`Error::Write`] when the disk is full or a tensor
/// has an unsupported number format; [`Error::Trial`] when the exported towers do not run, or give something else
/// than embeddings (weights that are not finite), or ONNX Runtime is missing; [`Error::Model`] for the rest.
pub fn export(
    checkpoint: &Checkpoint,
    folder: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Manifest> {
    destination::check(folder, options.replace)?;
    // What can be refused is refused before anything is written.
    let tokenizer = checkpoint.tokenizer()?;
    let logit_scale = checkpoint.logit_scale()?;
    let towers = [(VISUAL, tower::image(&checkpoint.config)), (TEXT, tower::text(&checkpoint.config))];
    for (file, graph) in &towers {
        check_size(file, graph.file_size())?;
    }
    let [(_, image), (_, text)] = &towers;
    let mut written = None;
    destination::write(folder, options.replace, |folder| {
        let image = write_tower(checkpoint, image, (IMAGE, Element::Float32), folder, VISUAL, progress)?;
        let text = write_tower(checkpoint, text, (IDS, Element::Int32), folder, TEXT, progress)?;
        let json = folder.join(TOKENIZER);
        files::write_atomically(&json, |out| out.write_all(tokenizer.to_json().as_bytes()))?;
        let manifest = Manifest {
            schema: SCHEMA,
            producer: concat!("clip-export ", env!("CARGO_PKG_VERSION")).to_owned(),
            model: options.model.clone(),
            embed_dim: checkpoint.config.embed_dim,
            logit_scale,
            preprocess: checkpoint.preprocess.clone(),
            tokenizer: Some(TokenizerFile {
                file: TOKENIZER.to_owned(),
                sha256: files::sha256(&json)?,
                context_length: checkpoint.config.text.context_length,
            }),
            image: Some(image),
            text: Some(text),
            labels: None,
            combined: None,
        };
        manifest.write(folder)?;
        progress(Progress::Trial);
        trial(folder)?;
        written = Some(manifest);
        Ok(())
    })?;
    match written {
        Some(manifest) => Ok(manifest),
        None => Ok(Manifest::read(folder)?),
    }
}

fn check_size(file: &'static str, size: u64) -> Result<()> {
    if size > LIMIT { Err(Error::TooLarge { file, size, limit: LIMIT }) } else { Ok(()) }
}

fn write_tower(
    checkpoint: &Checkpoint,
    graph: &Graph,
    (input, element): (&str, Element),
    folder: &Path,
    file: &'static str,
    progress: &mut dyn FnMut(Progress),
) -> Result<Encoder> {
    let path = folder.join(file);
    let out = std::fs::File::create(&path).map_err(|source| Error::Write { path: path.clone(), source })?;
    let mut out = Counted {
        out: io::BufWriter::with_capacity(1 << 20, out),
        file,
        done: 0,
        size: graph.file_size(),
        progress,
    };
    out.report();
    let write = |out: &mut Counted<'_>| -> io::Result<()> {
        graph.write(out, &Tensors(checkpoint))?;
        out.flush()?;
        out.out.get_ref().sync_all()
    };
    write(&mut out).map_err(|source| Error::Write { path: path.clone(), source })?;
    Ok(Encoder {
        file: file.to_owned(),
        sha256: files::sha256(&path)?,
        data: Vec::new(),
        engine: Engine::Onnx,
        precision: Precision::Fp32,
        input: input.to_owned(),
        element,
        batch: None,
        output: EMBEDDING.to_owned(),
    })
}

/// A file that reports how much of it is written.
struct Counted<'a> {
    out: io::BufWriter<std::fs::File>,
    file: &'static str,
    done: u64,
    size: u64,
    progress: &'a mut dyn FnMut(Progress),
}

impl Counted<'_> {
    fn report(&mut self) {
        (self.progress)(Progress::Write { file: self.file, done: self.done, size: self.size });
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.done += n as u64;
        self.report();
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The tensors of a checkpoint as float32.
struct Tensors<'a>(&'a Checkpoint);

impl Weights for Tensors<'_> {
    fn read(&self, rows: &Rows, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        /// Elements that are widened at once.
        const PIECE: usize = 1 << 20;
        let tensor = self.0.tensor(&rows.tensor).map_err(io::Error::other)?;
        let data = match (&rows.rows, tensor.shape.first()) {
            (Some(range), Some(&count)) if count > 0 => {
                let row = tensor.data.len() / count;
                tensor.data.get(range.start * row..range.end * row).unwrap_or_default()
            }
            _ => tensor.data,
        };
        if tensor.dtype == Dtype::F32 {
            return sink(data);
        }
        let width = tensor.data.len() / tensor.shape.iter().product::<usize>().max(1);
        for piece in data.chunks(PIECE * width.max(1)) {
            let values = TensorRef { data: piece, ..tensor }
                .to_f32()
                .map_err(|e| io::Error::other(format!("{}: {e}", rows.tensor)))?;
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            sink(&bytes)?;
        }
        Ok(())
    }
}

/// Runs both towers once. The runtime refuses embeddings that are not finite or not of length one.
fn trial(folder: &Path) -> Result<()> {
    let run = || -> clip_runtime::Result<()> {
        let clip = Clip::open(folder)?;
        clip.encode_images(&[gradient()?])?;
        clip.encode_texts(&["a photo of a cat", ""])?;
        Ok(())
    };
    run().map_err(Error::Trial)
}

/// A picture with something to see in every channel.
fn gradient() -> clip_model::Result<Image> {
    const SIDE: usize = 64;
    let pixel = |i: usize| [i % SIDE * 4, i / SIDE * 4, ((i % SIDE) ^ (i / SIDE)) * 4].map(|v| v as u8);
    Image::new(SIDE, SIDE, (0..SIDE * SIDE).flat_map(pixel).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn towers_beyond_what_a_file_holds_are_refused() {
        assert!(check_size(VISUAL, LIMIT).is_ok());
        let message = check_size(VISUAL, LIMIT + 1).unwrap_err().to_string();
        assert!(message.contains("visual.onnx would have 2147483648 bytes"), "{message}");
    }

    #[test]
    fn all_nine_models_fit() {
        for name in clip_model::config::NAMES {
            let config = clip_model::Config::named(name).unwrap();
            for graph in [tower::image(&config), tower::text(&config)] {
                assert!(check_size(VISUAL, graph.file_size()).is_ok(), "{name}");
            }
        }
    }
}
