//! `clip.json`: everything the runtime needs to know about an exported model folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files;
use crate::preprocess::Preprocess;

/// The name of the manifest in a model folder.
pub const FILE: &str = "clip.json";

/// The schema version that this build writes and reads.
pub const SCHEMA: u64 = 1;

/// Describes a model folder. Unknown fields are errors: a reader that does not know a field must not guess.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this schema, [`SCHEMA`].
    pub schema: u64,
    /// Program and version that wrote the folder.
    pub producer: String,
    /// Human-readable name of the model.
    pub model: String,
    /// Width of the embeddings.
    pub embed_dim: usize,
    /// Factor on cosine similarities before the softmax (already exponentiated; 100 for OpenAI's models).
    pub logit_scale: f32,
    /// How an image becomes the image tower's input.
    pub preprocess: Preprocess,
    /// How a text becomes the text tower's input.
    pub tokenizer: TokenizerFile,
    /// The image tower.
    pub image: Encoder,
    /// The text tower.
    pub text: Encoder,
}

/// The tokenizer of a model folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerFile {
    /// File name inside the folder.
    pub file: String,
    /// Lower-case hex SHA-256 of the file.
    pub sha256: String,
    /// Longest sequence of ids, start and end included.
    pub context_length: usize,
}

/// One tower as a file that an engine runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoder {
    /// File name inside the folder.
    pub file: String,
    /// Lower-case hex SHA-256 of the file.
    pub sha256: String,
    /// What runs the file.
    pub engine: Engine,
    /// Number format of weights and arithmetic.
    pub precision: Precision,
    /// Name of the input: float32 `[B, 3, S, S]` for images, int32 `[B, L]` for texts.
    pub input: String,
    /// Name of the output: float32 `[B, embed_dim]`, rows of length one.
    pub output: String,
}

/// What runs an encoder's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// An ONNX graph, run by ONNX Runtime.
    Onnx,
}

/// Number format of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE single precision.
    Fp32,
}

impl Manifest {
    /// Reads `folder/clip.json`.
    ///
    /// # Errors
    /// [`Error::SchemaVersion`] for a version this build does not know, [`Error::Config`] for values that make no
    /// sense (a file name that leaves the folder, a logit scale that is not positive and finite).
    pub fn read(folder: &Path) -> Result<Manifest> {
        #[derive(Deserialize)]
        struct Version {
            schema: u64,
        }
        let path = folder.join(FILE);
        let bytes = files::read(&path)?;
        let json = |source| Error::Json { path: path.clone(), source };
        let Version { schema } = serde_json::from_slice(&bytes).map_err(json)?;
        if schema != SCHEMA {
            return Err(Error::SchemaVersion { path, found: schema, known: SCHEMA });
        }
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(json)?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// Writes `folder/clip.json` atomically.
    pub fn write(&self, folder: &Path) -> Result<()> {
        self.validate()?;
        let path = folder.join(FILE);
        let mut json =
            serde_json::to_vec_pretty(self).map_err(|source| Error::Json { path: path.clone(), source })?;
        json.push(b'\n');
        files::write_atomically(&path, |out| std::io::Write::write_all(out, &json))
    }

    fn validate(&self) -> Result<()> {
        let bad = |what: String| Err(Error::Config(format!("{FILE}: {what}")));
        for file in [&self.tokenizer.file, &self.image.file, &self.text.file] {
            // A manifest from elsewhere must not make us open files outside its own folder.
            if Path::new(file).components().count() != 1 || Path::new(file).file_name().is_none() {
                return bad(format!("{file:?} is not a plain file name"));
            }
        }
        if !(self.logit_scale.is_finite() && self.logit_scale > 0.0) {
            return bad(format!("logit_scale is {}, expected a positive number", self.logit_scale));
        }
        if self.embed_dim == 0 || self.embed_dim > 1 << 20 {
            return bad(format!("embed_dim is {}", self.embed_dim));
        }
        if !(3..=1 << 20).contains(&self.tokenizer.context_length) {
            return bad(format!("context_length is {}", self.tokenizer.context_length));
        }
        self.preprocess.validate()
    }
}

/// The path of `file` inside `folder`, after checking that its content has the `sha256` of the manifest.
pub fn verified(folder: &Path, file: &str, sha256: &str) -> Result<PathBuf> {
    let path = folder.join(file);
    let found = files::sha256(&path)?;
    if found != sha256 {
        return Err(Error::Hash { path, expected: sha256.to_owned(), found });
    }
    Ok(path)
}
