//! `clip.json`: everything the runtime needs to know about an exported model folder.

mod camera;
mod classifier;
mod encoder;
mod graph;
mod model_id;
mod plan;

use std::iter::once;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::excerpt::excerpt;
use crate::files;
use crate::preprocess::Preprocess;
use crate::tokenizer::{Cleaning, Tokenizer};
pub use camera::Camera;
pub use classifier::{Classifier, Values};
pub use encoder::{Element, Encoder, Engine, Input, Layout, Precision};
pub use graph::{DataFile, Graph};
pub use model_id::ModelId;
pub use plan::{Build, Plan, Sizes};

/// The name of the manifest in a model folder.
pub const FILE: &str = "clip.json";

/// The schema version that this build writes.
pub const SCHEMA: u64 = 4;

/// The schema versions that this build reads.
pub const SCHEMAS: RangeInclusive<u64> = 1..=SCHEMA;

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
    /// Version of this schema, [`SCHEMA`]: a manifest of an older one is brought to this when it is read.
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
    /// The image tower and the label set as one graph, for other programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<Classifier>,
    /// The image tower for the frames of one camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<Camera>,
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
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Tokenizer> {
        let tokenizer = Tokenizer::open(path.as_ref())?;
        match self.clean {
            Some(cleaning) => tokenizer.with_cleaning(cleaning),
            None => Ok(tokenizer),
        }
    }
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

impl Manifest {
    /// Reads `folder/clip.json`.
    ///
    /// # Errors
    /// [`Error::SchemaVersion`] for a version that is not among [`SCHEMAS`], whatever else the file holds; [`Error::Config`] for
    /// values that make no sense (a file name that leaves the folder, a logit scale that is not positive and finite, no encoder
    /// at all).
    pub fn read(folder: impl AsRef<Path>) -> Result<Manifest> {
        Self::read_file(folder.as_ref().join(FILE))
    }

    fn read_file(path: PathBuf) -> Result<Manifest> {
        #[derive(Deserialize)]
        struct Version {
            schema: u64,
        }
        let json = |e| Error::json(&path, e);
        let mut bytes = files::read(&path, files::TEXT_LIMIT)?;
        let Version { schema } = serde_json::from_slice(&bytes).map_err(json)?;
        if !SCHEMAS.contains(&schema) {
            return Err(Error::SchemaVersion { path, found: schema, known: SCHEMAS });
        }
        if schema == 1 {
            // Written anew, and not parsed from the values, which would be a second parser in every program.
            bytes = serde_json::to_vec(&of_schema_1(serde_json::from_slice(&bytes).map_err(json)?))
                .map_err(json)?;
        }
        let mut manifest: Manifest = serde_json::from_slice(&bytes).map_err(|e| match schema {
            // The place would be that in a file that nobody has.
            1 => json(serde_json::Error::custom(format!("{}, read as schema 1", without_place(&e)))),
            _ => json(e),
        })?;
        // What schema 2 can say, later ones say in the same words.
        let plan = manifest.towers().any(|(_, encoder)| encoder.plan().is_some());
        let newer = [
            (4, manifest.camera.is_some(), "field `camera`"),
            (3, manifest.classifier.is_some(), "field `classifier`"),
            (3, plan, "engine `tensorrt`"),
        ];
        if let Some((_, _, unknown)) = newer.into_iter().find(|(since, there, _)| *there && schema < *since) {
            let unknown = format!("unknown {unknown}, read as schema {schema}");
            return Err(json(serde_json::Error::custom(unknown)));
        }
        manifest.schema = SCHEMA;
        manifest.validate()?;
        Ok(manifest)
    }

    /// Writes `folder/clip.json` atomically.
    ///
    /// # Errors
    /// [`Error::Config`] for what [`Manifest::read`] would refuse; [`Error::Io`].
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<()> {
        self.validate()?;
        let path = folder.as_ref().join(FILE);
        let mut json = serde_json::to_vec_pretty(self).map_err(|e| Error::json(&path, e))?;
        json.push(b'\n');
        files::write_atomically(&path, |out| std::io::Write::write_all(out, &json))
    }

    /// The names of all files that a folder with this manifest may hold, the manifest, [`REPORT`] and [`CHECKED`] included.
    pub fn files(&self) -> Vec<&str> {
        let towers = self.towers().flat_map(|(_, encoder)| encoder.all_files().map(|(file, _)| file));
        let combined = self.combined.iter();
        let combined = combined.flat_map(|c| once(&c.file).chain(c.data.iter().map(|d| &d.file)));
        let tokenizer = self.tokenizer.iter().map(|t| &t.file);
        let labels = self.labels.iter().map(|l| &l.file);
        let others = combined.chain(tokenizer).chain(labels).map(String::as_str);
        let classifier = self.classifier.iter().flat_map(Classifier::all_files).map(|(file, _)| file);
        let camera = self.camera.iter().flat_map(Camera::all_files).map(|(file, _)| file);
        [FILE, REPORT, CHECKED]
            .into_iter()
            .chain(towers)
            .chain(others)
            .chain(classifier)
            .chain(camera)
            .collect()
    }

