//! What calibration learns about a value.

/// Bins of a histogram.
pub const BINS: usize = 2048;

/// The numbers that one value of a graph took.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Lowest number.
    pub low: f32,
    /// Highest number.
    pub high: f32,
    /// Highest magnitude in each channel, the innermost axis.
    pub channels: Vec<f32>,
    /// Whether all were numbers, and none infinite.
    pub finite: bool,
}

impl Observed {
    /// Nothing seen so far.
    pub fn new() -> Observed {
        Observed { low: f32::INFINITY, high: f32::NEG_INFINITY, channels: Vec::new(), finite: true }
    }

    /// Takes numbers whose innermost axis has `channels` elements into account.
    pub fn observe(&mut self, numbers: &[f32], channels: usize) {
        self.channels.resize(channels, 0.0);
        for row in numbers.chunks_exact(channels.max(1)) {
            for (highest, &number) in self.channels.iter_mut().zip(row) {
                self.low = self.low.min(number);
                self.high = self.high.max(number);
                *highest = highest.max(number.abs());
                self.finite &= number.is_finite();
            }
        }
    }
}

/// How often numbers fell into each of [`BINS`] equal parts of a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    low: f32,
    high: f32,
    width: f32,
    counts: Vec<u64>,
}

impl Histogram {
    /// An empty histogram from `low` to `high`.
    pub fn new(low: f32, high: f32) -> Histogram {
        // A value that never changes still needs a range.
        let width = ((high - low) / BINS as f32).max(f32::MIN_POSITIVE);
        Histogram { low, high, width, counts: vec![0; BINS] }
    }

    /// Counts numbers; those outside the range fall into its ends.
    pub fn count(&mut self, numbers: &[f32]) {
        let scale = self.width.recip();
        for &number in numbers {
            // `as` saturates, and takes what is no number to zero.
            let bin = ((number - self.low) * scale) as usize;
            self.counts[bin.min(BINS - 1)] += 1;
        }
    }

    /// The range of the `share` of a hundred numbers that lie in the middle.
    pub fn middle(&self, share: f32) -> (f32, f32) {
        let cut = f64::from(100.0 - share) / 200.0;
        (self.quantile(cut).max(self.low), self.quantile(1.0 - cut).min(self.high))
    }

    /// The number below which `share` of all numbers lie, to the edge of a bin.
    fn quantile(&self, share: f64) -> f32 {
        let total: u64 = self.counts.iter().sum();
        let wanted = share * total as f64;
        let mut below = 0.0;
        for (i, &count) in self.counts.iter().enumerate() {
            below += count as f64;
            if below >= wanted && below > 0.0 {
                return self.low + (i + usize::from(share > 0.0)) as f32 * self.width;
            }
        }
        self.low + BINS as f32 * self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowest_highest_and_channels_are_seen() {
        let mut observed = Observed::new();
        observed.observe(&[1.0, -2.0, 3.0, 0.5], 2);
        observed.observe(&[-4.0, 0.0], 2);
        assert_eq!((observed.low, observed.high), (-4.0, 3.0));
        assert_eq!(observed.channels, [4.0, 2.0]);
    }

    #[test]
    fn quantiles_are_those_of_what_was_counted() {
        let mut histogram = Histogram::new(0.0, 2048.0);
        let numbers: Vec<f32> = (0..1000).map(|i| i as f32).collect();
        histogram.count(&numbers);
        assert_eq!(histogram.quantile(0.5), 500.0);
        assert_eq!(histogram.quantile(1.0), 1000.0);
        assert_eq!(histogram.quantile(0.0), 0.0);
        assert_eq!(histogram.counts.iter().sum::<u64>(), 1000);
    }

    #[test]
    fn numbers_outside_the_range_count_at_its_ends() {
        let mut histogram = Histogram::new(-1.0, 1.0);
        histogram.count(&[-9.0, 9.0, f32::NAN]);
        assert_eq!((histogram.counts[0], histogram.counts[BINS - 1]), (2, 1));
    }
}
