//! AdamW (Loshchilov & Hutter 2017) over the flat vectors of [`Parameters`]: Adam with decoupled weight decay, as in the
//! paper's section 2.5.

mod pass;

use tch::{Device, Kind, Tensor, no_grad};

use crate::error::Result;
use crate::formats::Moment;
use crate::gradients::Gradients;
use crate::number::scatter;
use crate::parameters::{Parameters, bytes};
use crate::settings::OptimSettings;
use pass::{pieces, update};

/// The optimiser's memory.
#[derive(Debug)]
pub struct AdamW {
    /// Updates done so far.
    pub updates: u64,
    /// One for each of [`Parameters::groups`].
    moments: Vec<Moments>,
}

/// Running means of gradients and of their squares, each in the layout of a group's flat vector.
#[derive(Debug)]
struct Moments {
    /// Of gradients.
    first: Tensor,
    /// Of their squares.
    second: Tensor,
}

/// The factors of one update.
#[derive(Debug, Clone, Copy)]
struct Rates {
    /// On the gradient.
    factor: f64,
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

impl AdamW {
    /// The optimiser before its first update, with moments in fp32.
    pub fn new(parameters: &Parameters) -> AdamW {
        AdamW::with_moments(parameters, Moment::Fp32)
    }

    /// The optimiser before its first update, with moments in this format.
    pub fn with_moments(parameters: &Parameters, format: Moment) -> AdamW {
        let zeros = |like: &Tensor| {
            let kind = match format {
                Moment::Fp32 => Kind::Float,
                Moment::Bf16 => Kind::BFloat16,
            };
            Tensor::zeros(like.size(), (kind, like.device()))
        };
        let of = |flat: &Tensor| Moments { first: zeros(flat), second: zeros(flat) };
        AdamW { updates: 0, moments: parameters.groups.iter().map(|group| of(&group.flat)).collect() }
    }

    /// Bytes of the optimiser's memory.
    pub fn bytes(&self) -> usize {
        self.moments.iter().map(|moments| bytes(&moments.first) + bytes(&moments.second)).sum()
    }

    /// The optimiser's tensors, under the names that they have in the training state of `parameters`.
    pub(crate) fn tensors(&self, parameters: &Parameters) -> Vec<(String, &Tensor)> {
        let pairs = parameters.groups.iter().zip(&self.moments).flat_map(|(group, moments)| {
            [("first", &moments.first), ("second", &moments.second)]
                .map(|(moment, tensor)| (format!("optimizer.{}.{moment}", group.title), tensor))
        });
        pairs.collect()
    }

    /// One update of `parameters` with learning rate `lr`: what `torch.optim.AdamW` does with the gradients times `factor`.
    ///
    /// # Errors
    /// [`crate::Error::Torch`], for want of memory as a rule.
    pub fn step(
        &mut self,
        parameters: &mut Parameters,
        gradients: &Gradients,
        factor: f64,
        optim: &OptimSettings,
        lr: f64,
    ) -> Result<()> {
        self.updates += 1;
        let correction = |beta: f64| 1.0 - beta.powi(self.updates.min(i32::MAX as u64) as i32);
        let mut index = 0;
        for (number, (group, moments)) in parameters.groups.iter().zip(&mut self.moments).enumerate() {
            let decay = if group.decays { optim.weight_decay } else { 0.0 };
            let lr = lr * group.rate;
            let rates = Rates {
                factor,
                first: 1.0 - optim.beta1,
                second: 1.0 - optim.beta2,
                root: correction(optim.beta2).sqrt().recip(),
                eps: optim.eps,
                step: lr / correction(optim.beta1),
                keep: 1.0 - lr * decay,
            };
            let of_group = group.names.iter().map(|name| {
                index += 1;
                match gradients.get(index - 1) {
                    Some(gradient) => gradient.f_contiguous(),
                    // The loss does not depend on it.
                    None => parameters.tensor(name).f_zeros_like(),
                }
            });
            let of_group: Vec<Tensor> = no_grad(|| of_group.collect::<std::result::Result<_, _>>())?;
            let key = scatter(scatter(optim.seed as u32, self.updates as u32), number as u32);
            no_grad(|| match group.flat.device() {
                Device::Cpu => {
                    moments.update_in_one_pass(&group.flat, &of_group, &rates, key);
                    Ok(())
                }
                _ => moments.update_by_operations(&group.flat, &of_group, &rates, key),
            })?;
        }
        Ok(())
    }
}

impl Moments {
    /// On a CPU the vectors' way through memory is what costs time: they make it once.
    fn update_in_one_pass(&mut self, weights: &Tensor, gradients: &[Tensor], rates: &Rates, key: u32) {
        // SAFETY: `Parameters`, `with_moments` and the caller make them so, and nothing else touches them meanwhile.
        let pieces = unsafe { pieces([weights, &self.first, &self.second], gradients) };
        update(pieces, rates, key, tch::get_num_threads().max(1) as usize);
    }

