//! AdamW (Loshchilov & Hutter 2017) over the two flat vectors of [`Parameters`].

use tch::{Tensor, no_grad};

use crate::error::{Error, Result};
use crate::parameters::{Group, Parameters};
use crate::settings::Optim;

/// The optimiser's memory.
#[derive(Debug)]
pub struct AdamW {
    /// Updates done so far.
    pub updates: u64,
    /// Running means of gradients and of their squares, for [`Parameters::decayed`].
    pub decayed: Moments,
    /// The same for [`Parameters::plain`].
    pub plain: Moments,
}

/// Running means of gradients and of their squares, each in the layout of a [`Group`]'s flat vector.
#[derive(Debug)]
pub struct Moments {
    /// Of gradients.
    pub first: Tensor,
    /// Of their squares.
    pub second: Tensor,
}

/// The gradients of one batch, each group's in the layout of its flat vector.
#[derive(Debug)]
pub struct Gradients {
    /// For [`Parameters::decayed`].
    pub decayed: Tensor,
    /// For [`Parameters::plain`].
    pub plain: Tensor,
}

impl Gradients {
    /// The gradients of `loss` with respect to all learned tensors.
    pub fn of(loss: &Tensor, parameters: &Parameters) -> Result<Gradients> {
        let (decayed, plain) = (&parameters.decayed, &parameters.plain);
        let learned: Vec<&Tensor> = parameters.learned(decayed).chain(parameters.learned(plain)).collect();
        let gradients = Tensor::f_run_backward(&[loss], &learned, false, false)?;
        let flat: Vec<Tensor> =
            gradients.iter().map(|g| g.f_reshape([-1])).collect::<std::result::Result<_, _>>()?;
        let (first, second) = flat.split_at(decayed.names.len());
        Ok(Gradients { decayed: Tensor::f_cat(first, 0)?, plain: Tensor::f_cat(second, 0)? })
    }

    /// The gradient of the parameter called `name`, in its shape; None when there is no such parameter.
    pub fn named(&self, parameters: &Parameters, name: &str) -> Option<Tensor> {
        let groups = [(&parameters.decayed, &self.decayed), (&parameters.plain, &self.plain)];
        groups.into_iter().find_map(|(group, flat)| {
            let index = group.names.iter().position(|n| n == name)?;
            let sizes: Vec<i64> = parameters.learned(group).map(|t| t.numel() as i64).collect();
            let start = sizes[..index].iter().sum();
            Some(flat.narrow(0, start, sizes[index]).view(parameters.tensor(name).size().as_slice()))
        })
    }

    /// The global norm of all gradients; when it is above `limit` (0: no limit) they are scaled down to it, with the
    /// rounding guard of PyTorch's `clip_grad_norm_`.
    pub fn clip(&mut self, limit: f64) -> f64 {
        let square = |flat: &Tensor| flat.dot(flat).double_value(&[]);
        let norm = (square(&self.decayed) + square(&self.plain)).sqrt();
        if limit > 0.0 && norm > limit {
            let factor = limit / (norm + 1e-6);
            let _ = self.decayed.g_mul_scalar_(factor);
            let _ = self.plain.g_mul_scalar_(factor);
        }
        norm
    }
}

impl AdamW {
    /// The optimiser before its first update.
    pub fn new(parameters: &Parameters) -> AdamW {
        let moments =
            |group: &Group| Moments { first: group.flat.zeros_like(), second: group.flat.zeros_like() };
        AdamW { updates: 0, decayed: moments(&parameters.decayed), plain: moments(&parameters.plain) }
    }

    /// One update of `parameters` with learning rate `lr`: what `torch.optim.AdamW` does.
    pub fn step(&mut self, parameters: &mut Parameters, gradients: &Gradients, optim: &Optim, lr: f64) {
        self.updates += 1;
        let (decay, updates) = (optim.weight_decay, self.updates);
        no_grad(|| {
            self.decayed.update(&mut parameters.decayed.flat, &gradients.decayed, optim, lr, decay, updates);
            self.plain.update(&mut parameters.plain.flat, &gradients.plain, optim, lr, 0.0, updates);
        });
    }
}

