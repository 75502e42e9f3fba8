//! An opened checkpoint: a network's configuration, preprocessing, weights and tokenizer.
//!
//! Names and shapes are checked in full before any weight is read. The files must not be changed by another program
//! while they are open; our own writers never do, they replace files by renaming.

use std::collections::HashSet;
use std::path::Path;

use clip_model::config::{Activation, Config, EndOfText, Family};
use clip_model::shapes::summarize;
use clip_model::{Preprocess, Tokenizer};

use crate::error::{Error, Result, TensorMismatch};
use crate::found::{Found, TokenizerSource};
use crate::layout;
use crate::positions::{self, Resized};
use crate::weights::{TensorRef, Weights, same_shape};

/// An opened checkpoint whose tensors are exactly those of its configuration.
#[derive(Debug)]
pub struct Checkpoint {
    /// The network.
    pub config: Config,
    /// The image preprocessing.
    pub preprocess: Preprocess,
    /// Position embeddings that were interpolated, since the network's image size or context length is not that of the weights.
    /// A program says so: they are not what is stored.
    pub resized: Vec<Resized>,
    weights: Weights,
    tokenizer: TokenizerSource,
}

impl Checkpoint {
    /// Opens a checkpoint of any format that this crate knows, told by what it holds:
    ///
    /// - a folder in OpenCLIP's hub layout, with weights in `open_clip_model.safetensors` or
    ///   `open_clip_pytorch_model.bin`; where its configuration asks for another image size or context length than the weights
    ///   have, position embeddings are interpolated as OpenCLIP does ([`Checkpoint::resized`] tells);
    /// - a folder of Hugging Face's CLIP or SigLIP: `config.json`, `model.safetensors` or `pytorch_model.bin` (or shards of
    ///   either), a tokenizer, `preprocessor_config.json`;
    /// - one of OpenAI's `.pt` files (TorchScript), or a state dict of theirs in PyTorch's or safetensors' format.
    ///
    /// Files of PyTorch's are read by a parser that builds tensors and containers and nothing else; what would run
    /// code is refused by name.
    ///
    /// # Errors
    /// [`Error::Safetensors`] and [`Error::Weights`] for a file that is truncated, lies about its lengths or is of no
    /// known format; [`Error::Tensors`], with the names, for tensors that are missing, surplus or of another shape;
    /// [`Error::Config`] for a configuration that is not supported; [`Error::ActivationUnknown`] for weights that come
    /// without a configuration and are not OpenAI's.
    pub fn open(path: impl AsRef<Path>) -> Result<Checkpoint> {
        Self::open_as(path, None)
    }

    /// Like [`Self::open`], with the activation stated for weights that come without a configuration, such as the state
    /// dicts of OpenCLIP's trainer.
    ///
    /// # Errors
    /// As [`Self::open`], and [`Error::Config`] when the checkpoint itself says otherwise.
    pub fn open_as(path: impl AsRef<Path>, activation: Option<Activation>) -> Result<Checkpoint> {
        let Found { config, preprocess, weights, tokenizer } = layout::open(path.as_ref(), activation)?;
        Checkpoint { config, preprocess, resized: Vec::new(), weights, tokenizer }.validated()
    }

    /// The same with images of this size, pixels, and texts of at most so many tokens, its position embeddings
    /// [interpolated](Self::resized) from the stored ones.
    ///
    /// # Errors
    /// [`clip_model::Error::Config`] for sizes that such a network cannot have.
    pub fn with_sizes(mut self, image_size: usize, context_length: usize) -> Result<Checkpoint> {
        self.config.image.set_image_size(image_size);
        self.config.text.context_length = context_length;
        self.config.validate()?;
        self.preprocess.size = image_size;
        if let TokenizerSource::SigLip { context_length: padded, .. } = &mut self.tokenizer {
            *padded = context_length;
        }
        self.validated()
    }

