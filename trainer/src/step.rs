//! One training step: forward, loss, backward, update.

use tch::{Kind, Tensor, no_grad};

use crate::error::Result;
use crate::gradients::{Gradients, clipping, finite};
use crate::inputs::Inputs;
use crate::network::Network;
use crate::objective::{Loss, Objective};
use crate::optimizer::{AdamW, clamp_logit_scale};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passes {
    /// Pairs in a pass; 0: all.
    pub micro_batch: usize,
    /// Whether residual blocks are computed once more for their gradients, so that only their inputs are kept.
    pub checkpointing: bool,
}

impl Passes {
    /// As the settings say.
    pub fn of(optim: &OptimSettings) -> Passes {
        Passes { micro_batch: optim.micro_batch, checkpointing: optim.checkpointing }
    }
}

/// The loss of a batch and its gradients; the network must be in training mode, and its batch norms take the batch into
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
    let micro = if passes.micro_batch == 0 { inputs.len() } else { passes.micro_batch.min(inputs.len()) };
    let mut gradients = Gradients::none(&network.parameters);
    if micro == inputs.len() {
        let (features, tape) = network.recorded(passes.checkpointing, || objective.features(network, inputs));
        let features = features?;
        let detached: Vec<Tensor> = features.iter().map(Tensor::detach).collect();
        let loss = objective.loss(network, &detached)?;
        network.backward(&projected(&features, &loss.of_features)?, tape, &mut gradients)?;
        return finished(network, loss, gradients);
    }
    let starts = || (0..inputs.len()).step_by(micro);
    let part = |start: usize| inputs.part(start, micro.min(inputs.len() - start));
    // Columns are features, rows the parts of the batch.
    let mut columns: Vec<Vec<Tensor>> = Vec::new();
    for start in starts() {
        let features = no_grad(|| network.without_counting(|| objective.features(network, &part(start)?)))?;
        columns.resize_with(features.len(), Vec::new);
        columns.iter_mut().zip(features).for_each(|(column, feature)| column.push(feature));
    }
    let features = columns.iter().map(|parts| Tensor::f_cat(parts, 0));
    let features: Vec<Tensor> = features.collect::<std::result::Result<_, _>>()?;
    let loss = objective.loss(network, &features)?;
    for start in starts() {
        let part = part(start)?;
        let (features, tape) = network.recorded(passes.checkpointing, || objective.features(network, &part));
        let own =
            loss.of_features.iter().map(|gradient| gradient.f_narrow(0, start as i64, part.len() as i64));
        let own: Vec<Tensor> = own.collect::<std::result::Result<_, _>>()?;
        network.backward(&projected(&features?, &own)?, tape, &mut gradients)?;
    }
    finished(network, loss, gradients)
}

/// The sum of the products of features and their gradients: a scalar whose gradients are the loss's.
fn projected(features: &[Tensor], gradients: &[Tensor]) -> Result<Tensor> {
    let products = features.iter().zip(gradients).map(|(f, g)| f.f_mul(g)?.f_sum(Kind::Float));
    let products: Vec<Tensor> = products.collect::<std::result::Result<_, _>>()?;
    Ok(Tensor::f_stack(&products, 0)?.f_sum(Kind::Float)?)
}

/// Adds the gradients of what the loss itself is computed with.
fn finished(network: &Network, loss: Loss, mut gradients: Gradients) -> Result<(Tensor, Gradients)> {
    for (name, gradient) in loss.of_parameters {
        if let Some(index) = network.parameters.learned().position(|(found, _)| found == name) {
            gradients.add(index, gradient)?;
        }
    }
    Ok((loss.value, gradients))
}

/// A whole step: [`loss_and_gradients`], clipping, the update with learning rate `lr`, the clamp of the logit scale.
///
/// # Errors
/// [`crate::Error::NotFinite`] for a loss or gradients that are; the parameters are then still those before the step.
pub fn train_step(
    network: &mut Network,
    optimizer: &mut AdamW,
    objective: &dyn Objective,
    inputs: &Inputs,
    optim: &OptimSettings,
    lr: f64,
) -> Result<Outcome> {
    let step = optimizer.updates + 1;
    let (loss, gradients) = loss_and_gradients(network, objective, inputs, Passes::of(optim))?;
    let loss = loss.f_double_value(&[])?;
    finite(step, "loss", loss)?;
    let gradient_norm = gradients.norm()?.f_double_value(&[])?;
    finite(step, "norm of the gradients", gradient_norm)?;
    let factor = clipping(gradient_norm, optim.clip);
    optimizer.step(&mut network.parameters, &gradients, factor, optim, lr)?;
    drop(gradients);
    clamp_logit_scale(&network.parameters);
    network.refresh()?;
    Ok(Outcome { loss, gradient_norm })
}
