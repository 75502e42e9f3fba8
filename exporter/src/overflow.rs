//! Numbers that float16 cannot hold, found by running the model in float32.
//!
//! On a CPU, ONNX Runtime keeps some numbers of a float16 graph in float32, and so runs graphs that give infinities elsewhere:
//! that the exported model works here does not show that it does where half precision is computed with.

use std::path::Path;

use clip_model::manifest::{self, Element};
use clip_model::{Checkpoint, Manifest, Tokenizer, temporary};
use clip_runtime::engine::Tensor;
use half::f16;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::evaluation::{self, Inputs};
use crate::export::draft;
use crate::onnx::{Data, Graph, PEAK};
use crate::options::{Only, Options};
use crate::samples::Samples;
use crate::tower::{self, Form};

/// A number beyond float16.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overflow {
    /// The graph's file.
    file: String,
    /// Name of the value in the graph.
    value: String,
    /// Its magnitude.
    number: f32,
}

/// Fails when, on one of `samples`, the model that has `manifest` computes a number that is beyond float16. Its graphs in
/// float32 are run, in `program` when there is one, see [`crate::apart`], and lie in `parent` for as long.
///
/// # Errors
/// [`Error::Overflow`], and those of [`crate::gate::against`].
pub fn check(
    checkpoint: &Checkpoint,
    manifest: &Manifest,
    samples: &Samples,
    parent: &Path,
    program: Option<&Path>,
) -> Result<()> {
    let io = |e| clip_model::Error::io("create a folder in", parent, e);
    let temporary = temporary::Folder::create_in(parent).map_err(io)?;
    let folder = temporary.path().join("peaks");
    let only = match (&manifest.image, &manifest.text) {
        (Some(_), Some(_)) => None,
        (_, None) => Some(Only::Visual),
        (None, _) => Some(Only::Text),
    };
    let bytes = manifest.image.as_ref().is_some_and(|encoder| encoder.input.element == Element::Uint8);
    let form = Form { bytes, ..Form::default() };
    draft(checkpoint, &folder, &Options { form, only, ..Options::default() }, Graph::with_peaks)?;
    let Samples { images, texts } = samples.clone();
    let inputs = Inputs { images, texts, peaks: true, ..Inputs::default() };
    let Some(Overflow { file, value, number }) = evaluation::run(&folder, &inputs, program)?.overflow else {
        return Ok(());
    };
    let graph = match manifest.text.as_ref().is_some_and(|encoder| encoder.file == file) {
        true => tower::text(&checkpoint.config, form),
        false => tower::image(&checkpoint.config, &checkpoint.preprocess, form),
    };
    Err(Error::Overflow { behind: behind(&graph, &value), file, value, number })
}

/// The first number beyond float16 that the graphs of `folder`, each [`Graph::with_peaks`], give for `inputs`.
///
/// # Errors
/// Those of [`clip_runtime::engine`].
pub fn find(folder: &Path, inputs: &Inputs) -> clip_runtime::Result<Option<Overflow>> {
    let manifest = Manifest::read(folder)?;
    if let Some(encoder) = &manifest.image {
        let preprocess = &manifest.preprocess;
        let side = preprocess.size;
        let input = |image: &clip_model::preprocess::Image| match encoder.input.element {
            Element::Uint8 => Ok(Tensor::UInt8(vec![1, side, side, 3], image.rgb().to_vec().into())),
            _ => {
                let mut pixels = vec![0.0; 3 * side * side];
                preprocess.normalize(image, &mut pixels)?;
                Ok(Tensor::Float32(vec![1, 3, side, side], pixels.into()))
            }
        };
        let found = first(folder, encoder, inputs.images.iter().map(input))?;
        if found.is_some() {
            return Ok(found);
        }
    }
    let (Some(encoder), Some(tokenizer)) = (&manifest.text, &manifest.tokenizer) else { return Ok(None) };
    let length = tokenizer.context_length;
    let tokenizer = Tokenizer::open(&folder.join(&tokenizer.file))?;
    let input = |text: &String| {
        let batch = tokenizer.encode_batch(&[text], length);
        Ok(Tensor::Int32(vec![1, batch.length], batch.ids.into()))
    };
    first(folder, encoder, inputs.texts.iter().map(input))
}

/// The same of one graph.
fn first(
    folder: &Path,
    encoder: &manifest::Encoder,
    inputs: impl Iterator<Item = clip_runtime::Result<Tensor<'static>>>,
) -> clip_runtime::Result<Option<Overflow>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let engine = clip_runtime::Options::new().start_engine()?;
    let graph = engine.open(&folder.join(&encoder.file), threads)?;
    for input in inputs {
        for output in graph.run(&[(&encoder.input.name, &input?)])? {
            let Some(value) = output.name.strip_prefix(PEAK) else { continue };
            // What is infinite in float32 too is meant: the causal mask.
            let beyond = |n: &&f32| n.is_finite() && f16::from_f32(**n).is_infinite();
            if let Some(&number) = output.values.iter().find(beyond) {
                return Ok(Some(Overflow { file: encoder.file.clone(), value: value.to_owned(), number }));
            }
        }
    }
    Ok(None)
}

/// The checkpoint's tensor that is last read up to the node that gives `value`.
fn behind(graph: &Graph, value: &String) -> Option<String> {
    let node = graph.nodes().iter().position(|node| node.outputs.contains(value))?;
    let tensor = |name: &String| match &graph.initializer(name)?.data {
        Data::Weight(rows) => Some(rows.tensor.clone()),
        _ => None,
    };
    graph.nodes()[..=node].iter().rev().find_map(|node| node.inputs.iter().rev().find_map(tensor))
}