    /// The same with libtorch's operations, for other devices.
    fn update_by_operations(
        &self,
        weights: &Tensor,
        gradients: &[Tensor],
        rates: &Rates,
        key: u32,
    ) -> Result<()> {
        let flat = gradients.iter().map(|gradient| gradient.f_reshape([-1])?.f_to_kind(Kind::Float));
        let flat: Vec<Tensor> = flat.collect::<std::result::Result<_, _>>()?;
        let mut gradient = Tensor::f_cat(&flat, 0)?;
        if rates.factor != 1.0 {
            gradient = gradient.f_mul_scalar(rates.factor)?;
        }
        // What is in fp32 is changed where it is; a copy of what is in bf16 is, and rounded afterwards.
        let single = |tensor: &Tensor| tensor.f_to_kind(Kind::Float);
        let (mut first, mut second, mut updated) =
            (single(&self.first)?, single(&self.second)?, single(weights)?);
        let _ = first.f_lerp_(&gradient, rates.first)?;
        let _ = second.f_mul_scalar_(1.0 - rates.second)?;
        let square = gradient.f_mul(&gradient)?.f_mul_scalar(rates.second)?;
        let _ = second.f_add_(&square)?;
        let root = second.f_sqrt()?.f_mul_scalar(rates.root)?.f_add_scalar(rates.eps)?;
        let _ = updated.f_mul_scalar_(rates.keep)?;
        let _ = updated.f_add_(&first.f_div(&root)?.f_mul_scalar(-rates.step)?)?;
        for (number, (stored, value)) in
            [(&self.first, first), (&self.second, second), (weights, updated)].into_iter().enumerate()
        {
            if stored.kind() == Kind::BFloat16 {
                round(stored, &value, scatter(key, number as u32))?;
            }
        }
        Ok(())
    }
}

/// Writes `value`, fp32, into `stored`, bf16, rounded stochastically: see [`crate::number::Number::store`].
fn round(stored: &Tensor, value: &Tensor, seed: u32) -> Result<()> {
    tch::manual_seed(i64::from(seed));
    let dither = Tensor::f_randint(1 << 16, value.size(), (Kind::Int, value.device()))?;
    let bits = value.f_view_dtype(Kind::Int)?.f_add(&dither)?.f_bitwise_and(-65536i64)?;
    stored.shallow_clone().f_copy_(&bits.f_view_dtype(Kind::Float)?)?;
    Ok(())
}

/// Keeps the logit scale at 100 or below, as the paper does (section 2.5), so that training stays stable. With a logit bias, whose
/// published models have larger ones, there is no such bound (Zhai et al. 2023, arXiv 2303.15343, algorithm 1).
pub fn clamp_logit_scale(parameters: &Parameters) {
    if parameters.find("logit_bias").is_some() {
        return;
    }
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

    /// Updates with these slopes, the same for every number.
    fn updated(format: Moment, slopes: &[f64], optim: &OptimSettings, factor: f64) -> Parameters {
        let mut parameters = few();
        let mut optimizer = AdamW::with_moments(&parameters, format);
        for slope in slopes {
            let mut gradients = Gradients::none(&parameters);
            for (index, (_, tensor)) in parameters.learned().enumerate() {
                gradients.add(index, tensor.detach().full_like(*slope)).unwrap();
            }
            optimizer.step(&mut parameters, &gradients, factor, optim, 0.05).unwrap();
        }
        parameters
    }

    #[test]
    fn steps_follow_the_formula_and_only_matrices_decay() {
        let optim = OptimSettings { weight_decay: 0.3, eps: 1e-3, ..OptimSettings::default() };
        let slopes = [0.3, -0.7, 0.02, 1.5];
        let doubled = slopes.map(|slope| slope * 2.0);
        for (format, tolerance) in [(Moment::Fp32, 1e-6), (Moment::Bf16, 1e-3)] {
            let parameters = updated(format, &doubled, &optim, 0.5);
            for (name, decay) in [("a.weight", 0.3), ("a.bias", 0.0), ("logit_scale", 0.0)] {
                let expected = closed_form(&slopes, &optim, 0.05, decay);
                for found in to_vec(parameters.tensor(name)).unwrap() {
                    assert!((f64::from(found) - expected).abs() < tolerance, "{name}: {found} {expected}");
                }
            }
        }
    }

    /// A mean of squares that decays by a thousandth a step stands still in bf16 when it is rounded to the nearest number.
    #[test]
    fn moments_in_bf16_follow_small_changes() {
        let optim = OptimSettings { beta2: 0.999, ..OptimSettings::default() };
        let parameters = few();
        let mut optimizer = AdamW::with_moments(&parameters, Moment::Bf16);
        let count = 1 << 14;
        let of = |value: f32| Tensor::full([count], f64::from(value), (Kind::BFloat16, Device::Cpu));
        optimizer.moments = vec![Moments { first: of(0.0), second: of(1.0) }];
        let gradient = [Tensor::zeros([count], (Kind::Float, Device::Cpu))];
        let weights = Tensor::zeros([count], (Kind::Float, Device::Cpu));
        let rates = Rates {
            factor: 1.0,
            first: 0.1,
            second: 1.0 - optim.beta2,
            root: 1.0,
            eps: 1e-8,
            step: 0.0,
            keep: 1.0,
        };
        for step in 0..200 {
            optimizer.moments[0].update_in_one_pass(&weights, &gradient, &rates, step);
        }
        let mean = optimizer.moments[0].second.to_kind(Kind::Double).mean(None).double_value(&[]);
        assert!((mean - optim.beta2.powi(200)).abs() < 1e-3, "{mean}");
    }

    /// Long enough for several pieces, and not a multiple of anything.
    #[test]
    fn one_pass_gives_what_the_operations_give() {
        let random = || Tensor::randn([(1 << 16) + 5], (Kind::Float, Device::Cpu));
        let (start, gradient) = (random(), random());
        let gradients =
            [gradient.narrow(0, 0, 100).contiguous(), gradient.narrow(0, 100, (1 << 16) - 95).contiguous()];
        let rates =
            Rates { factor: 0.7, first: 0.1, second: 0.02, root: 1.3, eps: 1e-6, step: 0.01, keep: 0.99 };
        // Rounding to bf16 differs by a unit in the last place, one in 128.
        for (kind, tolerance) in [(Kind::Float, 1e-6), (Kind::BFloat16, 1.0 / 64.0)] {
            let moments =
                || Moments { first: (&start * 0.1).to_kind(kind), second: start.square().to_kind(kind) };
            let (mut one, other) = (moments(), moments());
            let (a, b) = (start.to_kind(kind).copy(), start.to_kind(kind).copy());
            one.update_in_one_pass(&a, &gradients, &rates, 1);
            other.update_by_operations(&b, &gradients, &rates, 1).unwrap();
            for (x, y) in [(a, b), (one.first, other.first), (one.second, other.second)] {
                let (x, y) = (x.to_kind(Kind::Float), y.to_kind(Kind::Float));
                let difference = ((&x - &y).abs() / (x.abs() + 0.05)).max().double_value(&[]);
                assert!(difference < tolerance, "{kind:?}: {difference}");
            }
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
