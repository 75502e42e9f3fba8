//! The loss of pairs that were not trained on.

use tch::Tensor;

use super::Validator;
use crate::error::Result;
use crate::network::Network;

impl Validator {
    /// The objective's loss of batches in the order of the pairs, the mean weighted by their pairs: the last batch may have
    /// fewer. For the contrastive objective this is what open_clip logs as `clip_val_loss`. A batch's size is a part of the
    /// figure: the more pairs are told apart, the higher it is.
    ///
    /// `images`, `texts`: embeddings of length one, `[N, D]`.
    pub(super) fn loss(&self, network: &Network, images: &Tensor, texts: &Tensor) -> Result<f64> {
        let (objective, batch) = (self.objective.objective(), self.batch.max(1) as i64);
        let mut sum = 0.0;
        for (images, texts) in images.f_split(batch, 0)?.into_iter().zip(texts.f_split(batch, 0)?) {
            let pairs = images.size()[0] as f64;
            sum += pairs * objective.loss(network, &[images, texts])?.value.f_double_value(&[])?;
        }
        Ok(sum / images.size()[0] as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::tests::{network, validator};
    use tch::{Device, Kind};

    /// Embeddings that are all alike leave chance: a batch's loss is the logarithm of its pairs.
    #[test]
    fn batches_count_by_their_pairs() {
        let same = Tensor::full([5, 8], 8f64.powf(-0.5), (Kind::Float, Device::Cpu));
        for (batch, expected) in [(2, 4.0 * 2f64.ln() / 5.0), (5, 5f64.ln()), (64, 5f64.ln())] {
            let loss = Validator { batch, ..validator(&["{}"]) }.loss(&network(), &same, &same).unwrap();
            assert!((loss - expected).abs() < 1e-5, "batches of {batch}: {loss}, expected {expected}");
        }
    }
}
