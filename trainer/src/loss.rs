//! The contrastive loss.

use tch::{Kind, Tensor};

/// Symmetric cross-entropy over the scaled cosine similarities of all pairs in a batch (the paper's figure 3).
///
/// `images`, `texts`: embeddings of length one, `[B, D]`, row i of one belonging to row i of the other; `scale`: scalar.
pub fn contrastive(images: &Tensor, texts: &Tensor, scale: &Tensor) -> Tensor {
    let logits = (scale * images).matmul(&texts.transpose(0, 1)); // [B, B]
    let own = Tensor::arange(logits.size()[0], (Kind::Int64, logits.device()));
    let of_images = logits.cross_entropy_for_logits(&own);
    let of_texts = logits.transpose(0, 1).cross_entropy_for_logits(&own);
    (of_images + of_texts) * 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two orthogonal pairs, scale s: each row's loss is ln(1 + e^-s).
    #[test]
    fn closed_form() {
        let eye = Tensor::eye(2, (Kind::Float, tch::Device::Cpu));
        let loss = contrastive(&eye, &eye, &Tensor::from(3.0f32)).double_value(&[]);
        assert!((loss - (1.0 + (-3.0f64).exp()).ln()).abs() < 1e-6, "{loss}");
        let swapped = contrastive(&eye, &eye.flip([0]), &Tensor::from(3.0f32)).double_value(&[]);
        assert!((swapped - (1.0 + 3.0f64.exp()).ln()).abs() < 1e-6, "{swapped}");
    }

    /// The two directions differ when the similarities are not symmetric: both count.
    #[test]
    fn both_directions() {
        let images = Tensor::from_slice2(&[[1.0f32, 0.0], [0.6, 0.8]]);
        let texts = Tensor::from_slice2(&[[1.0f32, 0.0], [0.0, 1.0]]);
        let loss = contrastive(&images, &texts, &Tensor::from(1.0f32)).double_value(&[]);
        let own = |a: f64, b: f64| (1.0 + (b - a).exp()).ln();
        let expected = (own(1.0, 0.0) + own(0.8, 0.6) + own(1.0, 0.6) + own(0.8, 0.0)) / 4.0;
        assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");
    }
}
