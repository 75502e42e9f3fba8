//! One training step: forward, loss, backward, update.

use clip_data::Batch;
use tch::{Device, Tensor};

use crate::error::Result;
use crate::gradients::{Gradients, finite};
use crate::loss::contrastive;
use crate::network::Network;
use crate::optimizer::{AdamW, clamp_logit_scale};
use crate::settings::OptimSettings;

/// What a step showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The contrastive loss, before the update.
    pub loss: f64,
    /// Global norm of the gradients, before they were clipped.
    pub gradient_norm: f64,
}

/// The contrastive loss of a batch and its gradients; the network must be in training mode, and its batch norms take
/// the batch into their running statistics.
///
/// `images`: `[B, 3, S, S]`, fp32; `ids`: `[B, L]`, int64; both on the network's device.
pub fn loss_and_gradients(network: &Network, images: &Tensor, ids: &Tensor) -> Result<(f64, Gradients)> {
    let image_embeddings = network.encode_image(images);
    let text_embeddings = network.encode_text(ids);
    let loss = contrastive(&image_embeddings, &text_embeddings, &network.logit_scale());
    let gradients = Gradients::of(&loss, &network.parameters)?;
    Ok((loss.f_double_value(&[])?, gradients))
}

/// A whole step: [`loss_and_gradients`], clipping, the update with learning rate `lr`, the clamp of the logit scale.
///
/// # Errors
/// [`crate::Error::NotFinite`] for a loss or gradients that are; the parameters are then still those before the step.
pub fn train_step(
    network: &mut Network,
    optimizer: &mut AdamW,
    (images, ids): (&Tensor, &Tensor),
    optim: &OptimSettings,
    lr: f64,
) -> Result<Outcome> {
    let step = optimizer.updates + 1;
    let (loss, mut gradients) = loss_and_gradients(network, images, ids)?;
    finite(step, "loss", loss)?;
    let gradient_norm = gradients.clip(optim.clip);
    finite(step, "norm of the gradients", gradient_norm)?;
    optimizer.step(&mut network.parameters, &gradients, optim, lr);
    clamp_logit_scale(&network.parameters);
    Ok(Outcome { loss, gradient_norm })
}

/// A batch's pictures `[B, 3, S, S]` and ids `[B, L]` on `device`.
pub fn tensors(batch: &Batch, device: Device) -> Result<(Tensor, Tensor)> {
    let (size, length) = (batch.size as i64, batch.length as i64);
    let side = ((batch.images.len() / (3 * batch.size.max(1))) as f64).sqrt().round() as i64;
    let images = Tensor::f_from_slice(&batch.images)?.f_view([size, 3, side, side])?;
    let ids = Tensor::f_from_slice(&batch.ids)?.f_view([size, length])?;
    Ok((images.f_to_device(device)?, ids.f_to_device(device)?))
}
