//! An axis with round numbers on it.

/// Marks on an axis, about.
const MARKS: f64 = 5.0;

/// What an axis shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    /// Distance of the marks: 1, 2 or 5 times a power of ten.
    apart: f64,
}

impl Axis {
    /// The axis of these values, which ends at marks.
    pub fn of(values: impl Iterator<Item = f64>) -> Axis {
        let (mut low, mut high) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        // A constant, or nothing at all.
        if high <= low {
            let half = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
            (low, high) = (low - half, high + half);
        }
        if !(low.is_finite() && high.is_finite()) {
            (low, high) = (0.0, 1.0);
        }
        let rough = (high - low) / MARKS;
        let power = 10f64.powf(rough.log10().floor());
        let apart = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|apart| *apart >= rough);
        let apart = apart.unwrap_or(10.0 * power);
        Axis { low: (low / apart).floor() * apart, high: (high / apart).ceil() * apart, apart }
    }

    /// Where a value is between the ends, 0 to 1.
    pub fn place(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// The marks with their labels.
    pub fn marks(&self) -> Vec<(f64, String)> {
        let count = ((self.high - self.low) / self.apart).round() as i64;
        let mark = |n| self.low + n as f64 * self.apart;
        (0..=count).map(|n| (mark(n), self.label(mark(n)))).collect()
    }

    fn label(&self, value: f64) -> String {
        // What rounding leaves of zero.
        if value.abs() < 1e-9 * self.apart {
            return "0".to_owned();
        }
        let largest = self.high.abs().max(self.low.abs());
        if !(1e-3..1e6).contains(&largest) {
            let digits = (largest.log10().floor() - self.apart.log10().floor()).max(0.0) as usize;
            return format!("{value:.digits$e}");
        }
        let digits = (-self.apart.log10().floor()).max(0.0) as usize;
        format!("{value:.digits$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round() {
        let labels = |values: &[f64]| -> Vec<String> {
            Axis::of(values.iter().copied()).marks().into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(labels(&[1.1, 4.9]), ["1", "2", "3", "4", "5"]);
        assert_eq!(
            labels(&[0.0, 0.5]),
            ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"].map(|l| if l == "0.0" { "0" } else { l })
        );
        assert_eq!(labels(&[0.0, 5e-4]), ["0", "1e-4", "2e-4", "3e-4", "4e-4", "5e-4"]);
        assert_eq!(labels(&[0.0, 10_000.0]), ["0", "2000", "4000", "6000", "8000", "10000"]);
        assert_eq!(labels(&[]).len(), 6);
        let constant = Axis::of([14.3, 14.3].into_iter());
        assert!((constant.place(14.3) - 0.5).abs() < 0.3 && constant.place(99.0) == 1.0);
    }
}
