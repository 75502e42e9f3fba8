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
                Quantization { scale, zero }
            }
            Scheme::Symmetric => Quantization { scale: (high.max(-low) / 127.0).max(floor), zero: 0 },
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ONNX's `QuantizeLinear` makes of a number, whose ties go to the even integer, and `DequantizeLinear` of that.
    fn rounded(q: &Quantization, number: f32, scheme: Scheme) -> (i32, f32) {
        let (low, high) = match scheme {
            Scheme::Unsigned => (0, 255),
            Scheme::Symmetric => (-127, 127),
        };
        let integer = ((number / q.scale).round_ties_even() as i32).saturating_add(q.zero).clamp(low, high);
        (integer, (integer - q.zero) as f32 * q.scale)
    }

    #[test]
    fn integers_and_numbers_fit_together() {
        let of = |number, scheme| rounded(&Quantization::of_range(-1.0, 3.0, scheme), number, scheme);
        let integers = |numbers: &[f32], scheme| numbers.iter().map(|&n| of(n, scheme).0).collect::<Vec<_>>();
        assert_eq!(integers(&[-1.0, 3.0, -9.0, f32::INFINITY], Scheme::Unsigned), [0, 255, 0, 255]);
        assert_eq!(of(0.0, Scheme::Unsigned), (64, 0.0), "zero is exact");
        assert_eq!(integers(&[3.0, -3.0, -9.0, 0.0], Scheme::Symmetric), [127, -127, -127, 0]);
        assert!((of(1.0, Scheme::Symmetric).1 - 1.0).abs() <= 1.5 / 127.0);
    }

    #[test]
    fn ranges_without_extent_have_steps() {
        for scheme in [Scheme::Unsigned, Scheme::Symmetric] {
            let q = Quantization::of_range(0.0, 0.0, scheme);
            assert!(q.scale > 0.0 && rounded(&q, 0.0, scheme).1 == 0.0);
            let positive = Quantization::of_range(2.0, 3.0, scheme);
            assert!((rounded(&positive, 3.0, scheme).1 - 3.0).abs() < 1e-6, "the range begins at zero");
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
