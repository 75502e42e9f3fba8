//! The number formats of weights, gradients and moments in memory.

use half::{bf16, f16};
use tch::{Kind, Tensor};

/// A number in memory.
pub(crate) trait Number: Copy + Send + Sync {
    /// Its value.
    fn load(self) -> f32;

    /// `value` in this format. What it cannot hold is rounded up with a probability of what is cut off: `dither` is uniform
    /// over all 16-bit numbers. So the mean over many updates is right even where a single one is less than half a unit in
    /// the last place, which rounding to the nearest would lose each time.
    fn store(value: f32, dither: u16) -> Self;
}

impl Number for f32 {
    #[inline(always)]
    fn load(self) -> f32 {
        self
    }

    #[inline(always)]
    fn store(value: f32, _: u16) -> f32 {
        value
    }
}

impl Number for bf16 {
    #[inline(always)]
    fn load(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[inline(always)]
    fn store(value: f32, dither: u16) -> bf16 {
        bf16::from_bits((value.to_bits().wrapping_add(u32::from(dither)) >> 16) as u16)
    }
}

/// Gradients alone have this format.
impl Number for f16 {
    #[inline(always)]
    fn load(self) -> f32 {
        self.to_f32()
    }

    #[inline(always)]
    fn store(value: f32, _: u16) -> f16 {
        f16::from_f32(value)
    }
}

/// Numbers of a tensor, to be read.
#[derive(Clone, Copy)]
pub(crate) enum Numbers<'a> {
    Fp32(&'a [f32]),
    Bf16(&'a [bf16]),
    Fp16(&'a [f16]),
}

impl Numbers<'_> {
    /// `length` numbers of `tensor` from number `start` on.
    ///
    /// # Safety
    /// The tensor must be contiguous, in main memory, in fp32, bf16 or fp16, and have these numbers; nothing may change them
    /// meanwhile.
    pub(crate) unsafe fn of(tensor: &Tensor, start: usize, length: usize) -> Numbers<'_> {
        use std::slice::from_raw_parts;
        let memory = tensor.data_ptr();
        // SAFETY: the caller's promise.
        unsafe {
            match tensor.kind() {
                Kind::BFloat16 => Numbers::Bf16(from_raw_parts(memory.cast::<bf16>().add(start), length)),
                Kind::Half => Numbers::Fp16(from_raw_parts(memory.cast::<f16>().add(start), length)),
                _ => Numbers::Fp32(from_raw_parts(memory.cast::<f32>().add(start), length)),
            }
        }
    }
}

/// 32 bits that depend on `key` and `index` alone and look random (the finaliser of MurmurHash3).
#[inline(always)]
pub(crate) fn scatter(key: u32, index: u32) -> u32 {
    let mut x = index.wrapping_mul(0x9e37_79b1) ^ key;
    x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
    x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_right_in_the_mean() {
        for value in [1.001f32, -3.7, 1e-20, 65000.5] {
            let stored = (0..1 << 16).map(|index| bf16::store(value, scatter(7, index) as u16).load());
            let mean = stored.map(f64::from).sum::<f64>() / f64::from(1 << 16);
            assert!((mean / f64::from(value) - 1.0).abs() < 1e-4, "{value}: {mean}");
        }
        assert_eq!(bf16::store(1.5, u16::MAX).load(), 1.5, "what fits is not rounded");
    }

    #[test]
    fn all_bits_of_the_dither_are_even() {
        let mut ones = [0u32; 32];
        for index in 0..1 << 16 {
            let bits = scatter(0x1234, index);
            ones.iter_mut().enumerate().for_each(|(bit, count)| *count += bits >> bit & 1);
        }
        assert!(ones.iter().all(|&count| (32_000..33_500).contains(&count)), "{ones:?}");
    }
}
