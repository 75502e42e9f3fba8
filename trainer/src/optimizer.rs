//! AdamW (Loshchilov & Hutter 2017) over the two flat vectors of [`Parameters`].

use tch::{Device, Tensor, no_grad};

use crate::error::{Error, Result};
use crate::parameters::{Group, Parameters};
use crate::settings::Optim;

/// The optimiser's memory.
#[derive(Debug)]
pub struct AdamW {
    /// Updates done so far.
    pub updates: u64,
    /// Running means of gradients and of their squares, for [`Parameters::decayed`].
    pub(crate) decayed: Moments,
    /// The same for [`Parameters::plain`].
    pub(crate) plain: Moments,
}

/// Running means of gradients and of their squares, each in the layout of a [`Group`]'s flat vector.
#[derive(Debug)]
pub struct Moments {
    /// Of gradients.
    pub(crate) first: Tensor,
    /// Of their squares.
    pub(crate) second: Tensor,
}

/// The gradients of one batch, each group's in the layout of its flat vector.
#[derive(Debug)]
pub struct Gradients {
    /// For [`Parameters::decayed`].
    pub(crate) decayed: Tensor,
    /// For [`Parameters::plain`].
    pub(crate) plain: Tensor,
}

impl Gradients {
    /// The gradients of `loss` with respect to all learned tensors.
    pub fn of(loss: &Tensor, parameters: &Parameters) -> Result<Gradients> {
        let (decayed, plain) = (&parameters.decayed, &parameters.plain);
        let learned: Vec<&Tensor> = parameters.learned(decayed).chain(parameters.learned(plain)).collect();
        let gradients = Tensor::f_run_backward(&[loss], &learned, false, false)?;
        // The bias of a single query's keys has no influence and so no gradient.
        let flat = gradients.iter().zip(&learned).map(|(gradient, tensor)| match gradient.defined() {
            true => gradient.f_reshape([-1]),
            false => tensor.f_zeros_like()?.f_reshape([-1]),
        });
        let flat: Vec<Tensor> = flat.collect::<std::result::Result<_, _>>()?;
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
        let rates = Rates {
            first: 1.0 - o.beta1,
            second: 1.0 - o.beta2,
            root: correction(o.beta2).sqrt().recip(),
            eps: o.eps,
            step: lr / correction(o.beta1),
            keep: 1.0 - lr * decay,
        };
        match weights.device() {
            Device::Cpu => self.update_in_one_pass(weights, gradient, &rates),
            _ => self.update_by_operations(weights, gradient, &rates),
        }
    }

    /// On a CPU the vectors' way through memory is what costs time: they make it once.
    fn update_in_one_pass(&mut self, weights: &mut Tensor, gradient: &Tensor, rates: &Rates) {
        let length = weights.numel();
        let chunk = length.div_ceil(tch::get_num_threads().max(1) as usize).max(1 << 14);
        // SAFETY: four different fp32 tensors of this length in main memory, contiguous, as `Parameters`, `AdamW::new`
        // and `Gradients::of` make them; nothing else touches them meanwhile.
        let (weights, gradient, first, second) = unsafe {
            (
                std::slice::from_raw_parts_mut(weights.data_ptr().cast::<f32>(), length),
                std::slice::from_raw_parts(gradient.data_ptr().cast::<f32>(), length),
                std::slice::from_raw_parts_mut(self.first.data_ptr().cast::<f32>(), length),
                std::slice::from_raw_parts_mut(self.second.data_ptr().cast::<f32>(), length),
            )
        };
        let chunks = weights.chunks_mut(chunk).zip(gradient.chunks(chunk));
        let moments = first.chunks_mut(chunk).zip(second.chunks_mut(chunk));
        std::thread::scope(|scope| {
            let mut chunks = chunks.zip(moments);
            let own = chunks.next();
            for ((weights, gradient), (first, second)) in chunks {
                scope.spawn(move || rates.apply(weights, gradient, first, second));
            }
            if let Some(((weights, gradient), (first, second))) = own {
                rates.apply(weights, gradient, first, second);
            }
        });
    }

    /// The same with libtorch's operations, for other devices.
    fn update_by_operations(&mut self, weights: &mut Tensor, gradient: &Tensor, rates: &Rates) {
        let _ = self.first.lerp_(gradient, rates.first);
        let _ = self.second.g_mul_scalar_(1.0 - rates.second);
        self.second += (gradient * gradient).g_mul_scalar_(rates.second);
        let mut root = self.second.sqrt().g_mul_scalar_(rates.root);
        root += rates.eps;
        let _ = weights.g_mul_scalar_(rates.keep);
        *weights += (&self.first / root).g_mul_scalar_(-rates.step);
    }
}

/// The factors of one update.
struct Rates {
    /// Weight of the gradient in its running mean.
    first: f64,
    /// Weight of its square in the mean of squares.
    second: f64,
    /// Bias correction of the root mean square.
    root: f64,
    eps: f64,
    /// Learning rate over the mean's bias correction.
    step: f64,
    /// What weight decay leaves of a weight.
    keep: f64,
}

impl Rates {
    fn apply(&self, weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        let (rate1, rate2, keep2) = (self.first as f32, self.second as f32, (1.0 - self.second) as f32);
        let (root, eps, step, keep) = (self.root as f32, self.eps as f32, self.step as f32, self.keep as f32);
        let moments = first.iter_mut().zip(second);
        for ((weight, &gradient), (first, second)) in weights.iter_mut().zip(gradient).zip(moments) {
            *first += (gradient - *first) * rate1;
            *second = *second * keep2 + gradient * gradient * rate2;
            *weight = *weight * keep - step * (*first / (second.sqrt() * root + eps));
        }
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

    /// Long enough for several threads, and not a multiple of anything.
    #[test]
    fn one_pass_gives_what_the_operations_give() {
        let random = || Tensor::randn([(1 << 16) + 5], (tch::Kind::Float, Device::Cpu));
        let (start, gradient) = (random(), random());
        let rates = Rates { first: 0.1, second: 0.02, root: 1.3, eps: 1e-6, step: 0.01, keep: 0.99 };
        let moments = || Moments { first: &start * 0.1, second: start.square() };
        let (mut one, mut other) = (moments(), moments());
        let (mut a, mut b) = (start.copy(), start.copy());
        one.update_in_one_pass(&mut a, &gradient, &rates);
        other.update_by_operations(&mut b, &gradient, &rates);
        for (x, y) in [(a, b), (one.first, other.first), (one.second, other.second)] {
            assert!((x - y).abs().max().double_value(&[]) < 1e-6);
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
