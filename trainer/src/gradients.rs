//! The gradients of a batch: how they are summed, measured and checked.

use tch::{Device, Kind, Tensor, no_grad};

use crate::error::{Error, Result};
use crate::norm::norm;
use crate::parameters::Parameters;

/// The gradients of one batch, a tensor for each learned parameter, in the order of the optimiser's groups.
///
/// A parameter that is computed with in bf16 has its gradient in bf16 as long as a single product gave it; sums are in fp32.
#[derive(Debug)]
pub struct Gradients(Vec<Option<Tensor>>);

impl Gradients {
    /// Nothing yet.
    pub fn none(parameters: &Parameters) -> Gradients {
        Gradients(parameters.learned().map(|_| None).collect())
    }

    /// Adds to the gradient of learned parameter number `index`.
    pub(crate) fn add(&mut self, index: usize, gradient: Tensor) -> Result<()> {
        let slot = &mut self.0[index];
        *slot = Some(match slot.take() {
            None => gradient,
            Some(sum) => no_grad(|| -> Result<Tensor> {
                let mut sum = sum.f_to_kind(Kind::Float)?;
                let _ = sum.f_add_(&gradient.f_to_kind(Kind::Float)?)?;
                Ok(sum)
            })?,
        });
        Ok(())
    }

    /// The gradient of learned parameter number `index`; None when the loss does not depend on it.
    pub(crate) fn get(&self, index: usize) -> Option<&Tensor> {
        self.0[index].as_ref()
    }

    /// The gradient of the parameter called `name`, in its shape, fp32; zero where the loss does not depend on it. None when
    /// there is no such parameter.
    pub fn named(&self, parameters: &Parameters, name: &str) -> Option<Tensor> {
        let index = parameters.learned().position(|(found, _)| found == name)?;
        Some(match &self.0[index] {
            Some(gradient) => gradient.to_kind(Kind::Float).contiguous().view_as(parameters.tensor(name)),
            None => parameters.tensor(name).zeros_like().to_kind(Kind::Float),
        })
    }

    /// The global norm of all gradients.
    pub fn norm(&self) -> Result<f64> {
        let contiguous = self.0.iter().flatten().map(Tensor::f_contiguous);
        let gradients: Vec<Tensor> = contiguous.collect::<std::result::Result<_, _>>()?;
        if gradients.iter().all(|gradient| gradient.device() == Device::Cpu) {
            return Ok(norm(&gradients, tch::get_num_threads().max(1) as usize));
        }
        let norms = gradients.iter().map(|gradient| gradient.f_norm_scalaropt_dtype(2.0, Kind::Float));
        let norms: Vec<Tensor> = norms.collect::<std::result::Result<_, _>>()?;
        Ok(Tensor::f_stack(&norms, 0)?.f_norm()?.f_double_value(&[])?)
    }
}

/// The factor that brings gradients of this norm down to `limit` (0: no limit), with the rounding guard of PyTorch's
/// `clip_grad_norm_`.
pub fn clipping(norm: f64, limit: f64) -> f64 {
    if limit > 0.0 && norm > limit { limit / (norm + 1e-6) } else { 1.0 }
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
    fn gradients_are_found_by_name_and_summed_in_fp32() {
        let parameters = few();
        let mut gradients = Gradients::none(&parameters);
        let bf16 = |value: f64, like: &str| parameters.tensor(like).full_like(value).to_kind(Kind::BFloat16);
        // The order of the groups: the matrix, then what does not decay.
        gradients.add(0, bf16(1.0, "a.weight")).unwrap();
        gradients.add(0, bf16(2f64.powi(-10), "a.weight")).unwrap();
        gradients.add(2, bf16(3.0, "logit_scale")).unwrap();
        let sum = 1.0 + 2f32.powi(-10);
        let named = |name: &str| gradients.named(&parameters, name).map(|tensor| to_vec(&tensor).unwrap());
        assert_eq!(named("a.weight").unwrap(), [sum; 4]);
        assert_eq!(named("a.bias").unwrap(), [0.0; 2]);
        assert!(named("b").is_none());
        let norm = gradients.norm().unwrap();
        assert!((norm - (4.0 * f64::from(sum).powi(2) + 9.0).sqrt()).abs() < 1e-6, "{norm}");
    }

    #[test]
    fn only_what_is_above_the_limit_is_scaled_down() {
        assert_eq!((clipping(5.0, 0.0), clipping(5.0, 6.0)), (1.0, 1.0));
        assert!((clipping(5.0, 2.0) * 5.0 - 2.0).abs() < 1e-5);
    }

    #[test]
    fn what_is_not_finite_is_named() {
        assert!(finite(3, "loss", 1.0).is_ok());
        let message = finite(3, "loss", f64::NAN).unwrap_err().to_string();
        assert!(message.contains("step 3: the loss is NaN") && message.contains("lower lr"), "{message}");
    }
}
