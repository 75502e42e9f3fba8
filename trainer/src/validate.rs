//! How good a model is on shards that it was not trained on: zero-shot classification and retrieval.

use std::fmt;
use std::path::{Path, PathBuf};

use clip_data::{Distinct, Share, Warn, ranking, samples};
use clip_model::templates::Template;
use clip_model::{Preprocess, Tokenizer};
use serde::Serialize;
use tch::{Tensor, no_grad};

use crate::error::{Error, Result};
use crate::network::Network;
use crate::parameters::to_vec;

/// Pictures or texts that are encoded at a time.
const BATCH: usize = 256;

/// What is compared and how.
#[derive(Debug)]
pub struct Validator {
    /// How pictures become the image tower's input.
    pub preprocess: Preprocess,
    /// How texts become the text tower's input.
    pub tokenizer: Tokenizer,
    /// Prompt of a class name.
    pub template: Template,
    /// The class names. Samples whose first caption is none of them are left out. None: the first captions themselves,
    /// each once.
    pub labels: Option<Vec<String>>,
    /// Takes the warnings about samples that are left out.
    pub warn: Warn,
}

/// The figures of one shard.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShardFigures {
    /// The shard's file name.
    pub shard: String,
    /// Pictures that were classified.
    pub samples: usize,
    /// Pictures or samples that could not be used.
    pub skipped: usize,
    /// Class names that were told apart; a guess is right once in so many.
    pub classes: usize,
    /// Share of pictures whose own class name is the most similar one.
    pub top1: Share,
    /// Share of pictures whose own class name is among the five most similar ones.
    pub top5: Share,
    /// Share of pictures whose most similar caption of the shard is one of their own.
    pub image_to_text: Share,
    /// Share of captions whose most similar picture of the shard is one of their own.
    pub text_to_image: Share,
}

impl fmt::Display for ShardFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} pictures, {} classes: top-1 {}, top-5 {}, image to text {}, text to image {}",
            self.shard,
            self.samples,
            self.classes,
            self.top1,
            self.top5,
            self.image_to_text,
            self.text_to_image
        )?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

impl Validator {
    /// The figures of each shard. The network is in evaluation mode afterwards.
    ///
    /// # Errors
    /// Those of reading a shard; [`Error::NoPicture`] for one without a usable picture.
    pub fn run(&self, network: &mut Network, shards: &[PathBuf]) -> Result<Vec<ShardFigures>> {
        network.set_training(false);
        shards.iter().map(|shard| no_grad(|| self.shard(network, shard))).collect()
    }

    fn shard(&self, network: &Network, shard: &Path) -> Result<ShardFigures> {
        let size = self.preprocess.size;
        let (mut classes, mut texts) = (Distinct::default(), Distinct::default());
        for label in self.labels.iter().flatten() {
            classes.number(label);
        }
        let (mut own_class, mut own_texts) = (Vec::new(), Vec::new());
        let (mut pixels, mut embeddings) = (Vec::new(), Vec::new());
        let mut skipped = 0;
        let mut stream = samples(&[shard], self.warn);
        for sample in stream.by_ref() {
            let sample = sample?;
            let Some(first) = sample.captions.first() else { continue };
            if self.labels.is_some() && classes.get(first).is_none() {
                continue;
            }
            let Ok(image) = self.preprocess.decode(&sample.image) else {
                skipped += 1;
                continue;
            };
            let start = pixels.len();
            pixels.resize(start + 3 * size * size, 0.0);
            self.preprocess.apply(&image, &mut pixels[start..])?;
            own_class.push(classes.number(first));
            own_texts.push(sample.captions.iter().map(|c| texts.number(c)).collect::<Vec<_>>());
            if own_class.len() % BATCH == 0 {
                embeddings.push(encode_images(network, &pixels, size)?);
                pixels.clear();
            }
        }
        skipped += stream.unusable() as usize;
        if !pixels.is_empty() {
            embeddings.push(encode_images(network, &pixels, size)?);
        }
        if embeddings.is_empty() {
            return Err(Error::NoPicture(shard.to_owned()));
        }
        let images = Tensor::f_cat(&embeddings, 0)?;
        let prompts: Vec<String> = classes.texts().iter().map(|name| self.template.fill(name)).collect();
        let class_embeddings = self.encode_texts(network, &prompts)?;
        let text_embeddings = self.encode_texts(network, texts.texts())?;

        let by_class = nearest(&images, &class_embeddings, 5)?;
        let by_text = nearest(&images, &text_embeddings, 1)?;
        let by_image = nearest(&text_embeddings, &images, 1)?;
        let (total, captions) = (own_class.len(), texts.texts().len());
        Ok(ShardFigures {
            shard: shard.file_name().unwrap_or(shard.as_os_str()).to_string_lossy().into_owned(),
            samples: total,
            skipped,
            classes: classes.texts().len(),
            top1: Share::where_true(total, |i| by_class[i][0] == own_class[i]),
            top5: Share::where_true(total, |i| by_class[i].contains(&own_class[i])),
            image_to_text: Share::where_true(total, |i| own_texts[i].contains(&by_text[i][0])),
            text_to_image: Share::where_true(captions, |text| own_texts[by_image[text][0]].contains(&text)),
        })
    }

    /// `[texts, embed_dim]`.
    fn encode_texts(&self, network: &Network, texts: &[String]) -> Result<Tensor> {
        let context = network.config.text.context_length;
        let encode = |texts: &[String]| -> Result<Tensor> {
            let batch = self.tokenizer.encode_batch(texts, context);
            let ids: Vec<i64> = batch.ids.iter().map(|&id| i64::from(id)).collect();
            let ids = Tensor::f_from_slice(&ids)?.f_view([batch.rows as i64, batch.length as i64])?;
            Ok(network.encode_text(&ids.f_to_device(network.device)?))
        };
        let parts: Vec<Tensor> = texts.chunks(BATCH).map(encode).collect::<Result<_>>()?;
        Ok(Tensor::f_cat(&parts, 0)?)
    }
}

/// `[B, embed_dim]`.
fn encode_images(network: &Network, pixels: &[f32], size: usize) -> Result<Tensor> {
    let size = size as i64;
    let images = Tensor::f_from_slice(pixels)?.f_view([-1, 3, size, size])?.f_to_device(network.device)?;
    Ok(network.encode_image(&images))
}

/// For each row of `queries` the numbers of the `count` most similar rows of `keys`, most similar first.
fn nearest(queries: &Tensor, keys: &Tensor, count: usize) -> Result<Vec<Vec<usize>>> {
    /// Rows at a time: the whole matrix of similarities may not fit into memory.
    const ROWS: i64 = 1024;
    let (columns, keys) = (keys.size()[0] as usize, keys.f_transpose(0, 1)?);
    let mut found = Vec::new();
    for rows in queries.f_split(ROWS, 0)? {
        let similarities = to_vec(&rows.f_matmul(&keys)?)?;
        found.extend(similarities.chunks(columns).map(|row| ranking::top(row, count)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rows_come_in_order() {
        let keys = Tensor::from_slice2(&[[1.0f32, 0.0], [0.0, 1.0], [0.8, 0.6]]);
        let queries = Tensor::from_slice2(&[[1.0f32, 0.0], [0.0, 1.0]]);
        assert_eq!(nearest(&queries, &keys, 5).unwrap(), [[0, 2, 1], [1, 2, 0]]);
        assert_eq!(nearest(&queries, &keys, 1).unwrap(), [[0], [1]]);
    }
}
