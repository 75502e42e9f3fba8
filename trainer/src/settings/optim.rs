//! The section `[optim]`: the optimiser, its schedule, and how a batch is computed.

use clip_model::config::{Config, ImageTower};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::formats::{Moment, Precision};
use crate::objective::ObjectiveName;
use crate::tower::Tower;

/// The optimiser (AdamW) and its schedule (linear warm-up, then a cosine).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimSettings {
    /// Pairs in a batch; each picture is told apart from all the others' texts, so more is better.
    pub batch: usize,
    /// Length of the run, batches.
    pub steps: u64,
    /// Highest learning rate.
    pub lr: f64,
    /// Learning rate at the end.
    pub min_lr: f64,
    /// Steps until the learning rate is at its highest. Not given: 500, or a tenth of a shorter run's steps.
    pub warmup: u64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients: the paper's table 18 has 0.999 for ResNets and 0.98 for ViTs.
    pub beta2: f64,
    /// Added to the root of the mean square: the paper's table 18 has 1e-8 for ResNets and 1e-6 for ViTs.
    pub eps: f64,
    /// Decoupled weight decay of matrices and kernels; gains, biases and the logit scale have none.
    pub weight_decay: f64,
    /// Gradients are scaled down to this global norm when they exceed it; 0 leaves them alone.
    pub clip: f64,
    /// Number format of matrix products and convolutions: `fp32`, `bf16`, or `fp16` with scaled gradients (the weights themselves stay
    /// fp32).
    pub precision: Precision,
    /// What is trained for: `contrastive` (CLIP) or `sigmoid` (SigLIP, for networks with a logit bias).
    pub objective: ObjectiveName,
    /// Pairs that go through the network at a time, 0 for the whole batch. The loss and its gradients are the whole batch's
    /// all the same; less memory, and each pair goes through the network twice.
    pub micro_batch: usize,
    /// Whether residual blocks are computed once more for their gradients: of a block only the input is kept in memory,
    /// and a step computes a third more.
    pub checkpointing: bool,
    /// Number format of the optimiser's running means: `fp32`, or `bf16` (stochastically rounded) at half the memory. The paper's
    /// section 2.5 has half-precision Adam statistics.
    pub moments: Moment,
    /// Whether the matrices of the text tower are kept in bf16, rounded stochastically after each update, without a copy in
    /// fp32: the paper's section 2.5.
    pub half_text_weights: bool,
    /// Towers that stay as they are, of `image` and `text`: locked-image tuning (Zhai et al. 2021, arXiv 2111.07991) with
    /// `["image"]`. Batch norms of such a tower use their running statistics.
    pub lock: Vec<Tower>,
    /// Last blocks of a locked tower that are learned all the same, with what follows them; a ResNet's are its four stages.
    pub unlocked_blocks: usize,
    /// Factor on the learning rate from each block to the one before it, for fine-tuning (Clark et al. 2020, arXiv 2003.10555;
    /// Bao et al. 2021, arXiv 2106.08254, has 0.65 to 0.85). 1: all learn alike.
    pub layer_decay: f64,
    /// Share of an image's patches that a step leaves out, drawn anew for each (Li et al. 2022, arXiv 2212.00794, has 0.5 to 0.75).
    /// ViTs alone. 0: none.
    pub patch_dropout: f64,
    /// Decay of an exponential average of the weights over the steps, 0.999 or so; 0 keeps none. Checkpoints then have the
    /// average, and validation measures it; the training state has both.
    pub ema: f64,
    /// Share of the loss that is learning from a teacher's similarities (`--teacher`; Hinton et al. 2015, arXiv 1503.02531); the
    /// objective's own has the rest. open_clip's `--distill` adds both alike: 0.5.
    pub distill: f64,
    /// Seed of the first weights, of shuffling and of augmentation.
    pub seed: u64,
}

impl Default for OptimSettings {
    fn default() -> Self {
        OptimSettings {
            batch: 256,
            steps: 10_000,
            lr: 5e-4,
            min_lr: 0.0,
            warmup: 500,
            beta1: 0.9,
            beta2: 0.98,
            eps: 1e-6,
            weight_decay: 0.2,
            clip: 0.0,
            precision: Precision::Fp32,
            objective: ObjectiveName::Contrastive,
            micro_batch: 0,
            checkpointing: false,
            moments: Moment::Fp32,
            half_text_weights: false,
            lock: Vec::new(),
            unlocked_blocks: 0,
            layer_decay: 1.0,
            patch_dropout: 0.0,
            ema: 0.0,
            distill: 0.5,
            seed: 0,
        }
    }
}

impl OptimSettings {
    /// Refuses what cannot be done with a network like this.
    ///
    /// # Errors
    /// [`Error::Settings`] when the objective needs a logit bias that is not there or the other way round, and for patch dropout or
    /// passes of a single pair with a ResNet.
    pub fn suits(&self, config: &Config) -> Result<()> {
        let is_resnet = matches!(config.image, ImageTower::ResNet(_));
        let sigmoid = self.objective == ObjectiveName::Sigmoid;
        for (holds, otherwise) in [
            (
                !sigmoid || config.logit_bias,
                "optim.objective = \"sigmoid\" needs a network with a logit bias: set model.logit_bias = true",
            ),
            (
                sigmoid || !config.logit_bias,
                "a network with a logit bias is trained with a sigmoid: set optim.objective = \"sigmoid\", or, for a new network, \
                 model.logit_bias = false",
            ),
            (
                self.patch_dropout == 0.0 || !is_resnet,
                "optim.patch_dropout leaves out patches, which a ResNet does not have: it is for Vision Transformers",
            ),
            (
                !is_resnet
                    || self.micro_batch == 0
                    || self.batch / self.batch.div_ceil(self.micro_batch) >= 2,
                "optim.micro_batch leaves parts of a single pair, of which a ResNet's batch norms cannot take the variance: make \
                 it larger",
            ),
        ] {
            if !holds {
                return Err(Error::Settings(otherwise.to_owned()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_suit_a_network_is_refused() {
        let plain = Config::named("RN50").unwrap();
        let biased = Config { logit_bias: true, ..plain.clone() };
        let usual = OptimSettings::default;
        let sigmoid = || OptimSettings { objective: ObjectiveName::Sigmoid, ..usual() };
        usual().suits(&plain).unwrap();
        sigmoid().suits(&biased).unwrap();
        let parts = |batch, micro_batch| OptimSettings { batch, micro_batch, ..usual() };
        parts(33, 4).suits(&plain).unwrap();
        for (optim, config, part) in [
            (sigmoid(), &plain, "model.logit_bias = true"),
            (usual(), &biased, "objective = \"sigmoid\""),
            (OptimSettings { patch_dropout: 0.5, ..usual() }, &plain, "which a ResNet does not have"),
            (parts(32, 1), &plain, "parts of a single pair"),
            (parts(33, 2), &plain, "parts of a single pair"),
        ] {
            let message = optim.suits(config).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        OptimSettings { patch_dropout: 0.5, ..parts(33, 1) }
            .suits(&Config::named("ViT-B/32").unwrap())
            .unwrap();
    }
}
