//! One training step: forward, loss, backward, update.

use std::ops::Range;

use tch::{Kind, Tensor, no_grad};

use crate::error::Result;
use crate::formats::Precision;
use crate::gradients::{Gradients, clipping, finite};
use crate::inputs::Inputs;
use crate::network::{Network, PatchDropout};
use crate::objective::{Loss, Objective};
use crate::optimizer::{AdamW, clamp_logit_scale};
use crate::scaler::LossScaler;
use crate::settings::OptimSettings;

/// What a step showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The loss, before the update.
    pub loss: f64,
    /// Global norm of the gradients, before they were clipped.
    pub gradient_norm: f64,
}

/// How a batch goes through a network whose activations for all of it may not fit into memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Passes {
    /// Pairs in a pass; 0: all.
    pub micro_batch: usize,
    /// Whether residual blocks are computed once more for their gradients, so that only their inputs are kept.
    pub checkpointing: bool,
    /// Factor on the gradients, see [`crate::scaler::LossScaler`].
    pub scale: f64,
    /// Share of an image's patches that is left out.
    pub patch_dropout: f64,
    /// What is drawn at random depends on it.
    pub seed: u64,
}

impl Default for Passes {
    fn default() -> Passes {
        Passes { micro_batch: 0, checkpointing: false, scale: 1.0, patch_dropout: 0.0, seed: 0 }
    }
}

impl Passes {
    /// Those of step number `step` as the settings say.
    pub fn of(optim: &OptimSettings, step: u64) -> Passes {
        let OptimSettings { micro_batch, checkpointing, patch_dropout, seed, .. } = *optim;
        // Any two steps of any two seeds have different numbers: an odd factor is a bijection.
        let seed = seed.rotate_left(32) ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Passes { micro_batch, checkpointing, patch_dropout, seed, ..Passes::default() }
    }

    /// The parts of a batch of `pairs` that go through the network at a time, of about one size.
    fn parts(&self, pairs: usize) -> Vec<Range<usize>> {
        let count = if self.micro_batch == 0 { 1 } else { pairs.div_ceil(self.micro_batch).max(1) };
        (0..count).map(|part| part * pairs / count..(part + 1) * pairs / count).collect()
    }

    /// Draws what the pass that begins with pair number `start` leaves out, the same each time.
    fn draw(&self, network: &Network, start: usize) {
        let seed = self.seed.wrapping_add(start as u64);
        network.drop_patches(PatchDropout { share: self.patch_dropout, seed });
    }
}

/// The loss of a batch and its gradients, those times `passes.scale`; the network must be in training mode, and its batch norms take the batch into
/// their running statistics.
///
/// With micro-batches the loss is still that of the whole batch, and so are the gradients. (Batch norms normalise a micro-batch
/// by itself.)
pub fn loss_and_gradients(
    network: &Network,
    objective: &dyn Objective,
    inputs: &Inputs,
    passes: Passes,
) -> Result<(Tensor, Gradients)> {
    let parts = passes.parts(inputs.len());
    let mut gradients = Gradients::none(&network.parameters);
    if parts.len() == 1 {
        passes.draw(network, 0);
        let (features, tape) = network.recorded(passes.checkpointing, || objective.features(network, inputs));
        let features = features?;
        let detached: Vec<Tensor> = features.iter().map(Tensor::detach).collect();
        let loss = objective.loss(network, &detached)?;
        network.backward(&projected(&features, &loss.of_features, passes.scale)?, tape, &mut gradients)?;
        return finished(network, loss, passes.scale, gradients);
    }
    // Columns are features, rows the parts of the batch.
    let mut columns: Vec<Vec<Tensor>> = Vec::new();
    for part in &parts {
        passes.draw(network, part.start);
        let features =
            no_grad(|| network.without_counting(|| objective.features(network, &inputs.part(part)?)))?;
        columns.resize_with(features.len(), Vec::new);
        columns.iter_mut().zip(features).for_each(|(column, feature)| column.push(feature));
    }
    let features = columns.iter().map(|parts| Tensor::f_cat(parts, 0));
    let features: Vec<Tensor> = features.collect::<std::result::Result<_, _>>()?;
    let loss = objective.loss(network, &features)?;
    for part in &parts {
        let inputs = inputs.part(part)?;
        passes.draw(network, part.start);
        let (features, tape) =
            network.recorded(passes.checkpointing, || objective.features(network, &inputs));
        let own = loss
            .of_features
            .iter()
            .map(|gradient| gradient.f_narrow(0, part.start as i64, part.len() as i64));
        let own: Vec<Tensor> = own.collect::<std::result::Result<_, _>>()?;
        network.backward(&projected(&features?, &own, passes.scale)?, tape, &mut gradients)?;
    }
    finished(network, loss, passes.scale, gradients)
}

