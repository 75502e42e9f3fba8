//! How good a model is on shards that it was not trained on: zero-shot classification, retrieval and loss.
//!
//! The embeddings of all pictures and captions are kept, `4 * embed_dim` bytes each; of pixels and similarities there is only
//! a part at a time, however large a shard is.

mod encode;
mod figures;
mod loss;
mod pairs;
mod ranks;
mod subset;

use std::path::PathBuf;

use clip_data::{Share, Skipped};
use clip_model::templates::Template;
use clip_model::{Preprocess, Tokenizer};
use tch::{Tensor, no_grad};

use crate::error::{Error, Result};
use crate::network::Network;
use crate::objective::ObjectiveName;
pub use figures::{Evaluation, Figures, Recall};
use pairs::{Pairs, Part};
use subset::{Subset, rows};

/// What is measured and how.
#[derive(Debug)]
pub struct Validator {
    /// How pictures become the image tower's input.
    pub preprocess: Preprocess,
    /// How texts become the text tower's input.
    pub tokenizer: Tokenizer,
    /// The texts that a class name is put into, at least one; a class is embedded as the mean of what they give.
    pub templates: Vec<Template>,
    /// The class names. Samples whose first caption is none of them are left out. None: the first captions themselves,
    /// each once.
    pub labels: Option<Vec<String>>,
    /// Whose loss is measured.
    pub objective: ObjectiveName,
    /// Pairs in a batch of the loss, at least 1.
    pub batch: usize,
    /// Threads that decode pictures, at least 1.
    pub threads: usize,
    /// Asked before each batch of pictures or texts: whether to give up.
    pub stop: fn() -> bool,
}

/// Embeddings of length one, `[N, embed_dim]` each.
struct Embedded {
    images: Tensor,
    classes: Tensor,
    captions: Tensor,
}

impl Validator {
    /// The figures of each shard, and those of all shards as if they were one. The network is in evaluation mode afterwards.
    ///
    /// # Errors
    /// Those of reading a shard; [`Error::NoPicture`] for one without a usable picture; [`Error::Interrupted`] when
    /// [`Validator::stop`] asked for it.
    pub fn run(&self, network: &mut Network, shards: &[PathBuf]) -> Result<Evaluation> {
        network.set_training(false);
        no_grad(|| self.evaluate(network, shards))
    }

    /// [`Error::Interrupted`] when the validation was asked to stop.
    fn go_on(&self) -> Result<()> {
        match (self.stop)() {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    }

    fn evaluate(&self, network: &Network, shards: &[PathBuf]) -> Result<Evaluation> {
        let templates = self.templates.iter().map(Template::to_string).collect();
        if shards.is_empty() {
            return Ok(Evaluation { templates, ..Evaluation::default() });
        }
        let mut pairs = Pairs::new(self.labels.as_deref());
        let parts: Vec<Part> =
            shards.iter().map(|shard| self.read(network, shard, &mut pairs)).collect::<Result<_>>()?;
        let embedded = Embedded {
            images: Tensor::f_cat(&pairs.images, 0)?,
            classes: self.encode_classes(network, pairs.classes.texts())?,
            captions: self.encode_texts(network, pairs.captions.texts())?,
        };
        let mut total = Part { name: "total".to_owned(), pairs: 0..pairs.len(), skipped: Skipped::default() };
        parts.iter().for_each(|part| total.skipped.merge(&part.skipped));
        let of = |part: &Part| self.figures(network, &pairs, &embedded, part);
        let shards: Vec<Figures> = parts.iter().map(of).collect::<Result<_>>()?;
        let total = match shards.as_slice() {
            [only] => Figures { shard: total.name, ..only.clone() },
            _ => of(&total)?,
        };
        Ok(Evaluation { templates, shards, total: Some(total) })
    }

    /// The figures of some of the pairs, among the classes and captions that these have.
    fn figures(&self, network: &Network, pairs: &Pairs, embedded: &Embedded, part: &Part) -> Result<Figures> {
        let (own_class, own_captions) =
            (&pairs.own_class[part.pairs.clone()], &pairs.own_captions[part.pairs.clone()]);
        let classes = match &self.labels {
            Some(_) => Subset::of(0..pairs.classes.texts().len()),
            None => Subset::of(own_class.iter().copied()),
        };
        let captions = Subset::of(own_captions.iter().flatten().copied());
        // For each query, the rows that belong to it.
        let class_of_image: Vec<_> = own_class.iter().map(|&class| classes.places(&[class])).collect();
        let captions_of_image: Vec<_> = own_captions.iter().map(|own| captions.places(own)).collect();
        let mut images_of_caption = vec![Vec::new(); captions.len()];
        for (image, own) in captions_of_image.iter().enumerate() {
            own.iter().for_each(|&caption| images_of_caption[caption].push(image));
        }

        let images = embedded.images.f_narrow(0, part.pairs.start as i64, part.pairs.len() as i64)?;
        let class_rows = classes.rows(&embedded.classes)?;
        let caption_rows = captions.rows(&embedded.captions)?;
        let first_captions: Vec<i64> = captions_of_image.iter().map(|own| own[0] as i64).collect();
        let by_class = ranks::of_own(&images, &class_rows, &class_of_image)?;
        let top = |count| Share::where_true(by_class.len(), |image| by_class[image] < count);
        Ok(Figures {
            shard: part.name.clone(),
            samples: part.pairs.len(),
            captions: captions.len(),
            classes: classes.len(),
            top1: top(1),
            top5: top(5),
            image_to_text: Recall::of(&ranks::of_own(&images, &caption_rows, &captions_of_image)?),
            text_to_image: Recall::of(&ranks::of_own(&caption_rows, &images, &images_of_caption)?),
            loss: self.loss(network, &images, &rows(&caption_rows, &first_captions)?)?,
            objective: self.objective,
            batch: self.batch.min(part.pairs.len()),
            skipped: part.skipped.total(),
            reasons: part.skipped.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Precision, Settings, init};
    use tch::Device;

    /// A tiny network with OpenAI's vocabulary.
    pub fn network() -> Network {
        let settings = "[model]\nembed_dim = 16\nresnet = { image_size = 32, layers = [1, 1, 1, 1], width = 8 }\n\
                        text = { context_length = 8, vocab_size = 49408, width = 16, heads = 2, layers = 1 }";
        let config = Settings::parse(settings).unwrap().config().unwrap();
        let parameters = init::parameters(&config, 7, Device::Cpu).unwrap();
        Network::new(config, parameters, Device::Cpu, Precision::Fp32)
    }

    pub fn validator(templates: &[&str]) -> Validator {
        Validator {
            preprocess: Preprocess { size: 32, ..Preprocess::default() },
            tokenizer: Tokenizer::openai(),
            templates: templates.iter().map(|text| text.parse().unwrap()).collect(),
            labels: None,
            objective: ObjectiveName::Contrastive,
            batch: 4,
            threads: 1,
            stop: || false,
        }
    }

    #[test]
    fn no_shards_give_no_figures() {
        let evaluation = validator(&["{}"]).run(&mut network(), &[]).unwrap();
        assert!(evaluation.shards.is_empty() && evaluation.total.is_none());
        assert_eq!(
            serde_json::to_string(&evaluation).unwrap(),
            r#"{"templates":["{}"],"shards":[],"total":null}"#
        );
    }
}
