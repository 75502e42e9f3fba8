//! How a manifest describes one tower: the file, what runs it, and what goes in and comes out.

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files;

use super::graph::{DataFile, Graph};
use super::plan::Plan;

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
    /// The input.
    pub input: Input,
    /// Images or texts that every run must have; any number when it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Name of the output: float32 `[B, embed_dim]`, rows of length one.
    pub output: String,
}

impl Encoder {
    /// Reads what [`Encoder::write`] has written.
    ///
    /// # Errors
    /// [`Error::Io`] and its like, and [`Error::Json`] for what is none.
    pub fn read(path: &Path) -> Result<Encoder> {
        serde_json::from_slice(&files::read(path, files::TEXT_LIMIT)?).map_err(|e| Error::json(path, e))
    }

    /// Writes the description of an encoder that is kept by itself, beside its file, as the manifest has it; atomically.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(self).map_err(|e| Error::json(path, e))?;
        files::write_atomically(path, |out| out.write_all(&json))
    }

    /// Name and SHA-256 of the file that runs and of those beside it.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        let beside = self.data.iter().map(|data| (data.file.as_str(), data.sha256.as_str()));
        std::iter::once((self.file.as_str(), self.sha256.as_str())).chain(beside)
    }

    /// Name and SHA-256 of all its files: those of [`Encoder::files`] and the graph that a plan was built of.
    pub fn all_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().chain(self.plan().into_iter().flat_map(|plan| plan.graph.files()))
    }

    /// The plan that runs, where it is one.
    pub fn plan(&self) -> Option<&Plan> {
        match &self.engine {
            Engine::Onnx {} => None,
            Engine::TensorRt(plan) => Some(plan),
        }
    }

    /// The ONNX graph: what runs, or what that was built of.
    pub fn graph(&self) -> Graph {
        match &self.engine {
            Engine::Onnx {} => {
                Graph { file: self.file.clone(), sha256: self.sha256.clone(), data: self.data.clone() }
            }
            Engine::TensorRt(plan) => plan.graph.clone(),
        }
    }

    /// The same encoder by its graph instead of its plan.
    pub fn without_plan(&self) -> Encoder {
        let Graph { file, sha256, data } = self.graph();
        Encoder { file, sha256, data, engine: Engine::Onnx {}, ..self.clone() }
    }
}

/// What runs an encoder's file, and what that depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum Engine {
    /// An ONNX graph, which depends on nothing: ONNX Runtime runs it, whatever its version and the machine.
    Onnx {},
    /// A plan of TensorRT or TensorRT-RTX.
    #[serde(rename = "tensorrt")]
    TensorRt(Box<Plan>),
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

/// An encoder's input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name in the file.
    pub name: String,
    /// The order of its axes.
    pub layout: Layout,
    /// What each of its elements is. Each has one layout, see [`Layout::of`], but for [`Layout::Planes`].
    pub element: Element,
}

impl Input {
    /// The input of that name for these elements, in their layout.
    pub fn new(name: &str, element: Element) -> Input {
        Input { name: name.to_owned(), layout: Layout::of(element), element }
    }
}

/// The order of an input's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `[B, 3, S, S]`: images, each channel by itself.
    Nchw,
    /// `[B, S, S, 3]`: images, the three channels of each pixel together.
    Nhwc,
    /// `[B, rows, bytes of a row]`: a plane of a camera's frame as it lies in memory, padding included; see [`super::Camera`].
    Planes,
    /// `[B, L]`: texts; `L` is the context length where the tokenizer pads to it.
    Tokens,
}

impl Layout {
    /// The layout in which encoders take elements of this kind.
    pub fn of(element: Element) -> Layout {
        match element {
            Element::Float32 => Layout::Nchw,
            Element::Uint8 => Layout::Nhwc,
            Element::Int32 => Layout::Tokens,
        }
    }
}

/// What an element of an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Element {
    /// A channel of a pixel, normalised as the manifest's preprocessing says.
    Float32,
    /// A channel of a pixel as it is, red, green or blue: the encoder normalises it.
    Uint8,
    /// A token id.
    Int32,
}

impl Element {
    /// As the manifest calls it.
    pub fn name(self) -> &'static str {
        match self {
            Element::Float32 => "float32",
            Element::Uint8 => "uint8",
            Element::Int32 => "int32",
        }
    }
}
