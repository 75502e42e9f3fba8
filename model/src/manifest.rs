//! `clip.json`: everything the runtime needs to know about an exported model folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::excerpt::excerpt;
use crate::files;
use crate::preprocess::Preprocess;
use crate::tokenizer::{Cleaning, Tokenizer};

/// The name of the manifest in a model folder.
pub const FILE: &str = "clip.json";

/// The schema version that this build writes and reads.
pub const SCHEMA: u64 = 1;

/// The name of the report that an export's verification may leave in a model folder. It is for people: nothing that
/// opens the folder reads it, so it has no hash.
pub const REPORT: &str = "report.json";

/// The name of the record that a check of a folder may leave in it, so that the next one need not read unchanged files
/// again. It is only believed together with the files' own sizes and times, so it has no hash.
pub const CHECKED: &str = ".checked.json";

/// Largest fixed batch that [`Manifest::read`] accepts.
pub const MAX_BATCH: usize = 4096;

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
    /// Factor on cosine similarities (already exponentiated; 100 for OpenAI's models).
    pub logit_scale: f32,
    /// Summand on scaled similarities. Where it is, each label has a probability of its own, by a sigmoid (SigLIP); else
    /// the probabilities of all labels add up to one, by a softmax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logit_bias: Option<f32>,
    /// How an image becomes the image tower's input.
    pub preprocess: Preprocess,
    /// How a text becomes the text tower's input; there when [`Manifest::text`] is, and only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerFile>,
    /// The image tower, unless only texts are encoded. At least one of the two is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Encoder>,
    /// The text tower, unless only images are encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Encoder>,
    /// A label set that was encoded when the folder was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelsFile>,
    /// Both towers as one graph, for other programs: nothing of ours runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combined: Option<Combined>,
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
    /// Whether every text is padded to that length, since all of its tokens count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub padded: bool,
    /// What is done to a text before its tokens are looked for. Folders of older versions do not say: there it is
    /// [`Cleaning::Lower`] for the file that this crate writes for OpenAI's vocabulary, else [`Cleaning::None`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean: Option<Cleaning>,
}

impl TokenizerFile {
    /// The tokenizer in `path`, this entry's file, with the cleaning of this entry.
    ///
    /// # Errors
    /// As [`Tokenizer::open`].
    pub fn open(&self, path: &Path) -> Result<Tokenizer> {
        let tokenizer = Tokenizer::open(path)?;
        match self.clean {
            Some(cleaning) => tokenizer.with_cleaning(cleaning),
            None => Ok(tokenizer),
        }
    }
}

/// One tower as a file that an engine runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoder {
    /// File name inside the folder.
    pub file: String,
    /// Lower-case hex SHA-256 of the file.
    pub sha256: String,
    /// Files beside it that hold its weights; none when they are inside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataFile>,
    /// What runs the file.
    pub engine: Engine,
    /// Number format of weights and arithmetic.
    pub precision: Precision,
    /// Name of the input.
    pub input: String,
    /// What the input holds, and so its shape.
    pub element: Element,
    /// Images or texts that every run must have; any number when it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Name of the output: float32 `[B, embed_dim]`, rows of length one.
    pub output: String,
}

/// A file of weights beside a graph, which names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// File name inside the folder.
    pub file: String,
    /// Lower-case hex SHA-256 of the file.
    pub sha256: String,
}

/// A label set of a model folder, see [`crate::labels`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelsFile {
    /// File name inside the folder.
    pub file: String,
    /// Lower-case hex SHA-256 of the file.
    pub sha256: String,
    /// Labels in it.
    pub count: usize,
}

/// The graph that holds both towers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Combined {
    /// File name inside the folder.
    pub file: String,
    /// Lower-case hex SHA-256 of the file.
    pub sha256: String,
    /// Files beside it that hold its weights; none when they are inside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataFile>,
}

