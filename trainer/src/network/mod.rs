//! The network of [`clip_model::clip`] over libtorch, for training.
//!
//! With [`Precision::Bf16`], convolutions and matrix products take bf16 operands, as PyTorch's autocast does; layer
//! norms, the final normalisation and the loss compute in fp32, and the weights themselves stay fp32. Each weight is
//! converted once a step, however often it is used.

mod attention;
mod ops;
mod patches;
mod tape;
mod texts;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use clip_checkpoint::Checkpoint;
use clip_model::clip;
use clip_model::config::{Config, ImageTower};
use clip_model::ops::Projections;
use tch::{Device, Kind, Tensor, no_grad};

use crate::error::Result;
pub use crate::formats::Precision;
use crate::parameters::Parameters;
use crate::tower::Tower;
pub(crate) use patches::PatchDropout;
pub(crate) use tape::Tape;
pub(crate) use texts::lengths;

/// A CLIP network with its weights on a device.
#[derive(Debug)]
pub struct Network {
    /// Sizes and choices.
    pub config: Config,
    /// All tensors. After a change of their values, [`Network::refresh`] is due.
    pub parameters: Parameters,
    /// Where the tensors are.
    pub device: Device,
    precision: Precision,
    training: bool,
    /// Whether nothing in the image tower is learned, and nothing in the text tower.
    fixed: [bool; 2],
    /// Patches that a pass leaves out.
    dropout: Cell<PatchDropout>,
    /// Whether batch norms in training take a batch into their running statistics.
    counts: Cell<bool>,
    /// Weights in the format of products, each a leaf of its own for gradients.
    operands: RefCell<HashMap<String, Tensor>>,
    /// The blocks of the pass under way, when they are to be computed again for their gradients.
    tape: RefCell<Option<Tape>>,
}

impl Network {
    /// A network with these parameters, which must be those of `config`; in evaluation mode.
    pub fn new(config: Config, parameters: Parameters, device: Device, precision: Precision) -> Network {
        let fixed = [Tower::Image, Tower::Text]
            .map(|tower| !parameters.learned().any(|(name, _)| Tower::of(name) == Some(tower)));
        Network {
            config,
            parameters,
            device,
            precision,
            training: false,
            fixed,
            dropout: Cell::default(),
            counts: Cell::new(true),
            operands: RefCell::default(),
            tape: RefCell::default(),
        }
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

    /// Takes over changed values of the parameters.
    pub fn refresh(&self) -> Result<()> {
        for (name, operand) in self.operands.borrow_mut().iter_mut() {
            no_grad(|| operand.f_copy_(self.parameter(name)))?;
        }
        Ok(())
    }

    /// Normalised pixels `[B, 3, S, S]`, fp32 on the network's device, to embeddings of length one, `[B, embed_dim]`.
    pub fn encode_image(&self, images: &Tensor) -> Tensor {
        let images = match self.config.image {
            ImageTower::ResNet(_) => channels_last(images),
            ImageTower::ViT(_) => images.shallow_clone(),
        };
        self.tower(Tower::Image, || clip::encode_image(self, &self.config, &images))
    }

    /// Token ids `[B, L]`, int64 on the network's device, to embeddings of length one, `[B, embed_dim]`. What follows the end
    /// of a text has no influence.
    pub fn encode_text(&self, ids: &Tensor) -> Tensor {
        self.tower(Tower::Text, || clip::encode_text(self, &self.config, ids))
    }

    /// A pass through a tower. Of one in which nothing is learned no gradients are asked for.
    fn tower(&self, tower: Tower, pass: impl FnOnce() -> Tensor) -> Tensor {
        if self.fixed[tower as usize] {
            return no_grad(|| self.untaped(pass));
        }
        self.begin_tower();
        pass()
    }

    /// Leaves patches out of the passes that follow, in training.
    pub(crate) fn drop_patches(&self, dropout: PatchDropout) {
        self.dropout.set(dropout);
    }

    /// The factor on cosine similarities, a scalar tensor that gradients flow through.
    pub fn logit_scale(&self) -> Tensor {
        self.parameters.tensor("logit_scale").exp()
    }

    /// The summand on scaled similarities, a scalar tensor that gradients flow through; None for a network without one.
    pub fn logit_bias(&self) -> Option<&Tensor> {
        self.parameters.find("logit_bias")
    }

    /// Runs `pass` so that batch norms leave their running statistics alone.
    pub(crate) fn without_counting<R>(&self, pass: impl FnOnce() -> R) -> R {
        let before = self.counts.replace(false);
        let result = pass();
        self.counts.set(before);
        result
    }

    /// What gradients are taken with respect to: the number of a learned parameter, and the tensor that was computed with.
    pub(crate) fn leaves(&self) -> Vec<(usize, Tensor)> {
        let operands = self.operands.borrow();
        let mut leaves = Vec::new();
        for (index, (name, parameter)) in self.parameters.learned().enumerate() {
            leaves.push((index, parameter.shallow_clone()));
            leaves.extend(operands.get(name).map(|operand| (index, operand.shallow_clone())));
        }
        leaves
    }

    fn parameter(&self, name: &str) -> &Tensor {
        self.parameters.tensor(name)
    }

    /// A parameter as the operand of a convolution or matrix product.
    fn weight(&self, name: &str) -> Tensor {
        let (parameter, kind) = (self.parameter(name), self.precision.operands());
        if parameter.kind() == kind {
            return parameter.shallow_clone();
        }
        let mut operands = self.operands.borrow_mut();
        if let Some(operand) = operands.get(name) {
            return operand.shallow_clone();
        }
        let operand = no_grad(|| parameter.to_kind(kind)).set_requires_grad(parameter.requires_grad());
        operands.insert(name.to_owned(), operand.shallow_clone());
        operand
    }

    /// A parameter in fp32, whatever it is kept in.
    fn single(&self, name: &str) -> Tensor {
        self.parameter(name).to_kind(Kind::Float)
    }

    /// A value as the operand of a convolution or matrix product.
    fn operand(&self, x: &Tensor) -> Tensor {
        x.to_kind(self.precision.operands())
    }

    /// The affine map whose parameters are `{prefix}weight` and `{prefix}bias`.
    fn affine(&self, x: &Tensor, prefix: &str) -> Tensor {
        let [weight, bias] = ["weight", "bias"].map(|part| self.weight(&format!("{prefix}{part}")));
        self.operand(x).linear(&weight, Some(&bias))
    }

    /// Weight and bias of the query (0), key (1) or value (2) map of an attention, as operands.
    fn projection(&self, maps: Projections<'_>, part: i64, width: i64) -> [Tensor; 2] {
        ["weight", "bias"].map(|suffix| match maps {
            Projections::Stacked(name) => {
                self.weight(&format!("{name}.in_proj_{suffix}")).narrow(0, part * width, width)
            }
            Projections::Separate(name) => {
                let map = ["q_proj", "k_proj", "v_proj"][part as usize];
                self.weight(&format!("{name}.{map}.{suffix}"))
            }
        })
    }
}

/// The same values with the channels of a pixel side by side in memory, the layout in which convolutions are fastest;
/// what is computed from them keeps it.
fn channels_last(images: &Tensor) -> Tensor {
    images.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}
