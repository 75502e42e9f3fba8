//! A camera's graph beside the image encoder.

use std::path::Path;

use clip_model::manifest;
use clip_model::preprocess::Scratch;
use clip_runtime::{Clip, Error, Image, Result};
use serde::{Deserialize, Serialize};

use super::frame;
use super::inputs::Inputs;
use super::session::{self, Tensor, least};
use crate::camera::Camera;

/// Frames that are compared at most: one of a large camera takes a while on a processor.
const MOST: usize = 16;

/// The embeddings of frames, by the camera's graph and by the image encoder.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Framed {
    /// The camera's, of the frames as they lie in memory.
    pub found: Vec<Vec<f32>>,
    /// The image encoder's, of the frames as the processor resizes them.
    pub expected: Vec<Vec<f32>>,
}

impl Framed {
    /// Runs both of `folder`, which is open as `clip`, on frames that show the images of `inputs`. None where there is no camera.
    ///
    /// # Errors
    /// Those of [`Clip`], and of the camera's files.
    pub fn of(folder: &Path, clip: &Clip, inputs: &Inputs) -> Result<Option<Framed>> {
        let Some(described) = &clip.manifest().camera else { return Ok(None) };
        for (file, sha256) in described.all_files() {
            manifest::verified(folder, file, sha256)?;
        }
        let session = session::open_encoder(folder, &described.encoder, inputs)?;
        let camera = Camera { layout: described.layout, view: described.view };
        let preprocess = &clip.manifest().preprocess;
        let (mut framed, mut scratch) = (Framed::default(), Scratch::default());
        for (number, image) in inputs.images.iter().take(MOST).enumerate() {
            let planes = frame::planes(&camera, image);
            let mut rgb = vec![0; 3 * preprocess.size * preprocess.size];
            preprocess.fit_frame(&frame::frame(&camera, &planes)?, &mut scratch, &mut rgb)?;
            let seen = Image::new(preprocess.size, preprocess.size, rgb)?;
            framed.expected.extend(clip.encode_images(&[seen])?.rows().map(<[f32]>::to_vec));
            let rows = least(&described.encoder);
            let tensors = planes.into_iter().zip(described.planes()).map(|(mut bytes, [lines, stride])| {
                bytes.resize(rows * lines * stride, 0);
                Tensor::UInt8(vec![rows, lines, stride], bytes)
            });
            let tensors: Vec<Tensor> = tensors.collect();
            let given: Vec<(&str, &Tensor)> =
                described.inputs.iter().map(String::as_str).zip(&tensors).collect();
            let outputs = session.run(&given)?;
            let embedding = outputs.first().map_or(&[][..], |output| &output.values);
            let embedding = embedding.get(..clip.manifest().embed_dim).unwrap_or_default().to_vec();
            let length = embedding.iter().map(|v| v * v).sum::<f32>().sqrt();
            if !(0.99..=1.01).contains(&length) {
                let file = folder.join(&described.encoder.file);
                return Err(Error::Embedding { file, row: number, length });
            }
            framed.found.push(embedding);
        }
        Ok(Some(framed))
    }
}
