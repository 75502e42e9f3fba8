//! Shares of a whole, with the interval that so many trials leave open.

use std::fmt;

use serde::Serialize;

/// The 97.5 % point of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// A share with its 95 % Wilson score interval (Wilson 1927).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// The share itself, 0 to 1.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Share {
    /// `hits` out of `total`; all zero when there are none.
    pub fn of(hits: usize, total: usize) -> Share {
        if total == 0 {
            return Share { value: 0.0, low: 0.0, high: 0.0 };
        }
        let (n, p) = (total as f64, hits as f64 / total as f64);
        let centre = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        Share { value: p, low: ((centre - half) / scale).max(0.0), high: ((centre + half) / scale).min(1.0) }
    }

    /// Of the numbers below `total`, those for which `hit` holds.
    pub fn where_true(total: usize, hit: impl Fn(usize) -> bool) -> Share {
        Share::of((0..total).filter(|&i| hit(i)).count(), total)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} % ({:.1} to {:.1})", 100.0 * self.value, 100.0 * self.low, 100.0 * self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The interval of 8 out of 10 in Wilson's form: 0.4902 to 0.9433.
    #[test]
    fn wilson_interval() {
        let share = Share::of(8, 10);
        assert!((share.low - 0.4902).abs() < 1e-4 && (share.high - 0.9433).abs() < 1e-4, "{share:?}");
        assert_eq!(share.to_string(), "80.0 % (49.0 to 94.3)");
        assert_eq!(Share::where_true(10, |i| i > 1), share);
        assert_eq!(Share::of(0, 20).low, 0.0);
        assert_eq!(Share::of(20, 20).high, 1.0);
        assert_eq!(Share::of(0, 0), Share { value: 0.0, low: 0.0, high: 0.0 });
    }
}
