//! How good a model is on shards that it was not trained on: zero-shot classification and retrieval.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clip_model::templates::Template;
use clip_model::{Preprocess, Tokenizer};
use serde::Serialize;
use tch::{Kind, Tensor, no_grad};

use crate::data::samples;
use crate::error::{Error, Result};
use crate::network::Network;

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
}

/// The figures of one shard.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
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

/// A share with its 95 % Wilson score interval (Wilson 1927).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// The share itself, 0 to 1.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Share {
    /// `hits` out of `total`; all zero when there are none.
    pub fn of(hits: usize, total: usize) -> Share {
        if total == 0 {
            return Share { value: 0.0, low: 0.0, high: 0.0 };
        }
        /// The 97.5 % point of the normal distribution.
        const Z: f64 = 1.959_963_984_540_054;
        let (n, p) = (total as f64, hits as f64 / total as f64);
        let centre = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        Share { value: p, low: ((centre - half) / scale).max(0.0), high: ((centre + half) / scale).min(1.0) }
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} % ({:.1} to {:.1})", 100.0 * self.value, 100.0 * self.low, 100.0 * self.high)
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
    /// Those of reading a shard; [`Error::Data`] for one without a usable picture.
    pub fn run(&self, network: &mut Network, shards: &[PathBuf]) -> Result<Vec<Report>> {
        network.set_training(false);
        shards.iter().map(|shard| no_grad(|| self.shard(network, shard))).collect()
    }

    fn shard(&self, network: &Network, shard: &Path) -> Result<Report> {
        let name = shard.file_name().unwrap_or(shard.as_os_str()).to_string_lossy().into_owned();
        let mut classes = Names::default();
        for label in self.labels.iter().flatten() {
            classes.number(label);
        }
        let mut texts = Names::default();
        let (mut own_class, mut own_texts) = (Vec::new(), Vec::new());
        let (mut pixels, mut embeddings) = (Vec::new(), Vec::new());
        let mut skipped = 0;
        let size = self.preprocess.size;
        let sample_floats = 3 * size * size;
        let mut stream = samples(&[shard.to_owned()]);
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
            pixels.resize(start + sample_floats, 0.0);
            self.preprocess.apply(&image, &mut pixels[start..])?;
            own_class.push(classes.number(first));
            own_texts.push(sample.captions.iter().map(|c| texts.number(c)).collect::<Vec<_>>());
            if pixels.len() == BATCH * sample_floats {
                embeddings.push(encode_images(network, &pixels, size)?);
                pixels.clear();
            }
        }
        skipped += stream.unusable() as usize;
        if !pixels.is_empty() {
            embeddings.push(encode_images(network, &pixels, size)?);
        }
        if embeddings.is_empty() {
            return Err(Error::Data(format!("{} has no picture to validate on", shard.display())));
        }
        let images = Tensor::f_cat(&embeddings, 0)?;
        let prompts: Vec<String> = classes.names.iter().map(|name| self.template.fill(name)).collect();
        let class_embeddings = self.encode_texts(network, &prompts)?;
        let text_embeddings = self.encode_texts(network, &texts.names)?;

        let total = own_class.len();
        let top = nearest(&images, &class_embeddings, 5)?;
        let top1 = own_class.iter().zip(&top).filter(|(own, found)| found.first() == Some(own)).count();
        let top5 = own_class.iter().zip(&top).filter(|(own, found)| found.contains(own)).count();
        let found = nearest(&images, &text_embeddings, 1)?;
        let image_hits = own_texts.iter().zip(&found).filter(|(own, found)| own.contains(&found[0])).count();
        let found = nearest(&text_embeddings, &images, 1)?;
        let text_hits = found.iter().enumerate().filter(|(t, found)| own_texts[found[0]].contains(t)).count();
        Ok(Report {
            shard: name,
            samples: total,
            skipped,
            classes: classes.names.len(),
            top1: Share::of(top1, total),
            top5: Share::of(top5, total),
            image_to_text: Share::of(image_hits, total),
            text_to_image: Share::of(text_hits, texts.names.len()),
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
fn nearest(queries: &Tensor, keys: &Tensor, count: i64) -> Result<Vec<Vec<usize>>> {
    /// Rows at a time: the whole matrix of similarities may not fit into memory.
    const ROWS: i64 = 1024;
    let count = count.min(keys.size()[0]);
    let mut found = Vec::new();
    for rows in queries.f_split(ROWS, 0)? {
        let (_, best) = rows.f_matmul(&keys.f_transpose(0, 1)?)?.f_topk(count, -1, true, true)?;
        let best = best.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Int64)?.f_reshape([-1])?;
        let best = Vec::<i64>::try_from(&best)?;
        found.extend(best.chunks(count as usize).map(|row| row.iter().map(|&i| i as usize).collect()));
    }
    Ok(found)
}

/// Distinct strings, numbered in the order of their appearance.
#[derive(Default)]
struct Names {
    names: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Names {
    fn get(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    fn number(&mut self, name: &str) -> usize {
        self.get(name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.numbers.insert(name.to_owned(), self.names.len() - 1);
            self.names.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The interval of 8 out of 10 in Wilson's form: 0.4902 to 0.9433.
    #[test]
    fn wilson_interval() {
        let share = Share::of(8, 10);
        assert!((share.low - 0.4902).abs() < 1e-4 && (share.high - 0.9433).abs() < 1e-4, "{share:?}");
        assert_eq!(Share::of(0, 20).low, 0.0);
        assert_eq!(Share::of(20, 20).high, 1.0);
        assert_eq!(Share::of(0, 0), Share { value: 0.0, low: 0.0, high: 0.0 });
    }

    #[test]
    fn nearest_rows_come_in_order() {
        let keys = Tensor::from_slice2(&[[1.0f32, 0.0], [0.0, 1.0], [0.8, 0.6]]);
        let queries = Tensor::from_slice2(&[[1.0f32, 0.0], [0.0, 1.0]]);
        assert_eq!(nearest(&queries, &keys, 5).unwrap(), [[0, 2, 1], [1, 2, 0]]);
        assert_eq!(nearest(&queries, &keys, 1).unwrap(), [[0], [1]]);
    }
}
