//! Writes an open checkpoint in the layout of OpenCLIP's or of Hugging Face's hub.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo};

use super::{huggingface, open_clip};
use crate::checkpoint::{Checkpoint, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS};
use crate::error::{Error, Result};
use crate::files;
use crate::openclip::OpenClip;
use crate::shapes::summarize;
use crate::weights::{Dtype, Origin};

/// A layout in which checkpoints are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `open_clip_config.json` and `open_clip_model.safetensors`.
    OpenClip,
    /// `config.json`, `model.safetensors`, `preprocessor_config.json`.
    HuggingFace,
}

/// Where the values of a tensor to be written come from.
enum Source {
    /// Rows of one of our tensors; all of them by default.
    Rows(String, Option<std::ops::Range<usize>>),
    /// One of our matrices, its axes exchanged.
    Transposed(String),
    /// PyTorch's count of batches seen by a batch norm, which OpenCLIP insists on finding.
    Counter,
}

struct Tensor {
    name: String,
    shape: Vec<usize>,
    source: Source,
}

impl Checkpoint {
    /// Writes this checkpoint into a new `folder`, which appears whole or not at all: configuration, weights in single
    /// precision, tokenizer and preprocessing.
    ///
    /// # Errors
    /// [`Error::Io`] when `folder` exists or cannot be written; [`Error::Config`] for a network that `layout` has no
    /// place for; [`Error::Tokenizer`] as [`Checkpoint::tokenizer`].
    pub fn write_as(&self, folder: &Path, layout: Layout) -> Result<()> {
        let tokenizer = self.tokenizer()?;
        let mut texts = vec![
            (TOKENIZER, tokenizer.to_json()),
            (TOKENIZER_CONFIG, tokenizer.to_config_json(self.config.text.context_length)),
        ];
        if layout == Layout::HuggingFace {
            texts.push((huggingface::CONFIG, huggingface::config::write(&self.config, &tokenizer)?));
            texts.push((
                huggingface::PREPROCESSOR,
                huggingface::write_preprocessor(&self.preprocess, self.config.family),
            ));
        }
        let openclip = OpenClip {
            config: self.config.clone(),
            preprocess: self.preprocess.clone(),
            own_tokenizer: self.has_own_tokenizer(),
        };
        files::create_folder_atomically(folder, |folder| {
            for (name, text) in &texts {
                files::write_atomically(&folder.join(name), |out| out.write_all(text.as_bytes()))?;
            }
            let weights = match layout {
                Layout::OpenClip => {
                    openclip.write(folder)?;
                    folder.join(WEIGHTS)
                }
                Layout::HuggingFace => folder.join(huggingface::WEIGHTS),
            };
            self.write_weights(&weights, layout)?;
            // What was written is opened as any reader would.
            Checkpoint::open(folder).map(|_| ())
        })
    }

    fn tensors_as(&self, layout: Layout) -> Vec<Tensor> {
        let mut tensors = Vec::new();
        for ours in summarize(&self.config).tensors {
            if layout == Layout::OpenClip
                && let Some(norm) = ours.name.strip_suffix(".running_mean")
            {
                let name = format!("{norm}.num_batches_tracked");
                tensors.push(Tensor { name, shape: vec![], source: Source::Counter });
            }
            let origin = match layout {
                Layout::OpenClip => open_clip::origin(self.config.family, &ours.name),
                Layout::HuggingFace => huggingface::origin(self.config.family, &ours.name),
            };
            let mut row = 0;
            for (name, shape) in origin.sources(&ours.shape) {
                let source = match origin {
                    Origin::Transposed(_) => Source::Transposed(ours.name.clone()),
                    Origin::Same(_) | Origin::Wrapped(..) => Source::Rows(ours.name.clone(), None),
                    Origin::Stacked(_) => {
                        let rows = row..row + shape[0];
                        row = rows.end;
                        Source::Rows(ours.name.clone(), Some(rows))
                    }
                };
                tensors.push(Tensor { name: name.to_owned(), shape, source });
            }
        }
        tensors
    }

    /// Writes a safetensors file, one tensor after another.
    fn write_weights(&self, path: &Path, layout: Layout) -> Result<()> {
        let tensors = self.tensors_as(layout);
        let mut end = 0;
        let infos = tensors.iter().map(|tensor| {
            let dtype = if let Source::Counter = tensor.source { Dtype::I64 } else { Dtype::F32 };
            let start = end;
            end += tensor.shape.iter().product::<usize>() * dtype.bitsize() / 8;
            (
                tensor.name.clone(),
                TensorInfo { dtype, shape: tensor.shape.clone(), data_offsets: (start, end) },
            )
        });
        let notes = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let fail = |source| Error::Safetensors { path: path.to_owned(), source };
        let metadata = Metadata::new(Some(notes), infos.collect()).map_err(fail)?;
        let mut header =
            serde_json::to_vec(&metadata).map_err(|source| Error::Json { path: path.to_owned(), source })?;
        // Tensors begin at a multiple of eight bytes.
        header.resize(header.len().next_multiple_of(8), b' ');
        files::write_atomically(path, |out| {
            out.write_all(&(header.len() as u64).to_le_bytes())?;
            out.write_all(&header)?;
            for tensor in &tensors {
                match &tensor.source {
                    Source::Counter => out.write_all(&0i64.to_le_bytes())?,
                    Source::Rows(name, rows) => {
                        self.tensor(name)?.read_f32(rows.clone(), &mut |bytes| out.write_all(bytes))?;
                    }
                    Source::Transposed(name) => {
                        let ours = self.tensor(name)?;
                        let (values, columns) = (ours.to_f32()?, ours.shape[1]);
                        for column in 0..columns {
                            for value in values.iter().skip(column).step_by(columns) {
                                out.write_all(&value.to_le_bytes())?;
                            }
                        }
                    }
                }
            }
            Ok(())
        })
    }
}