    /// The encoders that there are, each with the name of its tower.
    pub fn towers(&self) -> impl Iterator<Item = (&'static str, &Encoder)> {
        let named = [("image", &self.image), ("text", &self.text)].into_iter();
        named.filter_map(|(name, encoder)| encoder.as_ref().map(|encoder| (name, encoder)))
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
        let camera = self.camera.iter().map(|camera| ("camera", &camera.encoder));
        let classifier = self.classifier.iter().map(|classifier| ("classifier", &classifier.encoder));
        let batches = self.towers().chain(classifier.clone()).chain(camera.clone());
        for (name, Encoder { batch, .. }) in batches {
            if batch.is_some_and(|n| !(1..=MAX_BATCH).contains(&n)) {
                let own = ["classifier", "camera"].contains(&name);
                let what = if own { name.to_owned() } else { format!("{name} encoder") };
                return bad(format!("the {what}'s batch is {batch:?}, expected 1 to {MAX_BATCH}"));
            }
        }
        for (tower, Encoder { input: Input { layout, element, .. }, .. }) in self.towers() {
            if (tower == "text") != (*element == Element::Int32) || *layout != Layout::of(*element) {
                let found = format!("{layout:?} {element:?}").to_lowercase();
                let expected = if tower == "text" { "tokens int32" } else { "nchw float32 or nhwc uint8" };
                return bad(format!("the {tower} encoder takes {found}, expected {expected}"));
            }
        }
        if let Some(Classifier { encoder, values, .. }) = &self.classifier {
            let Input { layout, element, .. } = encoder.input;
            if element != values.element() || layout != Layout::of(element) {
                let found = format!("{values:?} as {layout:?} {element:?}").to_lowercase();
                return bad(format!("the classifier takes {found}, which no classifier does"));
            }
            if self.labels.is_none() {
                return bad("there is a classifier, and no label set that it would be of".to_owned());
            }
        }
        if let Some(camera) = &self.camera {
            if let Err(reason) = camera.check() {
                return bad(format!("the camera's {reason}"));
            }
            if self.image.is_none() {
                return bad("there is a camera, and no image encoder that it would be of".to_owned());
            }
        }
        for (name, encoder) in self.towers().chain(classifier).chain(camera) {
            let Some(Plan { batch, length, .. }) = encoder.plan() else { continue };
            if !batch.are_valid(1..=MAX_BATCH) || length.is_some_and(|l| !l.are_valid(1..=1 << 20)) {
                return bad(format!("the plan of {name} is for sizes that make no sense"));
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

/// A manifest of schema 1 as one of today. An encoder named its engine in one word, its input under `input`, and said by
/// `element` what the layout is, too. What was wrong stays wrong.
fn of_schema_1(mut manifest: Value) -> Value {
    let Some(fields) = manifest.as_object_mut() else { return manifest };
    fields.insert("schema".to_owned(), SCHEMA.into());
    for tower in ["image", "text"] {
        let Some(encoder) = fields.get_mut(tower).and_then(Value::as_object_mut) else { continue };
        let [engine, name, element] = ["engine", "input", "element"].map(|field| encoder.remove(field));
        let layout = element.as_ref().and_then(|element| Element::deserialize(element).map(Layout::of).ok());
        let layout = json!(layout.unwrap_or(Layout::Nchw));
        // A field that is missing stays missing, to be named.
        let object = |fields: &[(&str, Option<Value>)]| {
            let fields = fields.iter().cloned();
            Value::from_iter(fields.filter_map(|(name, value)| Some((name.to_owned(), value?))))
        };
        let input = object(&[("name", name), ("layout", Some(layout)), ("element", element)]);
        encoder.insert("engine".to_owned(), object(&[("name", engine)]));
        encoder.insert("input".to_owned(), input);
    }
    manifest
}

/// The reason without the line and the column.
fn without_place(error: &serde_json::Error) -> String {
    let said = error.to_string();
    said.rsplit_once(" at line ").map_or(said.as_str(), |(reason, _)| reason).to_owned()
}

/// The path of `file` inside `folder`, after checking that its content has the `sha256` of the manifest.
pub fn verified(folder: impl AsRef<Path>, file: &str, sha256: &str) -> Result<PathBuf> {
    let path = folder.as_ref().join(file);
    let found = files::sha256(&path)?;
    if found != sha256 {
        return Err(Error::Hash { path, expected: sha256.to_owned(), found });
    }
    Ok(path)
}
