//! The gradients of a batch: how they are found, clipped and checked.

use tch::Tensor;

use crate::error::{Error, Result};
use crate::parameters::Parameters;

/// The gradients of one batch, each group's in the layout of its flat vector.
#[derive(Debug)]
pub struct Gradients(pub(crate) [Tensor; 2]);

impl Gradients {
    /// The gradients of `loss` with respect to all learned tensors.
    pub fn of(loss: &Tensor, parameters: &Parameters) -> Result<Gradients> {
        let learned: Vec<&Tensor> = parameters.learned().map(|(_, tensor)| tensor).collect();
        let gradients = Tensor::f_run_backward(&[loss], &learned, false, false)?;
        // The bias of a single query's keys has no influence and so no gradient.
        let flat = gradients.iter().zip(&learned).map(|(gradient, tensor)| match gradient.defined() {
            true => gradient.f_reshape([-1]),
            false => tensor.f_zeros_like()?.f_reshape([-1]),
        });
        let flat: Vec<Tensor> = flat.collect::<std::result::Result<_, _>>()?;
        let (first, second) = flat.split_at(parameters.groups[0].names.len());
        Ok(Gradients([Tensor::f_cat(first, 0)?, Tensor::f_cat(second, 0)?]))
    }

    /// The gradient of the parameter called `name`, in its shape; None when there is no such parameter.
    pub fn named(&self, parameters: &Parameters, name: &str) -> Option<Tensor> {
        let flat = Tensor::cat(&self.0, 0);
        let mut start = 0;
        parameters.learned().find_map(|(found, tensor)| {
            let count = tensor.numel() as i64;
            start += count;
            (found == name).then(|| flat.narrow(0, start - count, count).view_as(tensor))
        })
    }

    /// The global norm of all gradients; when it is above `limit` (0: no limit) they are scaled down to it, with the
    /// rounding guard of PyTorch's `clip_grad_norm_`.
    pub fn clip(&mut self, limit: f64) -> f64 {
        let square = |flat: &Tensor| flat.dot(flat).double_value(&[]);
        let norm = (square(&self.0[0]) + square(&self.0[1])).sqrt();
        if limit > 0.0 && norm > limit {
            let factor = limit / (norm + 1e-6);
            self.0.iter_mut().for_each(|flat| drop(flat.g_mul_scalar_(factor)));
        }
        norm
    }
}

/// Refuses a value that is infinite or not a number.
pub fn finite(step: u64, what: &str, value: f64) -> Result<()> {
    if value.is_finite() {
        return Ok(());
    }
    Err(Error::NotFinite { step, what: format!("the {what} is {value}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::tests::few;
    use crate::parameters::to_vec;

    #[test]
    fn gradients_are_found_by_name_and_clipped_together() {
        let parameters = few();
        let matrix = parameters.tensor("a.weight");
        let loss = (matrix * matrix).sum(None) * 3.0
            + parameters.tensor("a.bias").sum(None) * 4.0
            + parameters.tensor("logit_scale");
        let mut gradients = Gradients::of(&loss, &parameters).unwrap();
        assert_eq!(to_vec(&gradients.named(&parameters, "a.weight").unwrap()).unwrap(), [3.0; 4]);
        assert_eq!(to_vec(&gradients.named(&parameters, "logit_scale").unwrap()).unwrap(), [1.0]);
        assert!(gradients.named(&parameters, "b").is_none());
        let norm = (4.0f64 * 9.0 + 2.0 * 16.0 + 1.0).sqrt();
        assert!((gradients.clip(0.0) - norm).abs() < 1e-6);
        assert!((gradients.clip(100.0) - norm).abs() < 1e-6, "below the limit nothing is scaled");
        assert!((gradients.clip(2.0) - norm).abs() < 1e-6);
        assert!((gradients.clip(0.0) - 2.0).abs() < 1e-5);
    }

    #[test]
    fn what_is_not_finite_is_named() {
        assert!(finite(3, "loss", 1.0).is_ok());
        let message = finite(3, "loss", f64::NAN).unwrap_err().to_string();
        assert!(message.contains("step 3: the loss is NaN") && message.contains("lower lr"), "{message}");
    }
}
