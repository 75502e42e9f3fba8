//! One update on a CPU: every vector makes its way through memory once, in threads.

use std::ffi::c_void;

use clip_model::parallel;
use half::bf16;
use tch::{Kind, Tensor};

use super::Rates;
use crate::number::{Number, Numbers, scatter};

/// Numbers that a thread takes at a time.
const PIECE: usize = 1 << 16;

/// A part of a group's vectors with the gradient that belongs to it.
pub(super) struct Piece<'a> {
    weights: Weights<'a>,
    gradient: Numbers<'a>,
    moments: Moments<'a>,
    /// Its place in the group.
    start: usize,
}

/// Weights, in their format.
enum Weights<'a> {
    Fp32(&'a mut [f32]),
    Bf16(&'a mut [bf16]),
}

/// The running means of gradients and of their squares, in their format.
enum Moments<'a> {
    Fp32([&'a mut [f32]; 2]),
    Bf16([&'a mut [bf16]; 2]),
}

/// The vectors of a group, cut into pieces: `gradients` are those of its tensors, in order, contiguous and on the CPU.
///
/// # Safety
/// Nothing else may use the vectors as long as the pieces live. `weights`, `first` and `second` must be contiguous, on the
/// CPU, in fp32 or bf16, `first` and `second` in the same, and as long as the gradients are together.
pub(super) unsafe fn pieces<'a>(
    [weights, first, second]: [&'a Tensor; 3],
    gradients: &'a [Tensor],
) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let mut begin = 0;
    for gradient in gradients {
        let count = gradient.numel();
        for done in (0..count).step_by(PIECE) {
            let (start, length) = (begin + done, PIECE.min(count - done));
            // SAFETY: as promised by the caller; no two pieces overlap.
            pieces.push(unsafe {
                Piece {
                    weights: match weights.kind() {
                        Kind::BFloat16 => Weights::Bf16(slice_mut(weights.data_ptr(), start, length)),
                        _ => Weights::Fp32(slice_mut(weights.data_ptr(), start, length)),
                    },
                    gradient: Numbers::of(gradient, done, length),
                    moments: match first.kind() {
                        Kind::BFloat16 => {
                            Moments::Bf16([first, second].map(|m| slice_mut(m.data_ptr(), start, length)))
                        }
                        _ => Moments::Fp32([first, second].map(|m| slice_mut(m.data_ptr(), start, length))),
                    },
                    start,
                }
            });
        }
        begin += count;
    }
    pieces
}

/// A part of a tensor's memory.
///
/// # Safety
/// As [`pieces`]; the tensor's numbers must be `T`, and the range must lie within it.
unsafe fn slice_mut<'a, T>(memory: *mut c_void, start: usize, length: usize) -> &'a mut [T] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(memory.cast::<T>().add(start), length) }
}

/// Updates all pieces in `threads` threads. The result does not depend on their number.
pub(super) fn update(pieces: Vec<Piece<'_>>, rates: &Rates, key: u32, threads: usize) {
    parallel::each(pieces.into_iter(), threads.saturating_sub(1), |piece| piece.update(rates, key));
}

impl Piece<'_> {
    fn update(self, rates: &Rates, key: u32) {
        let Piece { weights, gradient, moments, start } = self;
        let place = Place { rates, key, start };
        match gradient {
            Numbers::Fp32(gradient) => place.update_with(weights, gradient, moments),
            Numbers::Bf16(gradient) => place.update_with(weights, gradient, moments),
            Numbers::Fp16(gradient) => place.update_with(weights, gradient, moments),
        }
    }
}

/// What an update does besides reading and writing numbers.
#[derive(Clone, Copy)]
struct Place<'a> {
    rates: &'a Rates,
    /// What rounding depends on, with the number's place in the group.
    key: u32,
    start: usize,
}

impl Place<'_> {
    fn update_with<G: Number>(self, weights: Weights<'_>, gradient: &[G], moments: Moments<'_>) {
        match (weights, moments) {
            (Weights::Fp32(w), Moments::Fp32(m)) => self.update_fast(w, gradient, m),
            (Weights::Fp32(w), Moments::Bf16(m)) => self.update_fast(w, gradient, m),
            (Weights::Bf16(w), Moments::Fp32(m)) => self.update_fast(w, gradient, m),
            (Weights::Bf16(w), Moments::Bf16(m)) => self.update_fast(w, gradient, m),
        }
    }

    /// [`Place::update_here`] with the widest vectors that the processor has.
    fn update_fast<W: Number, G: Number, M: Number>(
        self,
        w: &mut [W],
        gradient: &[G],
        moments: [&mut [M]; 2],
    ) {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2")]
            fn with_avx2<W: Number, G: Number, M: Number>(
                place: Place<'_>,
                w: &mut [W],
                gradient: &[G],
                moments: [&mut [M]; 2],
            ) {
                place.update_here(w, gradient, moments);
            }
            if std::arch::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has it.
                return unsafe { with_avx2(self, w, gradient, moments) };
            }
        }
        self.update_here(w, gradient, moments);
    }

    #[inline(always)]
    fn update_here<W: Number, G: Number, M: Number>(
        self,
        w: &mut [W],
        gradient: &[G],
        moments: [&mut [M]; 2],
    ) {
        let Place { rates, key, start } = self;
        let (rate1, rate2, keep2) = (rates.first as f32, rates.second as f32, (1.0 - rates.second) as f32);
        let (root, eps, step, keep) =
            (rates.root as f32, rates.eps as f32, rates.step as f32, rates.keep as f32);
        let factor = rates.factor as f32;
        let [first, second] = moments;
        let moments = first.iter_mut().zip(second);
        for (i, ((weight, gradient), (first, second))) in w.iter_mut().zip(gradient).zip(moments).enumerate()
        {
            let random = scatter(key, (start + i) as u32);
            let gradient = gradient.load() * factor;
            let mean = first.load() + (gradient - first.load()) * rate1;
            let square = second.load() * keep2 + gradient * gradient * rate2;
            *first = M::store(mean, random as u16);
            *second = M::store(square, (random >> 16) as u16);
            let updated = weight.load() * keep - step * (mean / (square.sqrt() * root + eps));
            *weight = W::store(updated, scatter(!key, random) as u16);
        }
    }
}
