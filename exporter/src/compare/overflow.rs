//! Numbers that float16 cannot hold, found by running the model in float32.
//!
//! On a CPU, ONNX Runtime keeps some numbers of a float16 graph in float32, and so runs graphs that give infinities elsewhere:
//! that the exported model works here does not show that it does where half precision is computed with.

use std::path::Path;

use clip_checkpoint::Checkpoint;
use clip_model::Manifest;
use clip_model::manifest::Element;

use super::samples::Samples;
use crate::contents::draft;
use crate::error::{Error, Result};
use crate::graph::{self, Form};
use crate::onnx::{Data, Graph};
use crate::run::{Inputs, Overflow, Runner};
use crate::tower::Tower;

/// Fails when, on one of `samples`, the model that has `manifest` computes a number that is beyond float16. Its graphs in
/// float32 are run, and lie in `parent` for as long.
///
/// # Errors
/// [`Error::Overflow`], and those of [`against`](super::against).
pub fn check(
    checkpoint: &Checkpoint,
    manifest: &Manifest,
    samples: &Samples,
    parent: &Path,
    runner: &Runner,
) -> Result<()> {
    let encoders = [(Tower::Image, &manifest.image), (Tower::Text, &manifest.text)];
    let towers = encoders.into_iter().filter(|(_, encoder)| encoder.is_some());
    let towers: Vec<Tower> = towers.map(|(tower, _)| tower).collect();
    let bytes = manifest.image.as_ref().is_some_and(|encoder| encoder.input.element == Element::Uint8);
    let form = Form { bytes, ..Form::default() };
    let folder = draft(checkpoint, parent, &towers, form, Graph::with_peaks)?;
    let Samples { images, texts } = samples.clone();
    let inputs = Inputs { images, texts, peaks: true, ..Inputs::default() };
    let Some(Overflow { tower, value, number }) = runner.run(folder.path(), &inputs)?.overflow else {
        return Ok(());
    };
    let graph = graph::encoder(tower, &checkpoint.config, &checkpoint.preprocess, form);
    let file = tower.files()[0].to_owned();
    Err(Error::Overflow { behind: behind(&graph, &value), file, value, number })
}

/// The checkpoint's tensor that is last read up to the node that gives `value`.
fn behind(graph: &Graph, value: &String) -> Option<String> {
    let node = graph.nodes.iter().position(|node| node.outputs.contains(value))?;
    let tensor = |name: &String| match &graph.initializer(name)?.data {
        Data::Weight(rows) => Some(rows.tensor.clone()),
        _ => None,
    };
    graph.nodes[..=node].iter().rev().find_map(|node| node.inputs.iter().rev().find_map(tensor))
}
