//! Weights as 8-bit integers.

/// A weight whose channels, the rows of its outermost axis, each have a scale of their own:
/// `weight[channel] = scale[channel] * integers[channel]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// -127 to 127, in the weight's own order.
    pub integers: Vec<i8>,
    /// A positive number per channel.
    pub scales: Vec<f32>,
}

/// Shares of a channel's highest magnitude that are tried as the end of its range.
const SHARES: [f32; 6] = [1.0, 0.95, 0.9, 0.85, 0.8, 0.75];

impl Weight {
    /// Quantizes `values`, `channels` rows of them, each with the scale of lowest squared error. `least` is the
    /// smallest scale a channel may have.
    pub fn new(values: &[f32], channels: usize, least: impl Fn(usize) -> f32) -> Weight {
        let row = values.len() / channels.max(1);
        let mut weight = Weight { integers: Vec::with_capacity(values.len()), scales: Vec::new() };
        for (channel, values) in values.chunks_exact(row.max(1)).enumerate() {
            let highest = values.iter().fold(0f32, |highest, v| highest.max(v.abs()));
            let floor = least(channel).max(f32::MIN_POSITIVE);
            let candidates = SHARES.map(|share| (share * highest / 127.0).max(floor));
            let costs = candidates.map(|scale| (error(values, scale), scale));
            let scale =
                costs.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).map_or(floor, |(_, scale)| scale);
            weight.scales.push(scale);
            weight.integers.extend(values.iter().map(|v| integer(*v, scale) as i8));
        }
        weight
    }
}

fn integer(value: f32, scale: f32) -> f32 {
    (value / scale).round_ties_even().clamp(-127.0, 127.0)
}

fn error(values: &[f32], scale: f32) -> f32 {
    values.iter().map(|&v| (v - scale * integer(v, scale)).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_have_their_own_scales() {
        let weight = Weight::new(&[1.27, -0.5, 127.0, 3.0, 0.0, 0.0], 3, |_| 0.0);
        assert_eq!(weight.integers[..4], [127, -50, 127, 3]);
        assert!((weight.scales[0] - 0.01).abs() < 1e-7 && (weight.scales[1] - 1.0).abs() < 1e-6);
        assert_eq!(weight.integers[4..], [0, 0]);
        assert!(weight.scales[2] > 0.0);
    }

    /// One number far out among many: to clip it costs less than to blur all the others.
    #[test]
    fn a_range_may_clip_an_outlier() {
        let mut values: Vec<f32> = (0..40_000).map(|i| (i as f32 * 0.37).sin()).collect();
        values[7] = 1.2;
        let weight = Weight::new(&values, 1, |_| 0.0);
        assert!(weight.scales[0] < 1.2 / 127.0 - 1e-6, "{}", weight.scales[0]);
        let kept = |scale: f32| error(&values, scale);
        assert!(kept(weight.scales[0]) < kept(1.2 / 127.0));
    }

    #[test]
    fn scales_are_not_below_the_least() {
        assert_eq!(Weight::new(&[1e-9, 2e-9], 1, |_| 0.5).scales, [0.5]);
    }
}
