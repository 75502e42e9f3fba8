//! The one error type of this crate.

use std::fmt;
use std::path::PathBuf;

use clip_model::excerpt;
use clip_model::labels::Logits;

use crate::device::Device;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A part of a model folder that it can be exported without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Images to embeddings.
    ImageEncoder,
    /// Texts to embeddings.
    TextEncoder,
    /// A label set, encoded beforehand.
    StoredLabels,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::ImageEncoder => "image encoder",
            Part::TextEncoder => "text encoder",
            Part::StoredLabels => "stored labels",
        })
    }
}

/// Everything that can go wrong while a model folder is opened and run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The manifest, a hash, the tokenizer, a template or an image was refused.
    #[error(transparent)]
    Model(#[from] clip_model::Error),
    /// TensorRT or the GPU: a library, a driver or a device that is missing, or what they refuse.
    #[error(transparent)]
    TensorRt(Box<clip_tensorrt::Error>),
    /// No shared library of an engine was found, or none that can be used.
    #[error("{engine} not found: {}. To have it, {help}", list(tried))]
    LibraryNotFound {
        /// The engine.
        engine: &'static str,
        /// What was tried, in this order, and why it does not serve; names without a folder are the system's to find.
        tried: Vec<(PathBuf, String)>,
        /// How to come by one.
        help: &'static str,
    },
    /// The file that was found cannot be used as an engine's library.
    #[error("{} cannot be opened as {engine}: {reason}", path.display())]
    LibraryUnusable {
        /// The engine.
        engine: &'static str,
        /// The file.
        path: PathBuf,
        /// The dynamic linker's reason, or what the file lacks.
        reason: String,
    },
    /// The library that was found is older than this build needs.
    #[error("{} is {engine} {found}, at least {needed} is needed: {help}", path.display())]
    LibraryTooOld {
        /// The engine.
        engine: &'static str,
        /// The file.
        path: PathBuf,
        /// Its version.
        found: String,
        /// The oldest version that serves.
        needed: String,
        /// How to come by one.
        help: &'static str,
    },
    /// Another library than the one asked for was opened before; a process can hold only one of an engine.
    #[error(
        "{} was asked for, but this process has opened {} already: it can hold only one {engine}",
        asked.display(), loaded.display()
    )]
    LibraryLoaded {
        /// The engine.
        engine: &'static str,
        /// The file that was asked for.
        asked: PathBuf,
        /// The file that is open.
        loaded: PathBuf,
    },
    /// A device was asked for that the engine does not compute on.
    #[error("{device} was asked for, and {engine} does not compute there: {reason}")]
    Device {
        /// The engine.
        engine: &'static str,
        /// The device that was asked for.
        device: Device,
        /// Why, and what it computes on.
        reason: String,
    },
    /// A frame lies in memory that is not what it is said to be, or that this system does not have.
    #[error("a frame in {memory} cannot be read: {reason}")]
    Frame {
        /// The memory.
        memory: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A plan was built for another machine.
    #[error("{} does not fit this machine: {}. Build it anew of {graph}", file.display(), differs.join("; "))]
    Misfit {
        /// The plan.
        file: PathBuf,
        /// What differs, a sentence each.
        differs: Vec<String>,
        /// The graph that it was built of, a file beside it.
        graph: String,
    },
    /// An engine that runs plans was asked for, and there is only a graph.
    #[error("{} is an ONNX graph, and {engine} runs plans: build one of it", file.display())]
    NoPlan {
        /// The engine.
        engine: &'static str,
        /// The graph.
        file: PathBuf,
    },
    /// TensorRT does not take a plan, or fails to run it.
    #[error("cannot {action} {}", file.display())]
    Plan {
        /// What was attempted: `open`, `run`.
        action: &'static str,
        /// The plan.
        file: PathBuf,
        /// The reason.
        source: Box<clip_tensorrt::Error>,
    },
    /// A plan was built, or is to be, and cannot be kept.
    #[error("cannot keep plans in {} (XDG_CACHE_HOME can name another folder)", folder.display())]
    Cache {
        /// The folder.
        folder: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A text is longer than those that a plan was built for.
    #[error("text {text} has {tokens} tokens, and {} was built for at most {longest}: build it for longer ones", file.display())]
    TextLength {
        /// The plan.
        file: PathBuf,
        /// Which text of the call.
        text: usize,
        /// Its tokens, start and end included.
        tokens: usize,
        /// The most that the plan takes.
        longest: usize,
    },
    /// There is room for another number of embeddings than that of the images.
    #[error("there is room for {found} numbers, and the embeddings of {images} images have {dim} each")]
    Room {
        /// The images.
        images: usize,
        /// Numbers in an embedding.
        dim: usize,
        /// Numbers that there is room for.
        found: usize,
    },
    /// A number of threads that makes no sense.
    #[error("{found} threads were asked for, expected 1 to {limit}")]
    Threads {
        /// The number asked for.
        found: usize,
        /// The largest number accepted.
        limit: usize,
    },
    /// An engine refused a graph or failed to run it.
    #[error("{engine} cannot {action} {}: {reason}", file.display())]
    Engine {
        /// The engine.
        engine: &'static str,
        /// What was attempted: `open`, `run`, `start`.
        action: &'static str,
        /// The graph, or the library itself.
        file: PathBuf,
        /// The engine's own words.
        reason: String,
    },
    /// A model is used in a fork of the process that opened it.
    #[error(
        "the model was opened by process {opened_by}, and this is a fork of it, in which its engine's threads do not exist: \
         open the model again in this process"
    )]
    Forked {
        /// The process that opened the model.
        opened_by: u32,
    },
    /// A stream cannot be opened with such options.
    #[error("stream: {0}")]
    StreamOptions(String),
    /// A call that a stream cannot answer.
    #[error("stream: {0}")]
    StreamCall(&'static str),
    /// A stream takes no more frames.
    #[error("the stream takes no more frames: {0}")]
    StreamEnded(&'static str),
    /// A thread that is needed cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(String),
    /// A graph does not take or give what the manifest says.
    #[error("{} does not fit clip.json: clip.json asks for {expected}, the graph has {found}", file.display())]
    Mismatch {
        /// The graph.
        file: PathBuf,
        /// What follows from the manifest.
        expected: String,
        /// What the graph has.
        found: String,
    },
    /// A graph gave something that is no normalised embedding.
    #[error("{} gave an embedding of length {length} for item {row}, expected 1: the weights or the graph are damaged", file.display())]
    Embedding {
        /// The graph.
        file: PathBuf,
        /// Which image or text of the call.
        row: usize,
        /// Euclidean length of the embedding; NaN when it holds one.
        length: f32,
    },
    /// Something was asked for that the model folder was exported without.
    #[error("the model folder of {model:?} has no {what}: export it with that")]
    Missing {
        /// The manifest's name of the model.
        model: String,
        /// What the folder lacks.
        what: Part,
    },
    /// A label set without labels.
    #[error("the list of labels is empty: name at least one")]
    NoLabels,
    /// A label whose embeddings, of its texts or of its images, cancel each other, so that their mean has no direction.
    #[error("the embeddings of label {:?} cancel each other: use other templates or images", excerpt(label))]
    LabelWithoutDirection {
        /// The label.
        label: String,
    },
    /// A label set that another model encoded.
    #[error(
        "the label set was encoded by model {set_model:?}, whose files are not those of this one, {model:?}: encode the labels again"
    )]
    ForeignLabels {
        /// Name of the model that encoded the set.
        set_model: String,
        /// Name of the model that was to use it.
        model: String,
    },
    /// Numbers or names that are not as many as there have to be.
    #[error("{found} numbers for {what}, expected {expected}")]
    Count {
        /// What they are for.
        what: &'static str,
        /// How many there have to be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// An embedding that comes from outside and points nowhere.
    #[error(
        "row {row} of the embeddings has no direction: its numbers have to be finite, not all of them zero, and none too large or too small to be squared"
    )]
    Row {
        /// Which embedding, from 0.
        row: usize,
    },
    /// Logits of which no probabilities can be made.
    #[error(
        "no probabilities can be made with logit scale {}{}: both have to be finite, and the scale more than 0",
        .0.scale, .0.bias.map_or(" and no bias".to_owned(), |bias| format!(" and bias {bias}"))
    )]
    Logits(Logits),
    /// A threshold that is outside of what it is compared with.
    #[error("the threshold of the {what} is {value}, expected {least} to {most}")]
    Threshold {
        /// Of which number.
        what: &'static str,
        /// The threshold.
        value: f32,
        /// The least that the number can be.
        least: f32,
        /// The most.
        most: f32,
    },
    /// An example that is said to have a label that there is not.
    #[error(
        "an example is said to show label {index}, and there are {labels} labels besides the background, from 0 on"
    )]
    Truth {
        /// The index that is no label's.
        index: usize,
        /// How many labels there are.
        labels: usize,
    },
    /// Examples from which nothing can be learnt about probabilities.
    #[error("cannot calibrate: {0}")]
    Calibration(&'static str),
}

/// `path (reason), path (reason)`; a reason that names its path already does not get it twice.
fn list(tried: &[(PathBuf, String)]) -> String {
    let one = |(path, reason): &(PathBuf, String)| {
        let path = path.display().to_string();
        let reason = reason.strip_prefix(&format!("{path}: ")).unwrap_or(reason);
        format!("{path} ({reason})")
    };
    tried.iter().map(one).collect::<Vec<_>>().join(", ")
}
