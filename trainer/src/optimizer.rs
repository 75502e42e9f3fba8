//! AdamW (Loshchilov & Hutter 2017) over the two flat vectors of [`Parameters`].

use tch::{Device, Tensor, no_grad};

use crate::gradients::Gradients;
use crate::parameters::Parameters;
use crate::settings::OptimSettings;

/// The optimiser's memory.
#[derive(Debug)]
pub struct AdamW {
    /// Updates done so far.
    pub updates: u64,
    /// One for each of [`Parameters::groups`].
    moments: [Moments; 2],
}

/// Running means of gradients and of their squares, each in the layout of a group's flat vector.
#[derive(Debug)]
struct Moments {
    /// Of gradients.
    first: Tensor,
    /// Of their squares.
    second: Tensor,
}

impl AdamW {
    /// The optimiser before its first update.
    pub fn new(parameters: &Parameters) -> AdamW {
        let moments = parameters
            .groups
            .each_ref()
            .map(|group| Moments { first: group.flat.zeros_like(), second: group.flat.zeros_like() });
        AdamW { updates: 0, moments }
    }

    /// The optimiser's tensors, under the names that they have in the training state of `parameters`.
    pub(crate) fn tensors(&self, parameters: &Parameters) -> Vec<(String, &Tensor)> {
        let pairs = parameters.groups.iter().zip(&self.moments).flat_map(|(group, moments)| {
            [("first", &moments.first), ("second", &moments.second)]
                .map(|(moment, tensor)| (format!("optimizer.{}.{moment}", group.title), tensor))
        });
        pairs.collect()
    }

    /// One update of `parameters` with learning rate `lr`: what `torch.optim.AdamW` does.
    pub fn step(
        &mut self,
        parameters: &mut Parameters,
        gradients: &Gradients,
        optim: &OptimSettings,
        lr: f64,
    ) {
        self.updates += 1;
        let correction = |beta: f64| 1.0 - beta.powi(self.updates as i32);
        let groups = parameters.groups.iter_mut().zip(&gradients.0);
        for ((group, gradient), moments) in groups.zip(&mut self.moments) {
            let decay = if group.decays { optim.weight_decay } else { 0.0 };
            let rates = Rates {
                first: 1.0 - optim.beta1,
                second: 1.0 - optim.beta2,
                root: correction(optim.beta2).sqrt().recip(),
                eps: optim.eps,
                step: lr / correction(optim.beta1),
                keep: 1.0 - lr * decay,
            };
            no_grad(|| match group.flat.device() {
                Device::Cpu => moments.update_in_one_pass(&mut group.flat, gradient, &rates),
                _ => moments.update_by_operations(&mut group.flat, gradient, &rates),
            });
        }
    }
}

impl Moments {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::tests::few;
    use crate::parameters::to_vec;

    /// The formula of the paper (Loshchilov & Hutter 2017, algorithm 2), in f64.
    fn closed_form(gradients: &[f64], o: &OptimSettings, lr: f64, decay: f64) -> f64 {
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
        let optim = OptimSettings { weight_decay: 0.3, eps: 1e-3, ..OptimSettings::default() };
        let mut parameters = few();
        let mut optimizer = AdamW::new(&parameters);
        let slopes = [0.3, -0.7, 0.02, 1.5];
        for slope in slopes {
            let gradients = Gradients(parameters.groups.each_ref().map(|group| group.flat.full_like(slope)));
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
    fn the_logit_scale_stops_at_100() {
        let parameters = few();
        no_grad(|| {
            let _ = parameters.tensor("logit_scale").shallow_clone().fill_(9.0);
        });
        clamp_logit_scale(&parameters);
        assert!((parameters.tensor("logit_scale").exp().double_value(&[]) - 100.0).abs() < 1e-3);
    }
}
