//! Text to token ids: OpenAI's tokenizer built in, or any `tokenizer.json`.
//!
//! - [`Tokenizer::openai`] gives the ids of `open_clip.tokenize` and `clip.tokenize`.
//! - [`Tokenizer::open`] gives the ids of Hugging Face's fast tokenizer for that file. A file that [`Tokenizer::to_json`] wrote
//!   for the built-in tokenizer is opened as the built-in one.
//! - [`Tokenizer::with_cleaning`] says what is done to texts before: OpenCLIP cleans them for the tokenizers of others, too, and
//!   transformers leaves that to the file, so that the same file gives other ids in other hands.
//! - SigLIP's are files too, which know no start token and pad every text; `clip-checkpoint` completes them.
//! - [`train`] makes a new vocabulary of the same kind.
//!
//! Ids are `i32`, as the networks take them.

mod bpe;
mod charsmap;
mod clean;
mod file;
mod front;
mod html;
mod json;
mod limits;
mod mojibake;
mod train;

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::excerpt::excerpt;
use crate::files;
use bpe::Bpe;
pub use clean::Cleaning;
use file::FileTokenizer;
pub use train::train;

/// A tokenizer; cheap to clone, and shareable between threads.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    kind: Kind,
    cleaning: Cleaning,
}

#[derive(Debug, Clone)]
enum Kind {
    OpenAi(&'static Bpe),
    File(Arc<FileTokenizer>),
}

/// Several texts as token ids, padded to one length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBatch {
    /// The ids, row by row: `[rows, length]`.
    pub ids: Vec<i32>,
    /// How many texts.
    pub rows: usize,
    /// Tokens in each row, start and end included.
    pub length: usize,
}

impl Tokenizer {
    /// OpenAI's tokenizer with its 49,408 tokens.
    pub fn openai() -> Self {
        Tokenizer { kind: Kind::OpenAi(Bpe::openai()), cleaning: Cleaning::Lower }
    }

    /// The tokenizer of a `tokenizer.json`.
    ///
    /// # Errors
    /// As [`files::read_text`] and [`Tokenizer::from_json`].
    pub fn open(path: &Path) -> Result<Self> {
        let json = files::read_text(path)?;
        Self::from_json(&json).map_err(|e| match e {
            Error::Tokenizer(reason) => Error::Tokenizer(format!("{}: {reason}", path.display())),
            other => other,
        })
    }

    /// The tokenizer of a `vocab.json` and a `merges.txt` in `folder`, as Hugging Face's CLIP tokenizers had them before
    /// there was `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Json`] when a file cannot be read, [`Error::Tokenizer`] when it is not such a one.
    pub fn open_vocabulary(folder: &Path) -> Result<Self> {
        let (vocabulary, merges) = (folder.join("vocab.json"), folder.join("merges.txt"));
        let ids = serde_json::from_str(&files::read_text(&vocabulary)?)
            .map_err(|source| Error::Json { path: vocabulary.clone(), source })?;
        let json = json::from_vocabulary(&ids, &files::read_text(&merges)?)
            .map_err(|reason| Error::Tokenizer(format!("{}: {}", vocabulary.display(), excerpt(&reason))))?;
        Self::from_json(&json)
    }

    /// The tokenizer that the text of a `tokenizer.json` describes.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the text describes none, or one without start and end tokens.
    pub fn from_json(json: &str) -> Result<Self> {
        if json::is_openai(json) {
            return Ok(Self::openai());
        }
        Self::of_file(json, Cleaning::None)
    }

    fn of_file(json: &str, cleaning: Cleaning) -> Result<Self> {
        Ok(Tokenizer { kind: Kind::File(Arc::new(FileTokenizer::from_json(json)?)), cleaning })
    }

    /// This tokenizer, for texts that are cleaned so before.
    ///
    /// # Errors
    /// None for a tokenizer that was opened from a file. The built-in one does its own cleaning, [`Cleaning::Lower`]; for any
    /// other it becomes the tokenizer of its file ([`Error::Tokenizer`] if that failed).
    pub fn with_cleaning(self, cleaning: Cleaning) -> Result<Self> {
        match self.kind {
            Kind::OpenAi(_) if cleaning != Cleaning::Lower => Self::of_file(&json::openai(), cleaning),
            Kind::File(file) if cleaning == Cleaning::Lower && json::is_openai(&file.json) => {
                Ok(Self::openai())
            }
            kind => Ok(Tokenizer { kind, cleaning }),
        }
    }

    /// What is done to a text before.
    pub fn cleaning(&self) -> Cleaning {
        self.cleaning
    }

