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

#[cfg(test)]
mod tests {
    use super::*;

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

    /// Mostly small numbers, and a few far out.
    #[test]
    fn percentiles_give_up_outliers() {
        let (low, high) = (-1.0, 100.0);
        let mut histogram = Histogram::new(low, high);
        histogram.count(&(0..100_000).map(|i| (i % 2001) as f32 / 1000.0 - 1.0).collect::<Vec<_>>());
        histogram.count(&[100.0, 90.0]);
        for scheme in [Scheme::Unsigned, Scheme::Symmetric] {
            let choose = |method| Quantization::choose(method, &histogram, low, high, scheme);
            let whole = choose(Method::MinMax);
            assert_eq!(whole, Quantization::of_range(low, high, scheme));
            let chosen = choose(Method::Percentile(99.9));
            assert!(chosen.scale < 0.1 * whole.scale, "{scheme:?} {chosen:?} {whole:?}");
        }
    }

    #[test]
    fn even_numbers_keep_their_range() {
        let mut histogram = Histogram::new(-1.0, 1.0);
        histogram.count(&(0..=20_000).map(|i| i as f32 / 10_000.0 - 1.0).collect::<Vec<_>>());
        for method in [Method::MinMax, Method::Percentile(100.0)] {
            let q = Quantization::choose(method, &histogram, -1.0, 1.0, Scheme::Unsigned);
            assert!((q.scale - 2.0 / 255.0).abs() < 4e-4, "{method:?}: {q:?}");
        }
    }
}