/// The sum of the products of features and their gradients: a scalar whose gradients are the loss's, times `scale`.
fn projected(features: &[Tensor], gradients: &[Tensor], scale: f64) -> Result<Tensor> {
    let products = features.iter().zip(gradients).map(|(f, g)| f.f_mul(g)?.f_sum(Kind::Float));
    let products: Vec<Tensor> = products.collect::<std::result::Result<_, _>>()?;
    Ok(Tensor::f_stack(&products, 0)?.f_sum(Kind::Float)?.f_mul_scalar(scale)?)
}

/// Adds the gradients of what the loss itself is computed with.
fn finished(
    network: &Network,
    loss: Loss,
    scale: f64,
    mut gradients: Gradients,
) -> Result<(Tensor, Gradients)> {
    for (name, gradient) in loss.of_parameters {
        if let Some(index) = network.parameters.learned().position(|(found, _)| found == name) {
            gradients.add(index, gradient.f_mul_scalar(scale)?)?;
        }
    }
    Ok((loss.value, gradients))
}

/// A whole step: [`loss_and_gradients`], clipping, the update with learning rate `lr`, the clamp of the logit scale. A step whose
/// gradients overflow in fp16 changes nothing but `scaler`.
///
/// # Errors
/// [`crate::Error::NotFinite`] for a loss or gradients that are; the parameters are then still those before the step.
pub fn train_step(
    network: &mut Network,
    (optimizer, scaler): (&mut AdamW, &mut LossScaler),
    objective: &dyn Objective,
    inputs: &Inputs,
    optim: &OptimSettings,
    lr: f64,
) -> Result<Outcome> {
    let step = optimizer.updates + 1;
    let scale = if optim.precision == Precision::Fp16 { scaler.scale } else { 1.0 };
    let passes = Passes { scale, ..Passes::of(optim, step) };
    let (loss, gradients) = loss_and_gradients(network, objective, inputs, passes)?;
    let loss = loss.f_double_value(&[])?;
    finite(step, "loss", loss)?;
    let gradient_norm = gradients.norm()? / scale;
    if optim.precision == Precision::Fp16 {
        if !gradient_norm.is_finite() && scaler.overflowed() {
            optimizer.updates += 1;
            return Ok(Outcome { loss, gradient_norm });
        }
        scaler.succeeded();
    }
    finite(step, "norm of the gradients", gradient_norm)?;
    let factor = clipping(gradient_norm, optim.clip) / scale;
    optimizer.step(&mut network.parameters, &gradients, factor, optim, lr)?;
    drop(gradients);
    clamp_logit_scale(&network.parameters);
    network.refresh()?;
    Ok(Outcome { loss, gradient_norm })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_about_one_size() {
        let sizes = |micro_batch, pairs| -> Vec<usize> {
            Passes { micro_batch, ..Passes::default() }.parts(pairs).iter().map(Range::len).collect()
        };
        assert_eq!((sizes(0, 33), sizes(32, 33), sizes(16, 33)), (vec![33], vec![16, 17], vec![11; 3]));
        assert_eq!((sizes(100, 33), sizes(1, 3)), (vec![33], vec![1; 3]));
    }
}