    fn validated(mut self) -> Result<Checkpoint> {
        self.resized = positions::resize(&self.weights, &self.config)?;
        let mut mismatch = TensorMismatch::default();
        let expected = summarize(&self.config).tensors;
        for tensor in &expected {
            match self.find(&tensor.name) {
                None => mismatch.missing.push((tensor.name.clone(), tensor.shape.clone())),
                Some(found) if !same_shape(found.shape, &tensor.shape) => {
                    mismatch.wrong.push((tensor.name.clone(), tensor.shape.clone(), found.shape.to_vec()));
                }
                Some(_) => {}
            }
        }
        let known: HashSet<&str> = expected.iter().map(|t| t.name.as_str()).collect();
        mismatch.surplus = self
            .weights
            .names()
            .into_iter()
            .filter(|n| !known.contains(n.as_str()) && !is_counter(n))
            .collect();
        if mismatch.is_empty() { Ok(self) } else { Err(Error::Tensors(mismatch)) }
    }

    fn find(&self, name: &str) -> Option<TensorRef<'_>> {
        let resized = self.resized.iter().find(|resized| resized.name == name);
        resized.map(Resized::tensor).or_else(|| self.weights.get(name))
    }

    /// A tensor of the network.
    ///
    /// # Errors
    /// [`Error::Tensors`] for a name that the configuration does not have.
    pub fn tensor(&self, name: &str) -> Result<TensorRef<'_>> {
        self.find(name).ok_or_else(|| {
            Error::Tensors(TensorMismatch { missing: vec![(name.to_owned(), vec![])], ..Default::default() })
        })
    }

    /// The tokenizer: the folder's own, or OpenAI's.
    ///
    /// # Errors
    /// [`clip_model::Error::Tokenizer`] when its ids do not fit the embedding table.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        let tokenizer = self.tokenizer.open()?;
        let rows = self.config.text.vocab_size;
        if tokenizer.vocab_size() > rows {
            let ids = tokenizer.vocab_size();
            return Err(Error::tokenizer(format!(
                "the vocabulary has {ids} entries, the token embedding only {rows}: this is another model's tokenizer"
            )));
        }
        if let EndOfText::Id(pooled) = self.config.text.end
            && i64::from(tokenizer.end_id()) != i64::from(pooled)
        {
            return Err(Error::tokenizer(format!(
                "it ends texts with token {}, but the text tower is pooled at token {pooled}: this is another model's tokenizer",
                tokenizer.end_id()
            )));
        }
        if self.config.family == Family::Clip && tokenizer.start_id().is_none() {
            return Err(Error::tokenizer(
                "it puts one token around an empty text; CLIP needs one start and one end token".to_owned(),
            ));
        }
        Ok(tokenizer)
    }

    /// Whether the tokenizer is another than OpenAI's.
    pub(crate) fn has_own_tokenizer(&self) -> bool {
        self.tokenizer != TokenizerSource::OpenAi
    }

    /// The summand on scaled cosine similarities, where there is one ([`Config::logit_bias`]).
    pub fn logit_bias(&self) -> Result<Option<f32>> {
        if !self.config.logit_bias {
            return Ok(None);
        }
        match self.tensor("logit_bias")?.to_f32()?.first() {
            Some(bias) if bias.is_finite() => Ok(Some(*bias)),
            _ => Err(Error::Config("logit_bias is not a finite number".into())),
        }
    }

    /// The factor on cosine similarities, `exp` of the stored parameter.
    pub fn logit_scale(&self) -> Result<f32> {
        let values = self.tensor("logit_scale")?.to_f32()?;
        match values.first().map(|v| v.exp()) {
            Some(scale) if scale.is_finite() => Ok(scale),
            _ => Err(Error::Config("the exponential of logit_scale is not a finite number".into())),
        }
    }
}

/// PyTorch's count of batches seen by a batch norm: not used by the network.
fn is_counter(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
}
