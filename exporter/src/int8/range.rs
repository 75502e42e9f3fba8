//! From what calibration saw to scale and zero point.

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;

/// How the range of a value is chosen that its 256 steps are spread over. A smaller range has finer steps and clips more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Everything that was seen.
    MinMax,
    /// Without the outermost numbers, so many of a hundred in all.
    Percentile(f32),
    /// The range whose quantized distribution loses the least information: lowest Kullback-Leibler divergence from
    /// the one that was seen (Migacz, 8-bit inference with TensorRT, GTC 2017).
    Entropy,
    /// The range with the lowest mean squared error.
    Mse,
}

/// Which integers stand for the numbers of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// 0 to 255, with a zero point.
    Unsigned,
    /// -127 to 127 around zero.
    Symmetric,
}

/// `number = scale * (integer - zero)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantization {
    /// Size of a step.
    pub scale: f32,
    /// The integer that stands for zero.
    pub zero: i32,
    scheme: Scheme,
}

/// Parts that each end of a range is shrunk by in the search for the best.
const STEPS: u32 = 40;

impl Quantization {
    /// The steps over a range, widened so that it contains zero: padding and what a `Relu` cuts must be exact.
    pub fn of_range(low: f32, high: f32, scheme: Scheme) -> Quantization {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let floor = f32::MIN_POSITIVE * 256.0;
        match scheme {
            Scheme::Unsigned => {
                let scale = ((high - low) / 255.0).max(floor);
                let zero = (-low / scale).round().clamp(0.0, 255.0) as i32;
                Quantization { scale, zero, scheme }
            }
            Scheme::Symmetric => Quantization { scale: (high.max(-low) / 127.0).max(floor), zero: 0, scheme },
        }
    }

    /// The steps for the numbers in `histogram`, which lie from `low` to `high`.
    pub fn choose(
        method: Method,
        histogram: &Histogram,
        low: f32,
        high: f32,
        scheme: Scheme,
    ) -> Quantization {
        let of = |low, high| Quantization::of_range(low, high, scheme);
        match method {
            Method::MinMax => of(low, high),
            Method::Percentile(share) => {
                let cut = f64::from(100.0 - share) / 200.0;
                of(histogram.quantile(cut).max(low), histogram.quantile(1.0 - cut).min(high))
            }
            Method::Mse => best(low, high, scheme, |q| squared_error(histogram, q)),
            Method::Entropy => best(low, high, scheme, |q| divergence(histogram, q)),
        }
    }

    /// The integer that stands for `number`; ties go to the even one, as in ONNX's `QuantizeLinear`.
    pub fn quantize(&self, number: f32) -> i32 {
        let (low, high) = match self.scheme {
            Scheme::Unsigned => (0, 255),
            Scheme::Symmetric => (-127, 127),
        };
        ((number / self.scale).round_ties_even() as i32).saturating_add(self.zero).clamp(low, high)
    }

    /// What is left of `number`.
    pub fn round(&self, number: f32) -> f32 {
        (self.quantize(number) - self.zero) as f32 * self.scale
    }
}

/// The quantization of lowest cost among ranges from the whole one down to a small part of it. A range has two ends
/// that shrink on their own where the integers are unsigned.
fn best(low: f32, high: f32, scheme: Scheme, cost: impl Fn(&Quantization) -> f64) -> Quantization {
    let share = |step: u32| 1.0 - step as f32 / (STEPS as f32 + 2.0);
    let shrink =
        |low_step, high_step| Quantization::of_range(low * share(low_step), high * share(high_step), scheme);
    let lowest = |candidates: &mut dyn Iterator<Item = (u32, u32)>| {
        let costs = candidates.map(|(l, h)| (cost(&shrink(l, h)), l, h));
        costs.min_by(|a, b| a.0.total_cmp(&b.0)).map_or((0, 0), |(_, l, h)| (l, h))
    };
    // Both ends together, then each around the best.
    let (both, _) = lowest(&mut (0..STEPS).map(|s| (s, s)));
    if scheme == Scheme::Symmetric {
        return shrink(both, both);
    }
    let (low_step, _) = lowest(&mut (0..STEPS).map(|s| (s, both)));
    let (_, high_step) = lowest(&mut (0..STEPS).map(|s| (low_step, s)));
    shrink(low_step, high_step)
}

fn squared_error(histogram: &Histogram, q: &Quantization) -> f64 {
    histogram.bins().map(|(number, count)| f64::from(number - q.round(number)).powi(2) * count as f64).sum()
}

