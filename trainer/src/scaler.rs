//! Dynamic loss scaling for fp16 (Micikevicius et al. 2017, arXiv 1710.03740; the constants of PyTorch's `GradScaler`).

/// First factor.
const FIRST: f64 = 65536.0;

/// Good steps in a row after which the factor is doubled.
const PATIENCE: u32 = 2000;

/// A factor on the loss, so that small gradients do not vanish in fp16: halved when gradients overflow, in which case the step
/// is left out, and doubled after many steps without.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossScaler {
    /// The factor.
    pub scale: f64,
    /// Steps since it was changed.
    pub good_steps: u32,
}

impl Default for LossScaler {
    fn default() -> LossScaler {
        LossScaler { scale: FIRST, good_steps: 0 }
    }
}

impl LossScaler {
    /// A step's gradients were finite.
    pub fn succeeded(&mut self) {
        self.good_steps += 1;
        if self.good_steps == PATIENCE {
            *self = LossScaler { scale: self.scale * 2.0, good_steps: 0 };
        }
    }

    /// A step's gradients overflowed. False when the factor is so low that this is not its fault.
    pub fn overflowed(&mut self) -> bool {
        *self = LossScaler { scale: self.scale * 0.5, good_steps: 0 };
        self.scale >= 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_falls_at_once_and_rises_slowly() {
        let mut scaler = LossScaler::default();
        assert!(scaler.overflowed());
        assert_eq!(scaler.scale, FIRST / 2.0);
        (0..PATIENCE).for_each(|_| scaler.succeeded());
        assert_eq!(scaler, LossScaler::default());
        let mut overflows = 0;
        while scaler.overflowed() {
            overflows += 1;
        }
        assert_eq!(overflows, 16, "the factor goes down to 1");
    }
}
