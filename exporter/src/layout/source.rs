//! What a folder for another program is made of.

use clip_checkpoint::Checkpoint;
use clip_model::manifest::Precision;
use clip_model::{Manifest, Tokenizer};

use crate::error::Result;
use crate::onnx::Graph;
use crate::tower::Tower;

/// A model whose graphs were verified.
pub struct Source<'a> {
    /// What it was exported from.
    pub checkpoint: &'a Checkpoint,
    /// The checkpoint's tokenizer.
    pub tokenizer: Tokenizer,
    /// Number format of its graphs.
    pub precision: Precision,
    /// Whether weights always lie beside their graphs.
    pub external_data: bool,
    /// Factor on similarities.
    pub logit_scale: f32,
    /// Summand on scaled similarities.
    pub logit_bias: Option<f32>,
    /// The image tower, unless it was left out.
    pub image: Option<Graph>,
    /// The text tower, unless it was left out.
    pub text: Option<Graph>,
}

impl<'a> Source<'a> {
    /// The model with `manifest` that was exported from `checkpoint`, its towers' graphs as they were written.
    ///
    /// # Errors
    /// Those of [`Checkpoint::tokenizer`].
    pub fn new(
        checkpoint: &'a Checkpoint,
        manifest: &Manifest,
        towers: Vec<(Tower, Graph)>,
        precision: Precision,
        external_data: bool,
    ) -> Result<Source<'a>> {
        let (mut image, mut text) = (None, None);
        for (tower, graph) in towers {
            match tower {
                Tower::Image => image = Some(graph),
                Tower::Text => text = Some(graph),
            }
        }
        let (logit_scale, logit_bias) = (manifest.logit_scale, manifest.logit_bias);
        let tokenizer = checkpoint.tokenizer()?;
        Ok(Source { checkpoint, tokenizer, precision, external_data, logit_scale, logit_bias, image, text })
    }

    /// Tokens of the longest text.
    pub fn context_length(&self) -> usize {
        self.checkpoint.config.text.context_length
    }

    /// The id that the program is told to pad with: after CLIP's texts the end once more, of which the first counts.
    pub fn pad_id(&self) -> i32 {
        match self.tokenizer.start_id() {
            Some(_) => self.tokenizer.end_id(),
            None => self.tokenizer.pad_id(),
        }
    }
}
