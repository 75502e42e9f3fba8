//! What the graphs of a model folder give on generated inputs, and how far those for another program are from that.

use std::path::Path;

use clip_model::manifest::{Encoder, Precision};
use clip_model::{Manifest, Tokenizer};
use clip_runtime::engine::Output;

use super::ports::{Ids, Ports};
use crate::compare::Samples;
use crate::error::{Error, Result};
use crate::run::{Tensor, open, pixels};

/// Pictures, each with a text, that are run.
const PAIRS: usize = 4;

/// What goes into the encoders, and what the verified ones give for it.
pub struct Expected {
    manifest: Manifest,
    tokenizer: Option<Tokenizer>,
    samples: Samples,
    images: Vec<Vec<f32>>,
    texts: Vec<Vec<f32>>,
}

impl Expected {
    /// Runs the encoders of the model folder `model`.
    ///
    /// # Errors
    /// [`Error::Trial`].
    pub fn of(model: &Path) -> Result<Expected> {
        let manifest = Manifest::read(model)?;
        let mut samples = Samples::generated(&manifest.preprocess)?;
        samples.images.truncate(PAIRS);
        samples.texts.truncate(PAIRS);
        let tokenizer = manifest.tokenizer.as_ref().map(|file| file.open(model.join(&file.file)));
        let tokenizer = tokenizer.transpose()?;
        let mut expected = Expected { manifest, tokenizer, samples, images: vec![], texts: vec![] };
        let Expected { manifest, samples, .. } = &expected;
        let rows = |file: &str, name: &str, inputs: Vec<Tensor>| -> Result<Vec<Vec<f32>>> {
            let session = open(&model.join(file)).map_err(Error::Trial)?;
            let run = |input| {
                let first = session.run(&[(name, input)]).map_err(Error::Trial)?.into_iter().next();
                Ok(first.map_or_else(Vec::new, |output| output.values))
            };
            inputs.iter().map(run).collect()
        };
        let images = match &manifest.image {
            Some(encoder) => rows(&encoder.file, &encoder.input.name, expected.pixels()?)?,
            None => vec![],
        };
        let texts = match &manifest.text {
            Some(encoder) => {
                let tensor = |text: &String| {
                    let ids = expected.ids(text);
                    Tensor::Int32(vec![1, ids.len()], ids)
                };
                rows(&encoder.file, &encoder.input.name, samples.texts.iter().map(tensor).collect())?
            }
            None => vec![],
        };
        (expected.images, expected.texts) = (images, texts);
        Ok(expected)
    }

    fn pixels(&self) -> Result<Vec<Tensor>> {
        let tensors = pixels(&self.samples.images, &self.manifest.preprocess, false);
        tensors.collect::<clip_runtime::Result<_>>().map_err(Error::Trial)
    }

    /// A text as our runtime feeds it.
    fn ids(&self, text: &str) -> Vec<i32> {
        let (Some(tokenizer), Some(file)) = (&self.tokenizer, &self.manifest.tokenizer) else {
            return vec![];
        };
        match file.padded {
            true => tokenizer.encode_padded(text, file.context_length),
            false => tokenizer.encode(text, file.context_length),
        }
    }

    /// A text as the program feeds it in the worst case: padded to the full length and, if it is too long for that, cut without
    /// its end. Below single precision without padding: other lengths are summed up otherwise, and what that changes in the last
    /// digit may be rounded to the next number.
    fn fed(&self, text: &str, cuts_ends: bool) -> Vec<i32> {
        let (Some(tokenizer), Some(file)) = (&self.tokenizer, &self.manifest.tokenizer) else {
            return vec![];
        };
        let length = file.context_length;
        let mut ids = tokenizer.encode(text, length + usize::from(cuts_ends));
        ids.truncate(length);
        if file.padded && ids.len() < length {
            return tokenizer.encode_padded(text, length);
        }
        let single = |encoder: &Encoder| encoder.precision == Precision::Fp32;
        if self.manifest.text.as_ref().is_some_and(single) {
            ids.resize(length, tokenizer.end_id());
        }
        ids
    }

    /// What goes into a graph for a text, by name.
    fn text_inputs(&self, ids: &Ids, text: &str) -> Vec<(String, Tensor)> {
        let fed = self.fed(text, ids.cuts_ends);
        let shape = vec![1, fed.len()];
        let mask =
            ids.mask.iter().map(|name| (name.clone(), Tensor::Int64(shape.clone(), vec![1; fed.len()])));
        let tensor = match ids.long {
            true => Tensor::Int64(shape.clone(), fed.iter().map(|&id| i64::from(id)).collect()),
            false => Tensor::Int32(shape.clone(), fed.clone()),
        };
        [(ids.name.clone(), tensor)].into_iter().chain(mask).collect()
    }

    /// The largest difference of two numbers that a graph in `folder` gives; None where one is no number, or not there.
    ///
    /// # Errors
    /// [`Error::Trial`].
    pub fn difference(&self, folder: &Path, ports: &Ports) -> Result<Option<f32>> {
        let session = open(&folder.join(&ports.file)).map_err(Error::Trial)?;
        let pixels = if ports.pixels.is_some() { self.pixels()? } else { vec![] };
        let mut worst = Some(0.0f32);
        for (pair, text) in self.samples.texts.iter().enumerate() {
            let mut inputs: Vec<(String, Tensor)> = Vec::new();
            if let (Some(name), Some(pixels)) = (&ports.pixels, pixels.get(pair)) {
                inputs.push((name.clone(), pixels.clone()));
            }
            if let Some(ids) = &ports.ids {
                inputs.extend(self.text_inputs(ids, text));
            }
            let inputs: Vec<(&str, &Tensor)> =
                inputs.iter().map(|(name, input)| (&name[..], input)).collect();
            let outputs = session.run(&inputs).map_err(Error::Trial)?;
            worst = worst.zip(self.worst(ports, pair, &outputs)).map(|(a, b)| a.max(b));
        }
        Ok(worst)
    }

    /// The largest difference of `outputs`, for one of the pairs, from what they should be.
    fn worst(&self, ports: &Ports, pair: usize, outputs: &[Output]) -> Option<f32> {
        let (scale, bias) = (self.manifest.logit_scale, self.manifest.logit_bias.unwrap_or(0.0));
        let none = Vec::new();
        let row = |rows: &'_ [Vec<f32>]| rows.get(pair).unwrap_or(&none).clone();
        let (image, text) = (row(&self.images), row(&self.texts));
        let cosine: f32 = image.iter().zip(&text).map(|(a, b)| a * b).sum();
        let embeddings = [(&ports.images, image), (&ports.texts, text)];
        let embeddings = embeddings.into_iter().filter_map(|(name, row)| Some((name.as_ref()?, row, 1.0)));
        // Similarities by their scale: they are as exact as the embeddings.
        let logits = ports.logits.iter().map(|name| (name, vec![scale * cosine + bias], scale.max(1.0)));
        let mut worst = 0.0f32;
        for (name, expected, unit) in embeddings.chain(logits) {
            let found = &outputs.iter().find(|output| output.name == *name)?.values;
            if found.len() != expected.len() || !found.iter().all(|n| n.is_finite()) {
                return None;
            }
            let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs() / unit);
            worst = differences.fold(worst, f32::max);
        }
        Some(worst)
    }
}
