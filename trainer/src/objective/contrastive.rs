//! CLIP's contrastive loss: the paper's figure 3 and section 2.3.

use tch::{Kind, Tensor, no_grad};

use super::similarities::{ROWS, Sums, chunks, scale};
use super::{Loss, Objective};
use crate::error::Result;
use crate::network::Network;

/// Symmetric cross-entropy over the scaled cosine similarities of all pairs in a batch.
///
/// With similarities `s` times `x_i . y_j` in rows and the pairs on the diagonal, the loss is the mean over all rows and all
/// columns of the logarithm of the sum of exponentials less the diagonal's element; its gradient with respect to a
/// similarity is half the softmax along its row, plus half the one along its column, less one on the diagonal, over the
/// number of pairs. Both are computed some rows at a time, so that memory goes with the rows times the pairs.
#[derive(Debug, Clone, Copy)]
pub struct Contrastive {
    rows: i64,
}

impl Default for Contrastive {
    fn default() -> Contrastive {
        Contrastive { rows: ROWS }
    }
}

impl Contrastive {
    /// With so many rows of similarities at a time.
    pub fn with_rows(rows: usize) -> Contrastive {
        Contrastive { rows: rows.max(1) as i64 }
    }
}

impl Objective for Contrastive {
    fn loss(&self, network: &Network, features: &[Tensor]) -> Result<Loss> {
        no_grad(|| loss(&features[0], &features[1], &scale(network), self.rows))
    }
}

fn loss(images: &Tensor, texts: &Tensor, scale: &Tensor, rows: i64) -> Result<Loss> {
    let pairs = images.size()[0] as f64;
    let scaled = images.f_mul(scale)?; // [B, D]
    let transposed = texts.f_transpose(0, 1)?;
    let sums = Sums::of(&scaled, &transposed, rows)?;
    let own = scaled.f_mul(texts)?.f_sum(Kind::Float)?;
    let value = sums.total()?.f_mul_scalar(0.5)?.f_sub(&own)?.f_mul_scalar(1.0 / pairs)?;
    let mut of_images = Vec::new();
    let mut of_texts = texts.f_zeros_like()?;
    for (start, chunk) in chunks(&scaled, rows) {
        let gradient = sums.softmaxes(&chunk.f_matmul(&transposed)?, start)?;
        let _ = gradient.f_diagonal(start, 0, 1)?.f_sub_scalar_(2.0)?;
        let gradient = gradient.f_mul_scalar(0.5 / pairs)?;
        of_images.push(gradient.f_matmul(texts)?); // with respect to the scaled ones
        let _ = of_texts.f_addmm_(&gradient.f_transpose(0, 1)?, &chunk)?;
    }
    let of_scaled = Tensor::f_cat(&of_images, 0)?;
    // The derivative of exp is itself: scale times d/dscale.
    let of_log_scale = of_scaled.f_mul(&scaled)?.f_sum(Kind::Float)?;
    Ok(Loss {
        value,
        of_features: vec![of_scaled.f_mul(scale)?, of_texts],
        of_parameters: vec![("logit_scale", of_log_scale)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn value(images: &Tensor, texts: &Tensor, scale: f32) -> f64 {
        loss(images, texts, &Tensor::from(scale), 5).unwrap().value.double_value(&[])
    }

    /// Two orthogonal pairs, scale s: each row's loss is ln(1 + e^-s).
    #[test]
    fn closed_form() {
        let eye = Tensor::eye(2, (Kind::Float, Device::Cpu));
        let found = value(&eye, &eye, 3.0);
        assert!((found - (1.0 + (-3.0f64).exp()).ln()).abs() < 1e-6, "{found}");
        let swapped = value(&eye, &eye.flip([0]), 3.0);
        assert!((swapped - (1.0 + 3.0f64.exp()).ln()).abs() < 1e-6, "{swapped}");
    }

    /// The two directions differ when the similarities are not symmetric: both count.
    #[test]
    fn both_directions() {
        let images = Tensor::from_slice2(&[[1.0f32, 0.0], [0.6, 0.8]]);
        let texts = Tensor::from_slice2(&[[1.0f32, 0.0], [0.0, 1.0]]);
        let found = value(&images, &texts, 1.0);
        let own = |a: f64, b: f64| (1.0 + (b - a).exp()).ln();
        let expected = (own(1.0, 0.0) + own(0.8, 0.6) + own(1.0, 0.6) + own(0.8, 0.0)) / 4.0;
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }

    /// What PyTorch's cross-entropy and autograd give for all similarities at once; 13 rows are no multiple of 5.
    #[test]
    fn chunks_give_the_whole_losss_gradients() {
        tch::manual_seed(13);
        let random = || Tensor::randn([13, 6], (Kind::Float, Device::Cpu));
        let unit = |x: Tensor| &x / x.norm_scalaropt_dim(2.0, [1i64], true);
        let leaves = [unit(random()), unit(random()), Tensor::from(2.0f32)]
            .map(|x| x.detach().set_requires_grad(true));
        let [images, texts, log_scale] = &leaves;
        let logits = (log_scale.exp() * images).matmul(&texts.transpose(0, 1));
        let own = Tensor::arange(13, (Kind::Int64, Device::Cpu));
        let whole = (logits.cross_entropy_for_logits(&own)
            + logits.transpose(0, 1).cross_entropy_for_logits(&own))
            * 0.5;
        let expected = Tensor::run_backward(&[&whole], &leaves.each_ref(), false, false);
        for rows in [5, 13, 100] {
            let found = no_grad(|| loss(images, texts, &log_scale.exp(), rows)).unwrap();
            assert!((found.value.double_value(&[]) - whole.double_value(&[])).abs() < 5e-6);
            let gradients = found.of_features.iter().chain([&found.of_parameters[0].1]);
            for (found, expected) in gradients.zip(&expected) {
                let difference = (found - expected).abs().max().double_value(&[]);
                assert!(difference < 5e-6, "{rows} rows: {difference}");
            }
        }
    }
}