    /// The token ids of `text`: start, the tokens, end. At most `context_length` ids: a longer text is cut, and
    /// its last id is the end all the same. (A `context_length` that leaves no room gives the end only.)
    pub fn encode(&self, text: &str, context_length: usize) -> Vec<i32> {
        let around = 1 + usize::from(self.start_id().is_some());
        let room = context_length.saturating_sub(around);
        let tokens: Vec<i32> = match &self.kind {
            Kind::OpenAi(bpe) => bpe.encode(text, room).into_iter().map(i32::from).collect(),
            Kind::File(file) => file.encode(text, room, self.cleaning),
        };
        let mut ids = Vec::with_capacity(around + tokens.len().min(room));
        if context_length >= around {
            ids.extend(self.start_id());
        }
        ids.extend(tokens.into_iter().take(room));
        ids.push(self.end_id());
        ids
    }

    /// [`Tokenizer::encode`], padded to `context_length`: as SigLIP's text tower takes texts.
    pub fn encode_padded(&self, text: &str, context_length: usize) -> Vec<i32> {
        self.padded(self.encode(text, context_length), context_length)
    }

    fn padded(&self, mut ids: Vec<i32>, length: usize) -> Vec<i32> {
        let missing = length.saturating_sub(ids.len());
        ids.resize(ids.len() + missing, self.pad_id());
        if self.pads_in_front() {
            ids.rotate_right(missing);
        }
        ids
    }

    /// [`Tokenizer::encode`] for many texts, padded to the longest of them; SigLIP's, to `context_length`.
    pub fn encode_batch(&self, texts: &[impl AsRef<str>], context_length: usize) -> TokenBatch {
        let encoded: Vec<_> = texts.iter().map(|text| self.encode(text.as_ref(), context_length)).collect();
        let longest = encoded.iter().map(Vec::len).max().unwrap_or(0);
        let length = if self.start_id().is_none() { context_length } else { longest };
        let rows = encoded.len();
        let ids = encoded.into_iter().flat_map(|row| self.padded(row, length)).collect();
        TokenBatch { ids, rows, length }
    }

    /// Whether this is OpenAI's tokenizer, built in or read from a file that [`Tokenizer::to_json`] wrote for it.
    pub fn is_openai(&self) -> bool {
        matches!(self.kind, Kind::OpenAi(_))
    }

    /// The number of token ids: every id is below it.
    pub fn vocab_size(&self) -> usize {
        match &self.kind {
            Kind::OpenAi(_) => usize::from(bpe::END) + 1,
            Kind::File(file) => file.vocab_size,
        }
    }

    /// The id that begins every text; SigLIP's begin with none.
    pub fn start_id(&self) -> Option<i32> {
        match &self.kind {
            Kind::OpenAi(_) => Some(i32::from(bpe::START)),
            Kind::File(file) => file.start,
        }
    }

    /// The id that ends every text; CLIP takes its text feature there.
    pub fn end_id(&self) -> i32 {
        match &self.kind {
            Kind::OpenAi(_) => i32::from(bpe::END),
            Kind::File(file) => file.end,
        }
    }

    /// The id behind the end of a text that is shorter than others: 0 in OpenAI's tokenizer, else what the file
    /// says, or the end once more. CLIP's text tower is causal, so that it has no influence there.
    pub fn pad_id(&self) -> i32 {
        match &self.kind {
            Kind::OpenAi(_) => 0,
            Kind::File(file) => file.pad,
        }
    }

    /// A `tokenizer_config.json` to stand beside [`Tokenizer::to_json`]: what transformers, and OpenCLIP through it, want
    /// to know besides, above all what to pad with. After CLIP's texts that is the end once more, which is harmless, as the
    /// first end counts.
    pub fn to_config_json(&self, context_length: usize) -> String {
        json::config(self.special_names(), self.pads_in_front(), context_length)
    }

    /// What [`Tokenizer::to_config_json`] calls the tokens that begin a text, end it and pad it. SigLIP's begin with none.
    pub fn special_names(&self) -> [Option<String>; 3] {
        match &self.kind {
            Kind::OpenAi(_) => [json::START, json::END, json::END].map(|name| Some(name.to_owned())),
            Kind::File(file) => {
                let pad = if file.start.is_some() { file.end } else { file.pad };
                [file.start, Some(file.end), Some(pad)].map(|id| file.token(id?))
            }
        }
    }

    /// Whether padding goes in front of a text and not behind it; CLIP's always goes behind.
    pub fn pads_in_front(&self) -> bool {
        matches!(&self.kind, Kind::File(file) if file.pads_in_front)
    }

    /// A `tokenizer.json` of this tokenizer: the one it was read from, or one for the built-in vocabulary, which
    /// Hugging Face's libraries open too, there with the simpler cleaning that the file itself describes.
    pub fn to_json(&self) -> String {
        match &self.kind {
            Kind::OpenAi(_) => json::openai(),
            Kind::File(file) => file.json.clone(),
        }
    }
}
