//! What the encoders of a model folder give.

use std::path::Path;
use std::time::Instant;

use clip_runtime::{Clip, Embeddings, EngineKind, Options, Result};
use serde::{Deserialize, Serialize};

use super::classified::Classified;
use super::framed::Framed;
use super::inputs::Inputs;
use super::peaks::{self, Overflow};

/// What encoders gave for some [`Inputs`]. One that the folder does not have gave nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// The embedding of each image.
    pub images: Option<Vec<Vec<f32>>>,
    /// The embedding of each text.
    pub texts: Option<Vec<Vec<f32>>>,
    /// That of each label.
    pub labels: Option<Vec<Vec<f32>>>,
    /// Median of the time for one image, milliseconds.
    pub image_ms: f64,
    /// What the classifier gave, where that was asked for and there is one.
    pub classified: Option<Classified>,
    /// What the camera gave, where that was asked for and there is one.
    pub framed: Option<Framed>,
    /// The first number beyond float16.
    pub overflow: Option<Overflow>,
}

impl Outcome {
    /// Runs the encoders of `folder` in this process, which holds the whole model meanwhile. The runtime refuses embeddings
    /// that are not finite or not of length one.
    ///
    /// # Errors
    /// Those of [`Clip`].
    pub fn of(folder: &Path, inputs: &Inputs) -> Result<Outcome> {
        if inputs.peaks {
            let overflow = peaks::find(folder, &inputs.images, &inputs.texts)?;
            return Ok(Outcome { overflow, ..Outcome::default() });
        }
        let engine = inputs.graphs.then_some(EngineKind::Onnx);
        let clip = Clip::open_with(folder, &Options::new().engine(engine).tensorrt(inputs.tensorrt.clone()))?;
        let (image, text) = (&clip.manifest().image, &clip.manifest().text);
        let labels =
            inputs.labels.as_ref().map(|set| clip.label_set(&set.labels, &set.templates)).transpose()?;
        let texts = text.as_ref().map(|_| clip.encode_texts(&inputs.texts)).transpose()?;
        let images = image.as_ref().map(|_| clip.encode_images(&inputs.images)).transpose()?;
        let rows = |found: &Embeddings| found.rows().map(<[f32]>::to_vec).collect();
        Ok(Outcome {
            images: images.as_ref().map(rows),
            texts: texts.as_ref().map(rows),
            labels: labels.as_ref().map(|set| rows(set.embeddings())),
            image_ms: if image.is_some() { time(&clip, inputs)? } else { 0.0 },
            classified: if inputs.classifier { Classified::of(folder, &clip, inputs)? } else { None },
            framed: if inputs.camera { Framed::of(folder, &clip, inputs)? } else { None },
            overflow: None,
        })
    }
}

fn time(clip: &Clip, inputs: &Inputs) -> Result<f64> {
    let mut times = Vec::new();
    for image in inputs.images.iter().cycle().take(inputs.timed) {
        let started = Instant::now();
        clip.encode_images(std::slice::from_ref(image))?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times.get(times.len() / 2).copied().unwrap_or(0.0))
}
