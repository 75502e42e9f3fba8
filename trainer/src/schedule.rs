//! The learning rate as a pure function of the step.

use crate::settings::OptimSettings;

/// The learning rate of step `step` (counted from 0): linear warm-up over `warmup` steps to `lr`, then half a cosine
/// down to `min_lr` at `steps`.
///
/// The paper's section 2.5 (cosine schedule, Loshchilov & Hutter 2016), with a warm-up that starts above zero.
pub fn learning_rate(optim: &OptimSettings, step: u64) -> f64 {
    let OptimSettings { lr, min_lr, warmup, steps, .. } = *optim;
    if step < warmup {
        return lr * (step + 1) as f64 / warmup as f64;
    }
    let done = (step - warmup) as f64 / steps.saturating_sub(warmup).max(1) as f64;
    min_lr + 0.5 * (lr - min_lr) * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warms_up_and_falls() {
        let optim = OptimSettings { lr: 2.0, min_lr: 0.5, warmup: 4, steps: 14, ..OptimSettings::default() };
        let rates: Vec<f64> = (0..16).map(|step| learning_rate(&optim, step)).collect();
        assert_eq!(&rates[..5], &[0.5, 1.0, 1.5, 2.0, 2.0]);
        assert!((rates[9] - 1.25).abs() < 1e-12, "half way down at half time: {}", rates[9]);
        assert!(rates[4..].windows(2).all(|pair| pair[1] <= pair[0]), "{rates:?}");
        assert_eq!(rates[14..], [0.5, 0.5], "past the end it stays at the bottom");
    }

    #[test]
    fn no_warmup_starts_at_the_top() {
        let optim = OptimSettings { lr: 1.0, min_lr: 0.0, warmup: 0, steps: 10, ..OptimSettings::default() };
        assert_eq!(learning_rate(&optim, 0), 1.0);
        assert!(learning_rate(&optim, 9) > 0.0);
        let all_warmup = OptimSettings { warmup: 10, ..optim };
        assert_eq!(learning_rate(&all_warmup, 9), 1.0);
    }
}
