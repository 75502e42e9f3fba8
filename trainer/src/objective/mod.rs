//! What a network is trained for. An objective is one file behind the trait [`Objective`].
//!
//! A loss is split in two: what each sample gives by itself (embeddings), and what is made of all samples of a batch together.
//! So a batch may be larger than memory holds activations for (Gao et al. 2021, arXiv 2101.06983): the features of all samples
//! are computed first and kept, and with the loss's gradients with respect to them each part of the batch is gone through
//! once more. On several machines it is the features that are exchanged.

mod contrastive;
mod distillation;
mod sigmoid;
mod similarities;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::error::Result;
use crate::inputs::Inputs;
use crate::network::Network;
pub use contrastive::Contrastive;
pub use distillation::{Distillation, Teacher};
pub use sigmoid::Sigmoid;

/// The objectives by the names that settings have for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectiveName {
    /// CLIP's: which text of the batch belongs to a picture, and the other way round.
    #[default]
    Contrastive,
    /// SigLIP's: for each picture and text of the batch, whether they belong together.
    Sigmoid,
}

impl ObjectiveName {
    /// The objective.
    pub fn objective(self) -> Box<dyn Objective> {
        match self {
            ObjectiveName::Contrastive => Box::new(Contrastive::default()),
            ObjectiveName::Sigmoid => Box::new(Sigmoid::default()),
        }
    }
}

/// What a network is trained for.
pub trait Objective {
    /// What the loss needs to know of each sample: tensors whose first axis are the samples, in fp32, which gradients flow
    /// through. The same for a sample whatever others are with it.
    fn features(&self, network: &Network, inputs: &Inputs) -> Result<Vec<Tensor>> {
        Ok(vec![network.encode_image(&inputs.images()?), network.encode_texts(&inputs.ids, &inputs.lengths)])
    }

    /// The loss of a batch from the features of all its samples, which carry no gradient here.
    fn loss(&self, network: &Network, features: &[Tensor]) -> Result<Loss>;
}

/// The loss of a batch and its gradients.
#[derive(Debug)]
pub struct Loss {
    /// Its value, a scalar in fp32.
    pub value: Tensor,
    /// Its gradients with respect to the features, each of a feature's shape.
    pub of_features: Vec<Tensor>,
    /// Those with respect to parameters that it uses itself, by name.
    pub of_parameters: Vec<(&'static str, Tensor)>,
}
