//! SigLIP's sigmoid loss (Zhai et al. 2023, arXiv 2303.15343, section 3).

use tch::{Kind, Tensor, no_grad};

use super::similarities::{ROWS, chunks, scale};
use super::{Loss, Objective};
use crate::error::{Error, Result};
use crate::network::Network;

/// For each picture and text of a batch the logarithm of the probability that they are told rightly to belong together or not:
/// with `z` 1 on the diagonal and -1 elsewhere, the loss is minus the sum of `ln sigmoid(z (s x_i . y_j + b))` over the number of
/// pairs. `s` and `b` are the network's logit scale and logit bias. Some rows at a time, as in [`super::Contrastive`].
#[derive(Debug, Clone, Copy)]
pub struct Sigmoid {
    rows: i64,
}

impl Default for Sigmoid {
    fn default() -> Sigmoid {
        Sigmoid { rows: ROWS }
    }
}

impl Objective for Sigmoid {
    fn loss(&self, network: &Network, features: &[Tensor]) -> Result<Loss> {
        let bias = network.logit_bias().ok_or_else(|| {
            Error::Settings("optim.objective = \"sigmoid\" needs a network with a logit bias".to_owned())
        })?;
        no_grad(|| loss(&features[0], &features[1], &scale(network), &bias.detach(), self.rows))
    }
}

fn loss(images: &Tensor, texts: &Tensor, scale: &Tensor, bias: &Tensor, rows: i64) -> Result<Loss> {
    let pairs = images.size()[0] as f64;
    let scaled = images.f_mul(scale)?; // [B, D]
    let transposed = texts.f_transpose(0, 1)?;
    let zero = || Tensor::f_zeros([0i64; 0], (Kind::Float, images.device()));
    let (mut value, mut of_bias, mut of_texts) = (zero()?, zero()?, texts.f_zeros_like()?);
    let mut of_images = Vec::new();
    for (start, chunk) in chunks(&scaled, rows) {
        let logits = chunk.f_matmul(&transposed)?.f_add(bias)?;
        // -ln sigmoid(-l) for what does not belong together; on the diagonal, -ln sigmoid(l) is less by l.
        let own = logits.f_diagonal(start, 0, 1)?;
        value = value.f_add(&logits.f_softplus()?.f_sum(Kind::Float)?)?.f_sub(&own.f_sum(Kind::Float)?)?;
        let gradient = logits.f_sigmoid()?;
        let _ = gradient.f_diagonal(start, 0, 1)?.f_sub_scalar_(1.0)?;
        let gradient = gradient.f_mul_scalar(1.0 / pairs)?;
        of_bias = of_bias.f_add(&gradient.f_sum(Kind::Float)?)?;
        of_images.push(gradient.f_matmul(texts)?); // with respect to the scaled ones
        let _ = of_texts.f_addmm_(&gradient.f_transpose(0, 1)?, &chunk)?;
    }
    let of_scaled = Tensor::f_cat(&of_images, 0)?;
    let of_log_scale = of_scaled.f_mul(&scaled)?.f_sum(Kind::Float)?;
    Ok(Loss {
        value: value.f_mul_scalar(1.0 / pairs)?,
        of_features: vec![of_scaled.f_mul(scale)?, of_texts],
        of_parameters: vec![("logit_scale", of_log_scale), ("logit_bias", of_bias)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// The paper's formula over all pairs at once, and autograd; 13 rows are no multiple of 5.
    #[test]
    fn chunks_give_the_formulas_loss_and_gradients() {
        tch::manual_seed(13);
        let random = || Tensor::randn([13, 6], (Kind::Float, Device::Cpu));
        let unit = |x: Tensor| &x / x.norm_scalaropt_dim(2.0, [1i64], true);
        let leaves = [unit(random()), unit(random()), Tensor::from(2.0f32), Tensor::from(-3.0f32)]
            .map(|x| x.detach().set_requires_grad(true));
        let [images, texts, log_scale, bias] = &leaves;
        let logits = (log_scale.exp() * images).matmul(&texts.transpose(0, 1)) + bias;
        let signs = Tensor::eye(13, (Kind::Float, Device::Cpu)) * 2.0 - 1.0;
        let whole = (signs * logits).log_sigmoid().sum(Kind::Float) * (-1.0 / 13.0);
        let expected = Tensor::run_backward(&[&whole], &leaves.each_ref(), false, false);
        for rows in [5, 13, 100] {
            let found = no_grad(|| loss(images, texts, &log_scale.exp(), bias, rows)).unwrap();
            assert!((found.value.double_value(&[]) - whole.double_value(&[])).abs() < 1e-5);
            let parameters = found.of_parameters.iter().map(|(_, gradient)| gradient);
            for (found, expected) in found.of_features.iter().chain(parameters).zip(&expected) {
                let difference = (found - expected).abs().max().double_value(&[]);
                assert!(difference < 1e-5, "{rows} rows: {difference}");
            }
        }
    }
}