/// What an encoder's input holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Element {
    /// An image tower takes `[B, 3, S, S]`: channels normalised as [`Manifest::preprocess`] says.
    Float32,
    /// An image tower takes `[B, S, S, 3]`: packed bytes red, green, blue, which it normalises itself.
    Uint8,
    /// A text tower takes `[B, L]`: token ids; `L` is the context length when [`TokenizerFile::padded`].
    Int32,
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
    /// IEEE half precision, single where half would overflow or lose.
    Fp16,
    /// 8-bit integers by way of QuantizeLinear and DequantizeLinear, float where integers would lose.
    Int8,
}

impl Precision {
    /// As the manifest and the command line call it.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Fp32 => "fp32",
            Precision::Fp16 => "fp16",
            Precision::Int8 => "int8",
        }
    }
}

impl Manifest {
    /// Reads `folder/clip.json`.
    ///
    /// # Errors
    /// [`Error::SchemaVersion`] for a version this build does not know, [`Error::Config`] for values that make no
    /// sense (a file name that leaves the folder, a logit scale that is not positive and finite, no encoder at all).
    pub fn read(folder: &Path) -> Result<Manifest> {
        #[derive(Deserialize)]
        struct Version {
            schema: u64,
        }
        let path = folder.join(FILE);
        let bytes = files::read(&path, files::TEXT_LIMIT)?;
        let json = |source| Error::json(&path, source);
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

    /// The names of all files that a folder with this manifest may hold, the manifest, [`REPORT`] and [`CHECKED`] included.
    pub fn files(&self) -> Vec<&str> {
        let towers = self.image.iter().chain(&self.text);
        let towers = towers.flat_map(|e| std::iter::once(&e.file).chain(e.data.iter().map(|d| &d.file)));
        let combined = self.combined.iter();
        let combined = combined.flat_map(|c| std::iter::once(&c.file).chain(c.data.iter().map(|d| &d.file)));
        let tokenizer = self.tokenizer.iter().map(|t| &t.file);
        let labels = self.labels.iter().map(|l| &l.file);
        let listed = towers.chain(combined).chain(tokenizer).chain(labels);
        [FILE, REPORT, CHECKED].into_iter().chain(listed.map(String::as_str)).collect()
    }

    fn validate(&self) -> Result<()> {
        let bad = |what: String| Err(Error::Config(format!("{FILE}: {what}")));
        for file in self.files() {
            // A manifest from elsewhere must not make us open files outside its own folder.
            if Path::new(file).components().count() != 1 || Path::new(file).file_name().is_none() {
                return bad(format!("{:?} is not a plain file name", excerpt(file)));
            }
        }
        if !(self.logit_scale.is_finite() && self.logit_scale > 0.0) {
            return bad(format!("logit_scale is {}, expected a positive number", self.logit_scale));
        }
        if self.logit_bias.is_some_and(|bias| !bias.is_finite()) {
            return bad("logit_bias is not a finite number".to_owned());
        }
        if self.embed_dim == 0 || self.embed_dim > 1 << 20 {
            return bad(format!("embed_dim is {}", self.embed_dim));
        }
        if self.image.is_none() && self.text.is_none() {
            return bad("there is neither an image nor a text encoder".to_owned());
        }
        if self.text.is_some() != self.tokenizer.is_some() {
            return bad("a text encoder and a tokenizer belong together, and one is missing".to_owned());
        }
        let towers = [
            ("image", &self.image, &[Element::Float32, Element::Uint8][..]),
            ("text", &self.text, &[Element::Int32]),
        ];
        for (name, encoder, elements) in towers {
            let Some(encoder) = encoder else { continue };
            if !elements.contains(&encoder.element) {
                return bad(format!("the {name} encoder takes {:?}, expected {elements:?}", encoder.element));
            }
            if encoder.batch.is_some_and(|n| !(1..=MAX_BATCH).contains(&n)) {
                return bad(format!(
                    "the {name} encoder's batch is {:?}, expected 1 to {MAX_BATCH}",
                    encoder.batch
                ));
            }
        }
        if let Some(tokenizer) = &self.tokenizer
            && !(3..=1 << 20).contains(&tokenizer.context_length)
        {
            return bad(format!("context_length is {}", tokenizer.context_length));
        }
        if self.labels.as_ref().is_some_and(|labels| labels.count == 0) {
            return bad("the label set has no label".to_owned());
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