impl Moments {
    fn update(
        &mut self,
        weights: &mut Tensor,
        gradient: &Tensor,
        o: &Optim,
        lr: f64,
        decay: f64,
        updates: u64,
    ) {
        let correction = |beta: f64| 1.0 - beta.powi(updates as i32);
        let _ = self.first.lerp_(gradient, 1.0 - o.beta1);
        let _ = self.second.g_mul_scalar_(o.beta2);
        self.second += (gradient * gradient).g_mul_scalar_(1.0 - o.beta2);
        let mut root = self.second.sqrt().g_mul_scalar_(correction(o.beta2).sqrt().recip());
        root += o.eps;
        let change = (&self.first / root).g_mul_scalar_(-lr / correction(o.beta1));
        if decay > 0.0 {
            let _ = weights.g_mul_scalar_(1.0 - lr * decay);
        }
        *weights += change;
    }
}

/// Keeps the logit scale at 100 or below, as the paper does (section 2.5), so that training stays stable.
pub fn clamp_logit_scale(parameters: &Parameters) {
    no_grad(|| {
        let _ = parameters.tensor("logit_scale").shallow_clone().clamp_max_(100f64.ln());
    });
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
    use crate::parameters::to_vec;
    use clip_model::shapes;
    use tch::Device;

    fn parameters() -> Parameters {
        let tensor = |name: &str, shape: &[usize]| shapes::Tensor {
            name: name.into(),
            shape: shape.to_vec(),
            learned: true,
        };
        let tensors = [tensor("a.weight", &[2, 2]), tensor("a.bias", &[2]), tensor("logit_scale", &[])];
        Parameters::new(&tensors, Device::Cpu, |_, shape| Ok(vec![0.5; shape.iter().product()])).unwrap()
    }

    /// The formula of the paper (Loshchilov & Hutter 2017, algorithm 2), in f64.
    fn closed_form(gradients: &[f64], o: &Optim, lr: f64, decay: f64) -> f64 {
        let (mut weight, mut first, mut second) = (0.5, 0.0, 0.0);
        for (t, g) in gradients.iter().enumerate() {
            first = o.beta1 * first + (1.0 - o.beta1) * g;
            second = o.beta2 * second + (1.0 - o.beta2) * g * g;
            let t = t as i32 + 1;
            let (m, v) = (first / (1.0 - o.beta1.powi(t)), second / (1.0 - o.beta2.powi(t)));
            weight -= lr * (m / (v.sqrt() + o.eps) + decay * weight);
        }
        weight
    }

    #[test]
    fn steps_follow_the_formula_and_only_matrices_decay() {
        let optim = Optim { weight_decay: 0.3, eps: 1e-3, ..Optim::default() };
        let mut parameters = parameters();
        let mut optimizer = AdamW::new(&parameters);
        let slopes = [0.3, -0.7, 0.02, 1.5];
        for slope in slopes {
            let gradients = Gradients {
                decayed: parameters.decayed.flat.full_like(slope),
                plain: parameters.plain.flat.full_like(slope),
            };
            optimizer.step(&mut parameters, &gradients, &optim, 0.05);
        }
        for (name, decay) in [("a.weight", 0.3), ("a.bias", 0.0), ("logit_scale", 0.0)] {
            let expected = closed_form(&slopes, &optim, 0.05, decay);
            for found in to_vec(parameters.tensor(name)).unwrap() {
                assert!((f64::from(found) - expected).abs() < 1e-6, "{name}: {found} {expected}");
            }
        }
    }

    #[test]
    fn gradients_are_found_by_name_and_clipped_together() {
        let parameters = parameters();
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
    fn the_logit_scale_stops_at_100() {
        let parameters = parameters();
        no_grad(|| {
            let _ = parameters.tensor("logit_scale").shallow_clone().fill_(9.0);
        });
        clamp_logit_scale(&parameters);
        assert!((parameters.tensor("logit_scale").exp().double_value(&[]) - 100.0).abs() < 1e-3);
    }

    #[test]
    fn what_is_not_finite_is_named() {
        assert!(finite(3, "loss", 1.0).is_ok());
        let message = finite(3, "loss", f64::NAN).unwrap_err().to_string();
        assert!(message.contains("step 3: the loss is NaN") && message.contains("lower lr"), "{message}");
    }
}
