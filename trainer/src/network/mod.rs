//! The network of [`clip_model::clip`] over libtorch, for training.
//!
//! With [`Precision::Bf16`], convolutions and matrix products take bf16 operands, as PyTorch's autocast does; layer
//! norms, the final normalisation and the loss compute in fp32, and the weights themselves are always fp32.

mod ops;

use clip_checkpoint::Checkpoint;
use clip_model::clip;
use clip_model::config::Config;
use clip_model::ops::Projections;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::parameters::Parameters;

/// Number format of convolutions and matrix products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE single precision.
    #[default]
    Fp32,
    /// bfloat16 operands, fp32 accumulation.
    Bf16,
}

/// A CLIP network with its weights on a device.
#[derive(Debug)]
pub struct Network {
    /// Sizes and choices.
    pub config: Config,
    /// All tensors.
    pub parameters: Parameters,
    /// Where the tensors are.
    pub device: Device,
    precision: Precision,
    training: bool,
}

impl Network {
    /// A network with these parameters, which must be those of `config`; in evaluation mode.
    pub fn new(config: Config, parameters: Parameters, device: Device, precision: Precision) -> Network {
        Network { config, parameters, device, precision, training: false }
    }

    /// The network of a checkpoint, in evaluation mode.
    pub fn load(checkpoint: &Checkpoint, device: Device, precision: Precision) -> Result<Network> {
        let parameters = Parameters::of(checkpoint, device)?;
        Ok(Network::new(checkpoint.config.clone(), parameters, device, precision))
    }

    /// In training, batch norms use the batch's own statistics and update the running ones.
    pub fn set_training(&mut self, training: bool) {
        self.training = training;
    }

    /// Normalised pixels `[B, 3, S, S]`, fp32 on the network's device, to embeddings of length one, `[B, embed_dim]`.
    pub fn encode_image(&self, images: &Tensor) -> Tensor {
        clip::encode_image(self, &self.config, &channels_last(images))
    }

    /// Token ids `[B, L]`, int64 on the network's device, to embeddings of length one, `[B, embed_dim]`. What follows the end
    /// of a text has no influence.
    pub fn encode_text(&self, ids: &Tensor) -> Tensor {
        clip::encode_text(self, &self.config, ids)
    }

    /// The factor on cosine similarities, a scalar tensor that gradients flow through.
    pub fn logit_scale(&self) -> Tensor {
        self.parameters.tensor("logit_scale").exp()
    }

    fn parameter(&self, name: &str) -> &Tensor {
        self.parameters.tensor(name)
    }

    /// An operand of a convolution or matrix product.
    fn operand(&self, x: &Tensor) -> Tensor {
        match self.precision {
            Precision::Fp32 => x.shallow_clone(),
            Precision::Bf16 => x.to_kind(Kind::BFloat16),
        }
    }

    /// The affine map whose parameters are `{prefix}weight` and `{prefix}bias`.
    fn affine(&self, x: &Tensor, prefix: &str) -> Tensor {
        let [weight, bias] =
            ["weight", "bias"].map(|part| self.operand(self.parameter(&format!("{prefix}{part}"))));
        self.operand(x).linear(&weight, Some(&bias))
    }

    /// Weight and bias of the query (0), key (1) or value (2) map of an attention, as operands.
    fn projection(&self, maps: Projections<'_>, part: i64, width: i64) -> [Tensor; 2] {
        ["weight", "bias"].map(|suffix| match maps {
            Projections::Stacked(name) => {
                let stacked = self.parameter(&format!("{name}.in_proj_{suffix}"));
                self.operand(&stacked.narrow(0, part * width, width))
            }
            Projections::Separate(name) => {
                let map = ["q_proj", "k_proj", "v_proj"][part as usize];
                self.operand(self.parameter(&format!("{name}.{map}.{suffix}")))
            }
        })
    }
}

/// The same values with the channels of a pixel side by side in memory, the layout in which convolutions are fastest;
/// what is computed from them keeps it.
fn channels_last(images: &Tensor) -> Tensor {
    images.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}
