//! Writes an open checkpoint in the layout of OpenCLIP's or of Hugging Face's hub.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use clip_model::files;
use clip_model::shapes::summarize;
use safetensors::Dtype;

use super::TOKENIZER_CONFIG;
use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::layout::TOKENIZER;
use crate::layout::hugging_face;
use crate::layout::open_clip::{self, OpenClip, WEIGHTS};
use crate::weights::{End, Entry, Origin, write_safetensors};

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

impl Checkpoint {
    /// Writes this checkpoint into a new `folder`, which appears whole or not at all: configuration, weights in single
    /// precision, tokenizer and preprocessing.
    ///
    /// # Errors
    /// [`Error::Io`] when `folder` exists or cannot be written; [`Error::Config`] for a network that `layout` has no
    /// place for; [`Error::Tokenizer`] as [`Checkpoint::tokenizer`].
    ///
    /// [`Error::Io`]: clip_model::Error::Io
    /// [`Error::Config`]: crate::Error::Config
    /// [`Error::Tokenizer`]: clip_model::Error::Tokenizer
    pub fn write_as(&self, folder: impl AsRef<Path>, layout: Layout) -> Result<()> {
        let tokenizer = self.tokenizer()?;
        let mut texts = vec![
            (TOKENIZER, tokenizer.to_json()),
            (TOKENIZER_CONFIG, tokenizer.to_config_json(self.config.text.context_length)),
        ];
        if layout == Layout::HuggingFace {
            texts.push((hugging_face::CONFIG, hugging_face::config::write(&self.config, &tokenizer)?));
            texts.push((
                hugging_face::PREPROCESSOR,
                hugging_face::write_preprocessor(&self.preprocess, self.config.family),
            ));
        }
        let openclip = OpenClip {
            config: self.config.clone(),
            preprocess: self.preprocess.clone(),
            own_tokenizer: self.has_own_tokenizer(),
        };
        files::create_folder_atomically(folder.as_ref(), |folder| {
            for (name, text) in &texts {
                files::write_atomically(&folder.join(name), |out| out.write_all(text.as_bytes()))?;
            }
            let weights = match layout {
                Layout::OpenClip => {
                    openclip.write(folder)?;
                    folder.join(WEIGHTS)
                }
                Layout::HuggingFace => folder.join(hugging_face::WEIGHTS),
            };
            let tensors = self.tensors_as(layout);
            write_safetensors(&weights, End::Named, tensors, HashMap::new(), |source, out| {
                self.write_values(source, out)
            })?;
            // What was written is opened as any reader would.
            Checkpoint::open(folder).map(|_| ())
        })
    }

    fn tensors_as(&self, layout: Layout) -> Vec<(Entry, Source)> {
        let mut tensors = Vec::new();
        for ours in summarize(&self.config).tensors {
            if layout == Layout::OpenClip
                && let Some(norm) = ours.name.strip_suffix(".running_mean")
            {
                let name = format!("{norm}.num_batches_tracked");
                tensors.push((Entry { name, dtype: Dtype::I64, shape: vec![] }, Source::Counter));
            }
            let origin = match layout {
                Layout::OpenClip => open_clip::origin(self.config.family, &ours.name),
                Layout::HuggingFace => hugging_face::origin(self.config.family, &ours.name),
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
                tensors.push((Entry { name: name.to_owned(), dtype: Dtype::F32, shape }, source));
            }
        }
        tensors
    }

    fn write_values(&self, source: &Source, out: &mut dyn Write) -> io::Result<()> {
        match source {
            Source::Counter => out.write_all(&0i64.to_le_bytes()),
            Source::Rows(name, rows) => {
                self.tensor(name)?.read_f32(rows.clone(), &mut |bytes| out.write_all(bytes))
            }
            Source::Transposed(name) => {
                let ours = self.tensor(name)?;
                let (values, columns) = (ours.to_f32()?, ours.shape[1]);
                for column in 0..columns {
                    for value in values.iter().skip(column).step_by(columns) {
                        out.write_all(&value.to_le_bytes())?;
                    }
                }
                Ok(())
            }
        }
    }
}
