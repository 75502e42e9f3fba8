//! The image tower for the frames of one camera.

use clip_model::manifest::{self, Element, Encoder, Engine, Input, Layout};

use super::folder::Folder;
use crate::camera::Camera;
use crate::error::Result;
use crate::graph::{self, EMBEDDING};
use crate::onnx::Graph;
use crate::options::Numbers;

/// Names of its files: the graph, and its weights where they lie beside it.
const FILES: [&str; 2] = ["camera.onnx", "camera.onnx.data"];

/// Adds the graph that is made of the image tower's, in whatever number format, for the frames of `camera`.
///
/// # Errors
/// [`Error::Write`](crate::Error::Write).
pub fn add_camera(folder: &mut Folder<'_>, tower: Graph, camera: &Camera, numbers: Numbers) -> Result<()> {
    let (preprocess, form) = (&folder.checkpoint.preprocess, folder.form);
    let graph = graph::camera(tower, preprocess, camera, form, numbers == Numbers::Fp16);
    let (file, sha256, data) = folder.write(&graph, FILES)?;
    let names = camera.inputs();
    let first = names.first().copied().unwrap_or_default().to_owned();
    let input = Input { name: first, layout: Layout::Planes, element: Element::Uint8 };
    let (engine, precision, batch) = (Engine::Onnx {}, numbers.precision(), form.batch);
    let encoder =
        Encoder { file, sha256, data, engine, precision, input, batch, output: EMBEDDING.to_owned() };
    let inputs = names.iter().map(|&name| name.to_owned()).collect();
    let Camera { layout, view } = *camera;
    folder.manifest.camera = Some(manifest::Camera { encoder, inputs, layout, view });
    Ok(())
}
