//! How 8-bit integers are chosen, and scale and zero point from what calibration saw.

/// How integers are written down, for the engine that will run them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Activations from 0 to 255 with a zero point and 32-bit integer biases: what ONNX Runtime and OpenVINO are fast with.
    Cpu,
    /// Activations from -127 to 127 around zero and float biases: what TensorRT's parser takes.
    Trt,
}

/// How the range of a value is chosen that its 256 steps are spread over. A smaller range has finer steps and clips more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Everything that was seen.
    MinMax,
    /// Without the outermost numbers, so many of a hundred in all.
    Percentile(f32),
}

/// How a graph is quantized.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Int8 {
    /// How ranges of activations are chosen.
    pub method: Method,
    /// How much of the activations' range between channels moves into weights, 0 (nothing) to 1.
    pub smoothing: f32,
    /// For which engine.
    pub dialect: Dialect,
}

impl Default for Int8 {
    fn default() -> Self {
        Int8 { method: Method::MinMax, smoothing: 0.5, dialect: Dialect::Cpu }
    }
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
    pub fn of_range(low: f32, high: f32, dialect: Dialect) -> Quantization {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let floor = f32::MIN_POSITIVE * 256.0;
        match dialect {
            Dialect::Cpu => {
                let scale = ((high - low) / 255.0).max(floor);
                let zero = (-low / scale).round().clamp(0.0, 255.0) as i32;
                Quantization { scale, zero }
            }
            Dialect::Trt => Quantization { scale: (high.max(-low) / 127.0).max(floor), zero: 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::int8::histogram::Histogram;

    /// What ONNX's `QuantizeLinear` makes of a number, whose ties go to the even integer, and `DequantizeLinear` of that.
    fn rounded(q: &Quantization, number: f32, dialect: Dialect) -> (i32, f32) {
        let (low, high) = match dialect {
            Dialect::Cpu => (0, 255),
            Dialect::Trt => (-127, 127),
        };
        let integer = ((number / q.scale).round_ties_even() as i32).saturating_add(q.zero).clamp(low, high);
        (integer, (integer - q.zero) as f32 * q.scale)
    }

    #[test]
    fn integers_and_numbers_fit_together() {
        let of = |number, dialect| rounded(&Quantization::of_range(-1.0, 3.0, dialect), number, dialect);
        let integers =
            |numbers: &[f32], dialect| numbers.iter().map(|&n| of(n, dialect).0).collect::<Vec<_>>();
        assert_eq!(integers(&[-1.0, 3.0, -9.0, f32::INFINITY], Dialect::Cpu), [0, 255, 0, 255]);
        assert_eq!(of(0.0, Dialect::Cpu), (64, 0.0), "zero is exact");
        assert_eq!(integers(&[3.0, -3.0, -9.0, 0.0], Dialect::Trt), [127, -127, -127, 0]);
        assert!((of(1.0, Dialect::Trt).1 - 1.0).abs() <= 1.5 / 127.0);
    }

    #[test]
    fn ranges_without_extent_have_steps() {
        for dialect in [Dialect::Cpu, Dialect::Trt] {
            let q = Quantization::of_range(0.0, 0.0, dialect);
            assert!(q.scale > 0.0 && rounded(&q, 0.0, dialect).1 == 0.0);
            let positive = Quantization::of_range(2.0, 3.0, dialect);
            assert!((rounded(&positive, 3.0, dialect).1 - 3.0).abs() < 1e-6, "the range begins at zero");
        }
    }

    /// Mostly small numbers, and a few far out.
    #[test]
    fn percentiles_give_up_outliers() {
        let (low, high) = (-1.0, 100.0);
        let mut histogram = Histogram::new(low, high);
        histogram.count(&(0..100_000).map(|i| (i % 2001) as f32 / 1000.0 - 1.0).collect::<Vec<_>>());
        histogram.count(&[100.0, 90.0]);
        for dialect in [Dialect::Cpu, Dialect::Trt] {
            let whole = Quantization::of_range(low, high, dialect);
            let (low, high) = histogram.middle(99.9);
            let chosen = Quantization::of_range(low, high, dialect);
            assert!(chosen.scale < 0.1 * whole.scale, "{dialect:?} {chosen:?} {whole:?}");
        }
    }

    #[test]
    fn even_numbers_keep_their_range() {
        let mut histogram = Histogram::new(-1.0, 1.0);
        histogram.count(&(0..=20_000).map(|i| i as f32 / 10_000.0 - 1.0).collect::<Vec<_>>());
        for (low, high) in [(-1.0, 1.0), histogram.middle(100.0)] {
            let q = Quantization::of_range(low, high, Dialect::Cpu);
            assert!((q.scale - 2.0 / 255.0).abs() < 4e-4, "{q:?}");
        }
    }
}