/// Kullback-Leibler divergence between what was seen and what the integers keep of it. What was seen counts clipped
/// numbers where they are clipped to; what is kept are the others, those of one integer spread evenly over its bins.
fn divergence(histogram: &Histogram, q: &Quantization) -> f64 {
    let (mut seen, mut kept) = (Vec::new(), Vec::new());
    let mut clipped = 0.0;
    let mut integers = [(0.0, 0.0); 512];
    for (number, count) in histogram.bins() {
        let count = count as f64;
        if (number - q.round(number)).abs() <= 0.5 * q.scale {
            let integer = (q.quantize(number) + 128) as usize;
            integers[integer].0 += count;
            integers[integer].1 += 1.0;
            seen.push(count + std::mem::take(&mut clipped));
            kept.push(integer);
        } else if number < 0.0 {
            clipped += count;
        } else if let Some(end) = seen.last_mut() {
            *end += count;
        }
    }
    let kept: Vec<f64> = kept.into_iter().map(|i| integers[i].0 / integers[i].1).collect();
    let (all, left): (f64, f64) = (seen.iter().sum(), kept.iter().sum());
    seen.iter().zip(&kept).map(|(p, k)| p / all * (p / all / (k / left)).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mostly small numbers, and a few far out.
    fn outliers() -> (Histogram, f32, f32) {
        let (low, high) = (-1.0, 100.0);
        let mut histogram = Histogram::new(low, high);
        let numbers: Vec<f32> = (0..100_000).map(|i| (i % 2001) as f32 / 1000.0 - 1.0).collect();
        histogram.count(&numbers);
        histogram.count(&[100.0, 90.0]);
        (histogram, low, high)
    }

    #[test]
    fn integers_and_numbers_fit_together() {
        let q = Quantization::of_range(-1.0, 3.0, Scheme::Unsigned);
        assert_eq!((q.quantize(-1.0), q.quantize(3.0), q.quantize(0.0)), (0, 255, q.zero));
        assert_eq!((q.quantize(-9.0), q.quantize(f32::INFINITY)), (0, 255), "clipped");
        assert_eq!(q.round(0.0), 0.0, "zero is exact");
        let q = Quantization::of_range(-1.0, 3.0, Scheme::Symmetric);
        assert_eq!((q.quantize(3.0), q.quantize(-3.0), q.quantize(-9.0), q.zero), (127, -127, -127, 0));
        assert!((q.round(1.0) - 1.0).abs() <= q.scale / 2.0);
    }

    #[test]
    fn ranges_without_extent_have_steps() {
        for scheme in [Scheme::Unsigned, Scheme::Symmetric] {
            let q = Quantization::of_range(0.0, 0.0, scheme);
            assert!(q.scale > 0.0 && q.round(0.0) == 0.0);
            let positive = Quantization::of_range(2.0, 3.0, scheme);
            assert!((positive.round(3.0) - 3.0).abs() < 1e-6, "the range begins at zero");
        }
    }

    #[test]
    fn every_method_but_min_max_gives_up_outliers() {
        let (histogram, low, high) = outliers();
        for scheme in [Scheme::Unsigned, Scheme::Symmetric] {
            let whole = Quantization::choose(Method::MinMax, &histogram, low, high, scheme);
            assert_eq!(whole, Quantization::of_range(low, high, scheme));
            for method in [Method::Percentile(99.9), Method::Entropy, Method::Mse] {
                let chosen = Quantization::choose(method, &histogram, low, high, scheme);
                let most = if method == Method::Mse { 0.95 } else { 0.7 };
                assert!(chosen.scale < most * whole.scale, "{method:?} {scheme:?} {chosen:?} {whole:?}");
            }
            let mse = Quantization::choose(Method::Mse, &histogram, low, high, scheme);
            assert!(squared_error(&histogram, &mse) < squared_error(&histogram, &whole));
        }
    }

    #[test]
    fn even_numbers_keep_their_range() {
        let mut histogram = Histogram::new(-1.0, 1.0);
        histogram.count(&(0..=20_000).map(|i| i as f32 / 10_000.0 - 1.0).collect::<Vec<_>>());
        for method in [Method::MinMax, Method::Percentile(100.0), Method::Mse] {
            let q = Quantization::choose(method, &histogram, -1.0, 1.0, Scheme::Unsigned);
            assert!((q.scale - 2.0 / 255.0).abs() < 4e-4, "{method:?}: {q:?}");
        }
    }
}
